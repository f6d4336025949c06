"""The servers of sockserve, composed as shipped: stats, default observer, logging."""

import socket
from collections.abc import Callable

from typing_extensions import override

from sockserve import (
    BaseRequestHandler,
    Chunks,
    Deadlines,
    ForkStrategy,
    InetAddress,
    Limits,
    Lines,
    MessageHandler,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
)
from sockserve.abc import DatagramRequest, Handler, Strategy

from .answers import EACH, PONG, REQUEST_SIZE, Hello, compute, dns_reply
from .servers import STANDING

__all__ = ("bounded", "datagrams", "streams")

_ANYWHERE = ("127.0.0.1", 0)


class Pong(BaseRequestHandler[socket.socket, InetAddress]):
    """One request, one reply; the server closes."""

    @override
    def handle(self) -> None:
        if self.request.recv(REQUEST_SIZE):
            self.request.sendall(PONG)


class Dns(BaseRequestHandler[DatagramRequest, InetAddress]):
    """A fixed A record."""

    @override
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(dns_reply(data), self.client_address)


class DnsMessages(MessageHandler):
    """The same, as messages."""

    @override
    def respond(self, message: bytes) -> bytes:
        return dns_reply(message)


class Kept(BaseRequestHandler[socket.socket, InetAddress]):
    """A reply for each request, until the client has gone."""

    @override
    def handle(self) -> None:
        receive, send = self.request.recv, self.request.sendall
        while data := receive(REQUEST_SIZE):
            send(PONG * data.count(EACH))


class Busy(BaseRequestHandler[socket.socket, InetAddress]):
    """As `Kept`, but that it computes before each reply."""

    @override
    def handle(self) -> None:
        receive, send = self.request.recv, self.request.sendall
        while data := receive(REQUEST_SIZE):
            compute()
            send(PONG * data.count(EACH))


class PongFiles(StreamRequestHandler[InetAddress]):
    """A reply for each line."""

    @override
    def handle(self) -> None:
        read, write = self.rfile.readline, self.wfile.write
        while read(REQUEST_SIZE):
            write(PONG)


class Pongs(MessageHandler):
    """A reply for each request, message by message: what one read gave."""

    framing = Chunks()

    @override
    def respond(self, message: bytes) -> bytes:
        return PONG * message.count(EACH)


class PongLines(MessageHandler):
    """A reply for each line, as a message."""

    framing = Lines()

    @override
    def respond(self, message: bytes) -> bytes:
        return b"+PONG\r"  # the framing's end is "\n"


_HANDLERS: dict[str, Handler[socket.socket, InetAddress]] = {
    "once": Pong,
    "kept": Kept,
    "busy": Busy,
    "lines": PongFiles,
    "http": Hello,
    "messages": Pongs,
    "message-lines": PongLines,
}

#: How many threads a pool has: enough for the 50 connections that most loads keep.
_WORKERS = 64

_STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "sync": SyncStrategy,
    "thread": ThreadStrategy,
    "thread-daemon": lambda: ThreadStrategy(daemon=True),
    "pool": lambda: ThreadPoolStrategy(workers=_WORKERS),
    "pool-daemon": lambda: ThreadPoolStrategy(workers=_WORKERS, daemon=True),
    "fork": ForkStrategy,
    "fork-many": lambda: ForkStrategy(max_children=100),
    "selector": SelectorStrategy,
    "prefork": lambda: PreforkStrategy(workers=STANDING["sockserve-prefork-once"]),
    "prefork-selector": lambda: PreforkStrategy(SelectorStrategy(), workers=STANDING["sockserve-prefork-busy"]),
}


def streams(strategy: str, what: str) -> Server[socket.socket, InetAddress]:
    """Make a server of connections."""
    return Server(TcpTransport(_ANYWHERE), _STRATEGIES[strategy](), _HANDLERS[what])


def bounded(strategy: str, what: str) -> Server[socket.socket, InetAddress]:
    """Make a server of connections with every limit and every deadline, none of which is met."""
    return Server(
        TcpTransport(_ANYWHERE),
        _STRATEGIES[strategy](),
        _HANDLERS[what],
        limits=Limits(connections=10_000, per_peer=10_000),
        deadlines=Deadlines(idle=60.0, total=3600.0),
    )


def datagrams(strategy: str) -> Server[DatagramRequest, InetAddress]:
    """DNS over UDP."""
    return Server(UdpTransport(_ANYWHERE), _STRATEGIES[strategy](), Dns)


def messages(strategy: str) -> Server[DatagramRequest, InetAddress]:
    """The same, by a handler of messages."""
    return Server(UdpTransport(_ANYWHERE), _STRATEGIES[strategy](), DnsMessages)
