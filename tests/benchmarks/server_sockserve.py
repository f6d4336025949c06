"""The servers of sockserve, composed as shipped: stats, default observer, logging."""

import socket

from typing_extensions import override

from sockserve import (
    BaseRequestHandler,
    ForkStrategy,
    InetAddress,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
)
from sockserve.abc import DatagramRequest, Strategy

from .answers import PONG, REQUEST_SIZE, Hello, dns_reply

__all__ = (
    "fork",
    "selector",
    "selector_http",
    "selector_kept",
    "selector_lines",
    "sync",
    "sync_dns",
    "thread",
    "thread_daemon",
    "thread_pool",
)

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


class Kept(BaseRequestHandler[socket.socket, InetAddress]):
    """A reply for whatever comes, until the client has gone."""

    @override
    def handle(self) -> None:
        receive, send = self.request.recv, self.request.sendall
        while receive(REQUEST_SIZE):
            send(PONG)


class Lines(StreamRequestHandler[InetAddress]):
    """A reply for each line."""

    @override
    def handle(self) -> None:
        read, write = self.rfile.readline, self.wfile.write
        while read(REQUEST_SIZE):
            write(PONG)


def _tcp(strategy: Strategy) -> Server[socket.socket, InetAddress]:
    return Server(TcpTransport(_ANYWHERE), strategy, Pong)


def sync() -> Server[socket.socket, InetAddress]:
    """One after the other."""
    return _tcp(SyncStrategy())


def thread() -> Server[socket.socket, InetAddress]:
    """A thread for each connection, awaited at the end."""
    return _tcp(ThreadStrategy())


def thread_daemon() -> Server[socket.socket, InetAddress]:
    """A thread for each connection, not awaited."""
    return _tcp(ThreadStrategy(daemon=True))


def thread_pool() -> Server[socket.socket, InetAddress]:
    """At most 64 threads."""
    return _tcp(ThreadPoolStrategy(workers=64))


def fork() -> Server[socket.socket, InetAddress]:
    """A process for each connection."""
    return _tcp(ForkStrategy())


def selector() -> Server[socket.socket, InetAddress]:
    """All connections in one thread; one request each."""
    return _tcp(SelectorStrategy())


def selector_kept() -> Server[socket.socket, InetAddress]:
    """All connections in one thread; recv and sendall."""
    return Server(TcpTransport(_ANYWHERE), SelectorStrategy(), Kept)


def selector_lines() -> Server[socket.socket, InetAddress]:
    """All connections in one thread; rfile and wfile."""
    return Server(TcpTransport(_ANYWHERE), SelectorStrategy(), Lines)


def selector_http() -> Server[socket.socket, InetAddress]:
    """All connections in one thread; a handler of http.server."""
    return Server(TcpTransport(_ANYWHERE), SelectorStrategy(), Hello)


def sync_dns() -> Server[DatagramRequest, InetAddress]:
    """DNS over UDP, one query after the other."""
    return Server(UdpTransport(_ANYWHERE), SyncStrategy(), Dns)
