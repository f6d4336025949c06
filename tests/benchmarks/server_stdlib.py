"""The servers of the standard library, with the options that make them do what sockserve's do by default."""

import socket
import socketserver
import sys
from typing import Any

from typing_extensions import override

from .answers import EACH, PONG, REQUEST_SIZE, Hello, dns_reply

_ANYWHERE = ("127.0.0.1", 0)


class Pong(socketserver.BaseRequestHandler):
    """One request, one reply; the server closes."""

    request: socket.socket

    @override
    def handle(self) -> None:
        if self.request.recv(REQUEST_SIZE):
            self.request.sendall(PONG)


class Dns(socketserver.BaseRequestHandler):
    """A fixed A record."""

    request: tuple[bytes, socket.socket]
    client_address: Any

    @override
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(dns_reply(data), self.client_address)


class Kept(socketserver.BaseRequestHandler):
    """A reply for each request, until the client has gone."""

    request: socket.socket

    @override
    def handle(self) -> None:
        receive, send = self.request.recv, self.request.sendall
        while data := receive(REQUEST_SIZE):
            send(PONG * data.count(EACH))


class Lines(socketserver.StreamRequestHandler):
    """A reply for each line."""

    @override
    def handle(self) -> None:
        read, write = self.rfile.readline, self.wfile.write
        while read(REQUEST_SIZE):
            write(PONG)


class _Bound(socketserver.BaseServer):
    """What the two libraries name differently."""

    socket: socket.socket

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        host, port = self.socket.getsockname()
        return host, port

    def listen(self) -> None:
        """Nothing: it was bound when it was made."""


class SyncTCP(_Bound, socketserver.TCPServer):
    """TCPServer with sockserve's defaults."""

    allow_reuse_address = True
    request_queue_size = socket.SOMAXCONN

    @override
    def server_bind(self) -> None:
        # Inherited by what is accepted (tcp(7)), so that it costs neither library anything for a connection.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().server_bind()


class ThreadTCP(socketserver.ThreadingMixIn, SyncTCP):
    """ThreadingTCPServer; its threads are awaited at the end."""


class ThreadDaemonTCP(ThreadTCP):
    """ThreadingTCPServer; its threads are not awaited."""

    daemon_threads = True


class SyncUDP(_Bound, socketserver.UDPServer):
    """UDPServer as it is."""


_HANDLERS: dict[str, type[socketserver.BaseRequestHandler]] = {
    "once": Pong,
    "kept": Kept,
    "lines": Lines,
    "http": Hello,
}


def sync() -> SyncTCP:
    """One after the other."""
    return SyncTCP(_ANYWHERE, Pong)


def thread(what: str) -> ThreadTCP:
    """A thread for each connection, awaited at the end."""
    return ThreadTCP(_ANYWHERE, _HANDLERS[what])


def thread_daemon(what: str) -> ThreadDaemonTCP:
    """A thread for each connection, not awaited; with the handler of http.server this is ThreadingHTTPServer."""
    return ThreadDaemonTCP(_ANYWHERE, _HANDLERS[what])


def datagrams() -> SyncUDP:
    """DNS over UDP, one query after the other."""
    return SyncUDP(_ANYWHERE, Dns)


if sys.platform != "win32":

    class ForkTCP(socketserver.ForkingMixIn, SyncTCP):
        """ForkingTCPServer."""

    class ForkManyTCP(ForkTCP):
        """ForkingTCPServer, for more connections at a time than its 40."""

        max_children = 100

    def fork(what: str) -> ForkTCP:
        """A process for each connection."""
        return ForkTCP(_ANYWHERE, _HANDLERS[what])

    def fork_many(what: str) -> ForkTCP:
        """A process for each connection, of which there may be 100."""
        return ForkManyTCP(_ANYWHERE, _HANDLERS[what])
