"""Where a law is checked: one transport, one strategy, a client."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

import attrs

from ..abc import Handler, Strategy, Transport
from ..observers import Observer
from ..server import AnyServer, Server
from ._clients import Connect
from ._recorder import FAILSAFE

__all__ = ("AnyTransport", "Stage", "first", "receive", "reply", "serving")

AnyTransport: TypeAlias = Transport[object, object]
AnyHandler: TypeAlias = Handler[object, object]


#: Seconds that a law leaves to requests that should have ended. A part with a bug may need them all.
GRACE = 5.0


def ignore(event: object) -> None:
    """Take no interest."""


@attrs.frozen
class Stage:
    """
    A transport, a strategy, and what a client connects with.

    Args:
        transport: How requests arrive.
        strategy: Where they run.
        connect: Makes a client's socket for a server's address.
    """

    transport: AnyTransport
    strategy: Strategy
    connect: Connect

    @property
    def stream(self) -> bool:
        """Whether requests are connections."""
        return self.transport.stream

    def server(self, handler: AnyHandler, observer: Observer = ignore) -> AnyServer:
        """Compose a server."""
        return Server(self.transport, self.strategy, handler, observer=observer)

    @contextlib.contextmanager
    def running(self, handler: AnyHandler, observer: Observer = ignore) -> Iterator[AnyServer]:
        """Compose a server, and serve in a thread during the block."""
        with self.server(handler, observer).running(GRACE) as server:
            yield server

    def ask(self, server: AnyServer, *words: bytes) -> list[bytes]:
        """Send words, one after the other, over one socket; return what came back for each."""
        with self.connect(server.address) as client:
            return [self._exchange(client, word) for word in words]

    def _exchange(self, client: socket.socket, word: bytes) -> bytes:
        client.sendall(word)
        return receive(client, len(word)) if self.stream else client.recv(65536)


def receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly *size* bytes, or what there is before the end."""
    found = b""
    while len(found) < size and (piece := sock.recv(size - len(found))):
        found += piece
    return found


@contextlib.contextmanager
def serving(serve: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run *serve* in a thread, which has to end by itself until the end of the block."""
    thread = threading.Thread(target=serve, name="sockserve-law", daemon=True)
    thread.start()
    yield thread
    thread.join(FAILSAFE)
    assert not thread.is_alive(), "serve_forever does not return although a stop was asked for"


def first(request: object) -> bytes:
    """Return the packet, or the first line of the connection."""
    if isinstance(request, tuple):
        return cast("bytes", request[0])
    with cast("socket.socket", request).makefile("rb") as file:
        return file.readline()


def reply(request: object, address: object, answer: bytes) -> None:
    """Answer a request of either kind."""
    if isinstance(request, tuple):
        cast("socket.socket", request[1]).sendto(answer, cast("str", address))
    else:
        cast("socket.socket", request).sendall(answer)


def echo(request: object, address: object, server: object) -> None:
    """Give back a packet, or all that a connection brings."""
    if isinstance(request, tuple):
        reply(request, address, first(request))
        return
    while data := cast("socket.socket", request).recv(4096):
        reply(request, address, data)
