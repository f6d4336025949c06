"""Two servers behind a real HAProxy, with the configuration that docs/scale.md shows."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from example_clients import Example, program, serving
from kinds import receive
from recorder import FAILSAFE

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"


def _configuration(descriptor: int, servers: list[Example]) -> str:
    """Give the page's configuration with our addresses, and with checks that a test can wait for."""
    match = re.search(r"^```text\n(global\n.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert match is not None
    text, count = re.subn(r"bind :7000", f"bind fd@{descriptor}", match[1])
    assert count == 1
    text, count = re.subn(r"inter 2s fall 2 rise 1 agent-check agent-inter 1s", _QUICKLY, text)
    assert count == 1
    text, count = re.subn(r"maxconn 20000", "maxconn 100", text)
    assert count == 1
    found = iter(servers)
    text, count = re.subn(r"10\.0\.0\.\d:7000 agent-port 7001", lambda _: _addresses(next(found)), text)
    assert count == 2
    return text


_QUICKLY = "inter 50ms fall 2 rise 1 agent-check agent-inter 50ms"


def _addresses(server: Example) -> str:
    host, port = server.endpoint(0)
    return f"{host}:{port} agent-port {server.endpoint(1)[1]}"


@contextlib.contextmanager
def _haproxy(folder: Path, servers: list[Example]) -> Iterator[tuple[str, int]]:
    """Run it before *servers*; give the address that it serves at."""
    path = program("haproxy")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_configuration(listener.fileno(), servers))
        process = subprocess.Popen(
            [path, "-db", "-f", str(configuration)],
            pass_fds=(listener.fileno(),),
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield listener.getsockname()
            finally:
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=FAILSAFE)
                print(said)  # shown where the test fails


@attrs.define(eq=False)
class Clients:
    """Ask again and again, each time over a new connection, until they are told to stop."""

    address: tuple[str, int]
    stop: threading.Event = attrs.field(factory=threading.Event)
    answered: "Counter[str]" = attrs.field(factory=Counter)
    failures: list[str] = attrs.field(factory=list)
    changed: threading.Condition = attrs.field(factory=threading.Condition)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with socket.create_connection(self.address, FAILSAFE) as sock, sock.makefile("rb") as lines:
                    sock.sendall(b"hello\n")
                    name, _, answer = lines.readline().decode().partition(": ")
            except OSError as error:
                name, answer = repr(error), ""
            with self.changed:
                if answer == "HELLO\n":
                    self.answered[name] += 1
                else:
                    self.failures.append(name)
                self.changed.notify_all()

    def wait_for(self, name: str, more: int) -> None:
        """Wait until the server *name* has answered so many *more*."""
        with self.changed:
            enough = self.answered[name] + more
            assert self.changed.wait_for(lambda: self.answered[name] >= enough, FAILSAFE), self.answered


@contextlib.contextmanager
def _asking(address: tuple[str, int]) -> Iterator[Clients]:
    clients = Clients(address)
    threads = [threading.Thread(target=clients.run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop.set()
        for thread in threads:
            thread.join()


def _server(name: str) -> contextlib.AbstractContextManager[Example]:
    return serving(
        "behind_haproxy",
        *("--tcp", "127.0.0.1:0", "--agent", "127.0.0.1:0", "--name", name, "--strategy", "selector"),
        *("--notice", "0.5", "--grace", "5"),
        listens=2,
    )


def _connect_to(name: bytes, address: tuple[str, int], stack: contextlib.ExitStack) -> socket.socket:
    """Connect until it is that server that answers."""
    for _ in range(100):
        sock = stack.enter_context(socket.create_connection(address, FAILSAFE))
        sock.sendall(b"first\n")
        if receive(sock, 9) == name + b": FIRST\n":
            return sock
    raise AssertionError(name)


@pytest.mark.timeout(60)
def test_a_server_drains_behind_haproxy_and_no_request_is_lost(folder: Path) -> None:
    """At SIGTERM, while clients come and go and one stays."""
    with _server("a") as a, _server("b") as b, _haproxy(folder, [a, b]) as address, _asking(address) as clients:
        for name in ("a", "b"):
            clients.wait_for(name, 10)
        with contextlib.ExitStack() as stack:
            kept = _connect_to(b"a", address, stack)
            a.send(signal.SIGTERM)
            clients.wait_for("b", 50)
            kept.sendall(b"still\n")
            assert receive(kept, 9) == b"a: STILL\n"
        assert a.wait() == 0
        clients.wait_for("b", 10)
        assert clients.failures == []
