"""What the tests of workers share: a handler that tells where it runs, and its clients."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import attrs

from kinds import AF_UNIX, EchoLines, give_way
from recorder import FAILSAFE
from sockserve import Server, TcpTransport
from sockserve._traffic import traffic_of
from sockserve.abc import Core, Loop

TCP = TcpTransport(("127.0.0.1", 0))


class EchoPid(EchoLines):
    """Puts the worker's process before each line."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"%d %s" % (os.getpid(), line))


@contextlib.contextmanager
def client_of(server: Server[Any, Any]) -> Iterator[socket.socket]:
    """A connection. A worker forked later has a copy of it: so its end is sent, not left to the last close."""
    address = server.address
    family = AF_UNIX if isinstance(address, str) else int(socket.AF_INET)
    with socket.socket(family) as sock:
        sock.settimeout(FAILSAFE)
        sock.connect(address)
        yield sock
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def ask(sock: socket.socket, line: bytes) -> tuple[int, bytes]:
    """Send a line to an `EchoPid`; return which process answered, and what."""
    sock.sendall(line)
    pid, _, rest = sock.recv(1000).partition(b" ")
    return int(pid), rest


def begin(sock: socket.socket) -> None:
    """
    Begin a line, which `go_on` ends: from here on the connection does not wait for a next request.

    The kernel's clock ticks between the reply before and this: else nobody could tell which came first.
    """
    while (told := traffic_of(sock)) is not None and told.since_received < 0.02:
        give_way()
    sock.sendall(b"sti")


def go_on(sock: socket.socket) -> tuple[int, bytes]:
    """End the line; return what `ask` does."""
    return ask(sock, b"ll\n")


def insist(pid: int, number: int, sock: socket.socket) -> None:
    """
    Send a signal until it has had an effect.

    One that comes between Python's last look and the system call in which a handler waits does not end that wait.
    """
    os.kill(pid, number)
    while not select.select([sock], [], [], 0.1)[0]:
        os.kill(pid, number)


@contextlib.contextmanager
def serving(server: Server[Any, Any]) -> Iterator[threading.Thread]:
    """Serve in a background thread, until the test has stopped it."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield thread
        thread.join(FAILSAFE)
        assert not thread.is_alive()


@attrs.frozen
class Broken:
    """A strategy that cannot start."""

    def start(self, loop: Loop, core: Core, /) -> Any:
        raise LookupError("on purpose")
