"""What the tests of the inheritable servers share."""

import contextlib
import os
import socket
import socketserver as stdlib
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Self

from recorder import FAILSAFE
from sockserve import socketserver as ours

AF_UNIX: int = getattr(socket, "AF_UNIX", -1)
ANYWHERE = ("127.0.0.1", 0)

#: The module that the laws are tested with, beside the one that they are read from.
MODULES: dict[str, ModuleType] = {"stdlib": stdlib, "sockserve": ours}


class Log:
    """Notes from several threads and processes, in one order: a pipe."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def __call__(self, note: object) -> None:
        os.write(self._writer, f"{note}\n".encode())

    def notes(self) -> list[str]:
        """Return what was noted since the last time."""
        self("")
        text = os.read(self._reader, 65536)
        return text.decode().split()


@contextlib.contextmanager
def serving(server: Any, poll_interval: float | None = 30) -> Iterator[Any]:
    """Serve in a background thread, which ends with the block; the server stays open."""
    begun = threading.Event()

    def serve() -> None:
        begun.set()
        server.serve_forever(poll_interval)

    thread = threading.Thread(target=serve)
    thread.start()
    begun.wait()
    try:
        yield server
    finally:
        server._BaseServer__shutdown_request = True
        if poll_interval is not None and poll_interval < 1:
            thread.join(FAILSAFE)
        else:
            server.shutdown()
            thread.join(FAILSAFE)
        assert not thread.is_alive()


def connect(server: Any) -> socket.socket:
    """Return a client's socket, or for datagrams one that is connected."""
    client = socket.socket(server.socket.family, server.socket.type)
    client.settimeout(FAILSAFE)
    client.connect(server.server_address)
    return client


def ask(server: Any, said: bytes = b"ping\n") -> bytes:
    """Send a line, end the stream, and return all that comes back."""
    with connect(server) as client:
        client.sendall(said)
        if client.type == socket.SOCK_DGRAM:
            return client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def upper(module: ModuleType, kind: str = "StreamRequestHandler") -> Any:
    """Make a handler that answers in capitals."""

    def handle(self: Any) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())

    return type("Upper", (getattr(module, kind),), {"handle": handle})


def answering(answer: Callable[[socket.socket], object]) -> Callable[[Any, Any, Any], object]:
    """Make a handler of a function of the connection."""
    return lambda request, _address, _server: answer(request)
