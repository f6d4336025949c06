"""
The servers that are attacked, in one process, on one loop where they can be.

``python -m attacks.victims NAME...`` prints their addresses as one line of JSON, and serves until SIGTERM.
"""

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from sockserve import (
    BaseRequestHandler,
    Deadlines,
    ForkStrategy,
    InetAddress,
    Limits,
    Lines,
    MessageHandler,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    serve,
)
from sockserve.abc import Strategy, Transport
from tls_kit import new_context

__all__ = ("VICTIMS", "WORKERS")

#: Short enough that a soak meets them many times.
DEADLINES = Deadlines(handshake=2.0)
LIMITS = Limits(connections=2000)
#: Threads of a pool.
WORKERS = 16


class Pong(BaseRequestHandler[Any, Any]):
    """Answers redis-benchmark's PING, by whatever pieces it comes; knows nothing of messages."""

    def handle(self) -> None:
        """Answer until the peer has had enough."""
        while self.request.recv(4096):
            self.request.sendall(b"+PONG\r\n")


class PongLines(StreamRequestHandler[Any]):
    """The same for PING as a line, by files."""

    def handle(self) -> None:
        """Answer each line."""
        for _ in self.rfile:
            self.wfile.write(b"+PONG\r\n")


class PongMessages(MessageHandler[Any]):
    """The same as messages."""

    framing = Lines(max_length=4096)

    def respond(self, message: bytes) -> bytes:
        """Answer a line; the framing adds its end."""
        return b"+PONG\r"


def _tcp() -> TcpTransport:
    return TcpTransport(("127.0.0.1", 0))


def _tls() -> "TlsTransport[InetAddress]":
    return TlsTransport(_tcp(), new_context("127.0.0.1"))


def _server(transport: "Transport[Any, Any]", strategy: Strategy, handler: Any) -> Server[Any, Any]:
    return Server(transport, strategy, handler, deadlines=DEADLINES, limits=LIMITS, observer=lambda _event: None)


#: By name; each is made anew.
VICTIMS: dict[str, Callable[[], Server[Any, Any]]] = {
    "selector": lambda: _server(_tcp(), SelectorStrategy(), Pong),
    "selector-lines": lambda: _server(_tcp(), SelectorStrategy(), PongLines),
    "selector-messages": lambda: _server(_tcp(), SelectorStrategy(), PongMessages),
    "thread": lambda: _server(_tcp(), ThreadStrategy(daemon=True), Pong),
    "pool": lambda: _server(_tcp(), ThreadPoolStrategy(workers=WORKERS, daemon=True), Pong),
    "fork": lambda: _server(_tcp(), ForkStrategy(max_children=20), Pong),
    "udp": lambda: _server(
        UdpTransport(("127.0.0.1", 0)),
        SelectorStrategy(),
        lambda request, peer, _: request[1].sendto(request[0], peer),
    ),
    "tls-selector": lambda: _server(_tls(), SelectorStrategy(), Pong),
    "tls-thread": lambda: _server(_tls(), ThreadStrategy(daemon=True), Pong),
    "tls-pool": lambda: _server(_tls(), ThreadPoolStrategy(workers=WORKERS, daemon=True), Pong),
}


def main() -> None:
    """Serve those that are named."""
    servers = [VICTIMS[name]() for name in sys.argv[1:]]

    def stop(_number: int, _frame: object) -> None:
        for server in servers:
            server.request_stop(grace=0)

    signal.signal(signal.SIGTERM, stop)
    for server in servers:
        server.listen()
    print(json.dumps([tuple(server.address) for server in servers]), flush=True)
    serve(*servers)
    for server in servers:
        server.server_close()


if __name__ == "__main__":
    main()
