"""The PROXY protocol as others send it: HAProxy and curl."""

import contextlib
import functools
import http.server
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from example_clients import ask
from kinds import receive
from proxy_kit import connect
from sockserve import (
    InetAddress,
    ProxyProtocolTransport,
    SelectorStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
    TlsTransport,
    UnixStreamTransport,
    proxied,
)
from tls_kit import NAME, client_context, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

PROXIED = ProxyProtocolTransport(TcpTransport(("127.0.0.1", 0)), ["127.0.0.0/8"])

_CONFIGURATION = """
defaults
    mode tcp
    timeout connect 10s
    timeout client 10s
    timeout server 10s
    unique-id-format %ci:%cp
listen through
    bind fd@{entrance}
    server served {target} {options}
"""


@contextlib.contextmanager
def haproxy(target: str, options: str, folder: Path) -> Iterator[tuple[InetAddress, Path]]:
    """Run one that connects to *target*; clients connect to the address that is given."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed; on Debian it is in the package haproxy")
    with socket.create_server(("127.0.0.1", 0)) as entrance:
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_CONFIGURATION.format(entrance=entrance.fileno(), target=target, options=options))
        command = ["haproxy", "-db", "-q", "-f", str(configuration)]
        with subprocess.Popen(command, pass_fds=[entrance.fileno()]) as process:
            try:
                yield InetAddress(*entrance.getsockname()), configuration
            finally:
                process.kill()


def who(request: Any, client_address: Any, server: Any) -> None:
    """Say whom the handler sees."""
    said = proxied()
    assert said is not None
    request.sendall(f"{client_address} {said.destination} {said.version}".encode())


SENDERS = {
    "send-proxy": 1,
    "send-proxy-v2": 2,
    "send-proxy-v2 proxy-v2-options crc32c,unique-id": 2,
}


@pytest.mark.parametrize("options", SENDERS)
def test_haproxy_says_for_whom_it_speaks(options: str, folder: Path) -> None:
    """In both versions, with additions too: the client's own address and the one that it has connected to."""
    with Server(PROXIED, SelectorStrategy(), who).running() as server:
        with haproxy(f"127.0.0.1:{server.address.port}", options, folder) as (entrance, _):
            with connect(entrance) as sock:
                own = InetAddress(*sock.getsockname())
                assert receive(sock, 1000).decode() == f"{own} {entrance} {SENDERS[options]}"


def test_haproxy_passes_tls_through(folder: Path) -> None:
    """The handshake is between the client and the server; the header comes before it."""
    with Server(TlsTransport(PROXIED, server_context()), ThreadStrategy(), who).running() as server:
        with haproxy(f"127.0.0.1:{server.address.port}", "send-proxy-v2", folder) as (entrance, _):
            with client_context().wrap_socket(connect(entrance), server_hostname=NAME) as sock:
                own = InetAddress(*sock.getsockname())
                assert sock.recv(1000).decode() == f"{own} {entrance} 2"


def test_haproxy_over_a_unix_socket(folder: Path) -> None:
    """No port, and no network, is between the two."""
    path = str(folder / "s")
    transport = ProxyProtocolTransport(UnixStreamTransport(path), ["unix:"])
    with Server(transport, ThreadStrategy(), who).running():
        with haproxy(f"unix@{path}", "send-proxy-v2", folder) as (entrance, _), connect(entrance) as sock:
            own = InetAddress(*sock.getsockname())
            assert receive(sock, 1000).decode() == f"{own} {entrance} 2"


def test_haproxys_health_checks_are_its_own(folder: Path) -> None:
    """They come with LOCAL: the handler sees the proxy itself, and no client."""
    seen: list[tuple[object, object]] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        said = proxied()
        assert said is not None
        seen.append((said.client, client_address == said.proxy))

    with Server(PROXIED, SyncStrategy(), handler) as server:
        target = f"127.0.0.1:{server.address.port}"
        with haproxy(target, "send-proxy-v2 check check-send-proxy inter 10s", folder):
            assert server.handle_request()
    assert seen == [(None, True)]


def test_curl_speaks_version_1(folder: Path) -> None:
    """To a handler of the standard library, which knows nothing of it."""
    seen: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            seen.append(self.client_address[0])

    (folder / "page").write_text("as it is")
    handler = functools.partial(Handler, directory=str(folder))
    with Server(PROXIED, ThreadStrategy(), handler).running() as server:
        url = f"http://127.0.0.1:{server.address.port}/page"
        assert ask("curl", "-s", "-S", "--haproxy-protocol", url) == "as it is"
    assert seen == ["127.0.0.1"]
