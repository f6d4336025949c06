"""TLS: sockserve's servers for handshakes. The client speaks no word after it, and leaves."""

import ssl

from typing_extensions import override

from sockserve import (
    BaseRequestHandler,
    InetAddress,
    SelectorStrategy,
    Server,
    TcpTransport,
    ThreadPoolStrategy,
    TlsTransport,
)
from sockserve.abc import Strategy
from tls_kit import new_context

__all__ = ("pool", "selector")


class Nothing(BaseRequestHandler[ssl.SSLSocket, InetAddress]):
    """Waits until the client has gone."""

    @override
    def handle(self) -> None:
        self.request.recv(1)


def _tls(strategy: Strategy) -> Server[ssl.SSLSocket, InetAddress]:
    return Server(TlsTransport(TcpTransport(("127.0.0.1", 0)), new_context()), strategy, Nothing)


def pool() -> Server[ssl.SSLSocket, InetAddress]:
    """In threads."""
    return _tls(ThreadPoolStrategy())


def selector() -> Server[ssl.SSLSocket, InetAddress]:
    """In the thread that serves."""
    return _tls(SelectorStrategy())
