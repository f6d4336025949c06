"""TLS spoken by others: openssl s_client and curl."""

import contextlib
import functools
import http.server
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import trustme

from example_clients import ask, serving
from kinds import EchoLines
from recorder import FAILSAFE
from sockserve import Server, TcpTransport, TlsTransport, UnixStreamTransport
from sockserve.abc import Strategy
from tls_kit import NAME, authority, connect, new_context, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The authority's certificate, in a file."""
    path = tmp_path_factory.mktemp("trusted") / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


class Client:
    """openssl s_client, line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def say(self, text: bytes) -> None:
        stream = self.process.stdin
        assert stream is not None
        stream.write(text)
        stream.flush()

    def line_with(self, text: bytes) -> bytes:
        """Wait for a line with *text*."""
        stream: IO[bytes] | None = self.process.stdout
        assert stream is not None
        for line in stream:
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}")


@contextlib.contextmanager
def s_client(address: Any, trusted: str, *options: str) -> Iterator[Client]:
    """Run it; the test says how it ends."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; on Debian it is in the package openssl")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{address.port}", "-servername", NAME]
    command += ["-CAfile", trusted, "-verify_return_error", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


def test_openssl_is_echoed_and_ends_well(strategy: Strategy, trusted: str) -> None:
    """It verifies, is answered, and leaves by its own goodbye; ALPN as it asks for."""
    context = new_context()
    context.set_alpn_protocols(["echo"])
    with Server(TlsTransport(TCP, context), strategy, EchoLines).running() as server:
        with s_client(server.address, trusted, "-alpn", "other,echo") as client:
            client.line_with(b"ALPN protocol: echo")
            client.line_with(b"Verify return code: 0 (ok)")
            client.say(b"hello\n")
            client.line_with(b"hello")
            client.say(b"Q\n")
            assert client.process.wait(FAILSAFE) == 0
    assert (server.stats.finished, server.stats.failed) == (1, 0)


@pytest.mark.parametrize("command", [b"K\n", b"k\n"])
def test_new_keys_in_the_middle(strategy: Strategy, trusted: str, command: bytes) -> None:
    """The client changes its keys (k), and asks us to change ours (K), among the lines: a read has to write."""
    with Server(TlsTransport(TCP, server_context()), strategy, EchoLines).running() as server:
        with s_client(server.address, trusted, "-tls1_3") as client:
            client.line_with(b"Verify return code: 0 (ok)")
            for number in range(5):
                client.say(command)
                client.line_with(b"KEYUPDATE")
                client.say(b"line %d\n" % number)
                client.line_with(b"line %d" % number)
    assert server.stats.failed == 0


def test_the_older_protocol_renegotiates_nothing(strategy: Strategy, trusted: str) -> None:
    """A client that wants to (R) is refused, and harms nobody else."""
    with Server(TlsTransport(TCP, server_context()), strategy, EchoLines).running() as server:
        with s_client(server.address, trusted, "-tls1_2") as client:
            client.line_with(b"Verify return code: 0 (ok)")
            client.say(b"hello\n")
            client.line_with(b"hello")
            client.say(b"R\n")
            client.process.wait(FAILSAFE)
        with connect(server.address) as other:
            other.sendall(b"x\n")
            assert other.recv(10) == b"x\n"
    assert server.stats.failed == 0


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The standard library's, without its log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        """Say nothing."""


@pytest.mark.parametrize("unix", [False, True])
def test_curl_gets_a_file(strategy: Strategy, trusted: str, folder: Path, unix: bool) -> None:
    """By https, from the standard library's handler, over TCP and a Unix socket."""
    data = os.urandom(3_000_000)
    (folder / "file").write_bytes(data)
    inner: Any = UnixStreamTransport(str(folder / "sock")) if unix else TCP
    handler: Any = functools.partial(Quiet if not unix else _Nameless, directory=str(folder))
    with Server(TlsTransport(inner, server_context()), strategy, handler).running() as server:
        where = ["--unix-socket", str(server.address)] if unix else []
        port = 443 if unix else server.address.port
        where += [] if unix else ["--resolve", f"{NAME}:{port}:127.0.0.1"]
        options = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert", trusted]
        ask("curl", *options, *where, "-o", str(folder / "got"), f"https://{NAME}:{port}/file")
    assert (folder / "got").read_bytes() == data
    assert server.stats.failed == 0


class _Nameless(Quiet):
    def address_string(self) -> str:
        return str(self.client_address)


def _write(certificate: trustme.LeafCert, path: Path) -> None:
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))


def test_the_example_exchanges_its_certificate(folder: Path, tmp_path: Path) -> None:
    """At SIGHUP; a file that is none leaves all as it was."""
    path = tmp_path / "chain.pem"
    _write(authority().issue_cert(NAME), path)
    with serving("tls_echo", "--tcp", "127.0.0.1:0", "--certificate", str(path)) as example:
        host, port = example.endpoint()
        with connect((host, int(port))) as first:
            _write(authority().issue_cert(NAME), path)
            example.send(signal.SIGHUP)
            assert example.line() == "the certificate is a new one"
            with connect((host, int(port))) as second:
                assert _serial(first) != _serial(second)
                for client in (first, second):
                    client.sendall(b"x\n")
                    assert client.recv(10) == b"x\n"
        path.write_text("nonsense")
        example.send(signal.SIGHUP)
        with connect((host, int(port))) as third:
            third.sendall(b"x\n")
            assert third.recv(10) == b"x\n"


def _serial(client: ssl.SSLSocket) -> object:
    return (client.getpeercert() or {})["serialNumber"]
