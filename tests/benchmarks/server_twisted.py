"""Twisted: protocols on its default reactor, which is epoll's on Linux."""

import importlib
import socket
from typing import Any

from .answers import EACH, PONG, dns_reply
from .server_base import Forever, datagram_socket, stream_socket

__all__ = ("datagrams", "streams")

# By name: the type checkers' environment need not have it.
_protocol: Any = importlib.import_module("twisted.internet.protocol")
_basic: Any = importlib.import_module("twisted.protocols.basic")
_reactor: Any = importlib.import_module("twisted.internet.reactor")


class _Kept(_protocol.Protocol):  # type: ignore[misc]  # the base is Any
    transport: Any

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.transport.write(PONG * data.count(EACH))


class _Once(_protocol.Protocol):  # type: ignore[misc]
    transport: Any

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.transport.write(PONG)
        self.transport.loseConnection()


class _Lines(_basic.LineOnlyReceiver):  # type: ignore[misc]
    transport: Any

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        self.transport.write(PONG)


class _Dns(_protocol.DatagramProtocol):  # type: ignore[misc]
    transport: Any

    def datagramReceived(self, datagram: bytes, addr: object) -> None:  # noqa: N802
        self.transport.write(dns_reply(datagram), addr)


_PROTOCOLS: dict[str, Any] = {"kept": _Kept, "once": _Once, "lines": _Lines}


def streams(what: str) -> Forever:
    """Make a server of connections."""
    factory = _protocol.Factory.forProtocol(_PROTOCOLS[what])
    factory.noisy = False

    def run(sock: socket.socket) -> None:
        sock.setblocking(False)
        _reactor.adoptStreamPort(sock.fileno(), socket.AF_INET, factory)
        sock.close()  # the reactor has a copy
        _reactor.run()

    return Forever(stream_socket(), run)


def datagrams() -> Forever:
    """DNS over UDP."""

    def run(sock: socket.socket) -> None:
        sock.setblocking(False)
        _reactor.adoptDatagramPort(sock.fileno(), socket.AF_INET, _Dns(), 65536)
        sock.close()
        _reactor.run()

    return Forever(datagram_socket(), run)
