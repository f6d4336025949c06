"""trio: a task for each connection."""

import importlib
import socket
from typing import Any

from .answers import EACH, PONG, REQUEST_SIZE, dns_reply
from .server_base import Forever, datagram_socket, stream_socket

__all__ = ("datagrams", "streams")

# By name: the type checkers' environment need not have it.
trio: Any = importlib.import_module("trio")


async def _kept(stream: Any) -> None:
    try:
        while data := await stream.receive_some(REQUEST_SIZE):
            await stream.send_all(PONG * data.count(EACH))
    except trio.BrokenResourceError:
        pass


async def _once(stream: Any) -> None:
    try:
        if await stream.receive_some(REQUEST_SIZE):
            await stream.send_all(PONG)
    except trio.BrokenResourceError:
        pass


_HANDLERS = {"kept": _kept, "once": _once}


def streams(what: str) -> Forever:
    """Make a server of connections; it closes each when the handler has returned."""
    handler = _HANDLERS[what]

    def run(sock: socket.socket) -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        trio.run(trio.serve_listeners, handler, [listener])

    return Forever(stream_socket(), run)


async def _dns(sock: Any) -> None:
    while True:
        data, address = await sock.recvfrom(65536)
        await sock.sendto(dns_reply(data), address)


def datagrams() -> Forever:
    """DNS over UDP, one query after the other."""
    return Forever(datagram_socket(), lambda sock: trio.run(_dns, trio.socket.from_stdlib_socket(sock)))
