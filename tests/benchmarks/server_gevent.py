"""gevent's StreamServer, without monkey-patching: its own sockets, handlers written for it."""

import importlib
import socket
from typing import Any

from .answers import PONG, REQUEST_SIZE

__all__ = ("GeventServer", "kept", "lines")


class GeventServer:
    """What the benchmarks ask of a server."""

    def __init__(self, handle: Any) -> None:
        # By name: the type checkers' environment need not have it.
        make: Any = importlib.import_module("gevent.server").StreamServer
        self._server = make(("127.0.0.1", 0), handle, backlog=socket.SOMAXCONN)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._server.address
        return host, port

    def listen(self) -> None:
        """Bind and listen."""
        self._server.init_socket()
        self._server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve_forever(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    def shutdown(self) -> None:
        """Not for this one."""
        raise NotImplementedError

    def server_close(self) -> None:
        """Close the socket."""
        self._server.close()


def _kept(sock: Any, _address: object) -> None:
    receive, send = sock.recv, sock.sendall
    while receive(REQUEST_SIZE):
        send(PONG)


def _lines(sock: Any, _address: object) -> None:
    with sock.makefile("rb") as rfile:
        read, send = rfile.readline, sock.sendall
        while read(REQUEST_SIZE):
            send(PONG)


def kept() -> GeventServer:
    """A greenlet for each connection; recv and sendall."""
    return GeventServer(_kept)


def lines() -> GeventServer:
    """A greenlet for each connection; lines by makefile."""
    return GeventServer(_lines)
