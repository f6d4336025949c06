"""gevent's StreamServer and DatagramServer, without monkey-patching: handlers are given gevent's sockets."""

import importlib
import socket
from collections.abc import Callable
from typing import Any

from .answers import EACH, PONG, REQUEST_SIZE, Hello, dns_reply
from .server_base import Forever, datagram_socket, stream_socket

__all__ = ("datagrams", "streams")


def _kept(sock: Any, _address: object) -> None:
    receive, send = sock.recv, sock.sendall
    while data := receive(REQUEST_SIZE):
        send(PONG * data.count(EACH))


def _once(sock: Any, _address: object) -> None:
    if sock.recv(REQUEST_SIZE):
        sock.sendall(PONG)


def _lines(sock: Any, _address: object) -> None:
    with sock.makefile("rb") as rfile:
        read, send = rfile.readline, sock.sendall
        while read(REQUEST_SIZE):
            send(PONG)


def _http(sock: Any, address: Any) -> None:
    nobody: Any = None  # its server, which the handler does not ask for anything
    Hello(sock, address, nobody)


#: A greenlet for each connection runs one of these.
_HANDLERS: dict[str, Callable[[Any, Any], None]] = {"kept": _kept, "once": _once, "lines": _lines, "http": _http}


def _owned(sock: socket.socket) -> Any:
    """Make it a socket of gevent's."""
    # By name, here and below: the type checkers' environment need not have it.
    gevent_socket: Any = importlib.import_module("gevent.socket")
    return gevent_socket.socket(sock.family, sock.type, fileno=sock.detach())


def streams(what: str) -> Forever:
    """Make a server of connections."""
    make: Any = importlib.import_module("gevent.server").StreamServer
    handle = _HANDLERS[what]
    return Forever(stream_socket(), lambda sock: make(_owned(sock), handle).serve_forever())


def datagrams() -> Forever:
    """DNS over UDP."""
    make: Any = importlib.import_module("gevent.server").DatagramServer

    def run(sock: socket.socket) -> None:
        listener = _owned(sock)
        make(listener, lambda data, address: listener.sendto(dns_reply(data), address)).serve_forever()

    return Forever(datagram_socket(), run)
