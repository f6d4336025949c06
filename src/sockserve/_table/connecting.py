"""Connecting a socket that parks."""

import errno
import socket
import time
from typing import Any, TypeAlias

from .sleeping import sleep
from .waiting import WaitingSocket

__all__ = ("connect",)

_plain = socket.socket
_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it

#: connect(2). On Windows it is WSAEWOULDBLOCK.
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS))
#: Seconds between two tries to connect to a Unix socket, at first, and at most.
_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


def connect(sock: WaitingSocket, address: _Address) -> int:
    """Connect, and return the error's number, as `socket.socket.connect_ex`; TimeoutError is raised."""
    number = _plain.connect_ex(sock, address)
    if number == 0 or sock.gettimeout() == 0.0:
        return number
    if number == errno.EAGAIN:
        # A Unix socket, whose server's queue is full: nothing tells when there is room.
        return _connect_later(sock, address)
    if number not in _IN_PROGRESS:
        return number
    deadline: float | None = None
    while True:
        deadline = sock.wait_writable(deadline)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number or _is_connected(sock):
            return number


def _is_connected(sock: WaitingSocket) -> bool:
    try:
        sock.getpeername()
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return False
    return True


def _connect_later(sock: WaitingSocket, address: _Address) -> int:
    patience = sock.gettimeout()
    until = None if patience is None else time.monotonic() + patience
    pause = _PAUSE
    while until is None or time.monotonic() + pause < until:
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        number = _plain.connect_ex(sock, address)
        if number != errno.EAGAIN:
            return number
    return errno.EAGAIN
