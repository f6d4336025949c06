"""Receiving with flags over a socket that parks: what they mean for a blocking one."""

import functools
import socket
from typing import TYPE_CHECKING

from .._typing import Buffer

if TYPE_CHECKING:
    from .waiting import WaitingSocket

__all__ = ("MSG_DONTWAIT", "NEVER_WAITS", "receive", "receive_into")

#: This call is not to wait, whatever the socket does. 0 where the system has no such flag.
MSG_DONTWAIT: int = getattr(socket, "MSG_DONTWAIT", 0)
#: Reads with these never wait (tcp(7), ip(7)): they look beside the stream, of which nothing may be there.
NEVER_WAITS: int = MSG_DONTWAIT | socket.MSG_OOB | getattr(socket, "MSG_ERRQUEUE", 0)
#: Wait for all. The system takes no notice of it where the descriptor does not block, as ours.
_WAITALL: int = getattr(socket, "MSG_WAITALL", 0)

_recv = socket.socket.recv
_recv_into = socket.socket.recv_into


def receive(sock: "WaitingSocket", bufsize: int, flags: int) -> bytes:
    """See `socket.socket.recv`."""
    if _waits_for_all(sock, flags) and bufsize > 0:
        found = bytearray(bufsize)
        return bytes(found[: _receive_all(sock, memoryview(found), flags)])
    return sock.when_readable(lambda: _recv(sock, bufsize, flags), flags)


def receive_into(sock: "WaitingSocket", buffer: Buffer, nbytes: int, flags: int) -> int:
    """See `socket.socket.recv_into`."""
    if _waits_for_all(sock, flags) and nbytes >= 0:
        with memoryview(buffer) as whole, whole.cast("B") as view:
            if nbytes <= view.nbytes:
                return _receive_all(sock, view[: nbytes or view.nbytes], flags)
    return sock.when_readable(lambda: _recv_into(sock, buffer, nbytes, flags), flags)


def _waits_for_all(sock: "WaitingSocket", flags: int) -> bool:
    """Whether a plain socket would: not one with a timeout, whose descriptor does not block either."""
    waits = _WAITALL != 0 and flags & _PLAINLY == _WAITALL and sock.gettimeout() is None
    return waits and bool(sock.type & socket.SOCK_STREAM)


#: With these the system's meaning of "all" is another one.
_PLAINLY = _WAITALL | NEVER_WAITS | socket.MSG_PEEK


def _receive_all(sock: "WaitingSocket", view: memoryview, flags: int) -> int:
    """Fill *view*, unless the stream ends before; return how much was received."""
    size = 0
    with view:
        while size < view.nbytes:
            with view[size:] as rest:
                found = sock.when_readable(functools.partial(_recv_into, sock, rest, 0, flags))
            if not found:
                break
            size += found
    return size
