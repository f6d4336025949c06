"""Waiting for one socket without a table: in other threads, and in processes that a handler has forked."""

import errno
import math
import os
import select
import socket
import sys

__all__ = ("wait_for",)


def wait_for(sock: socket.socket, *, write: bool, timeout: float | None) -> None:
    """
    Wait in this thread until *sock* can be written to, or read from.

    Raises:
        TimeoutError: It could not, for *timeout* seconds.
        OSError: The socket is closed.
    """
    if sock.fileno() < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if sys.platform != "win32" and hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock, select.POLLOUT if write else select.POLLIN)
        found = bool(poller.poll(None if timeout is None else _milliseconds(timeout)))
    else:
        each = [sock]
        found = any(select.select([] if write else each, each if write else [], [], timeout))
    if not found:
        raise TimeoutError("timed out")


#: Of one wait, at most: an int of the system's.
_LONGEST = 2**31 - 1


def _milliseconds(timeout: float) -> int:
    """Round up: a wait that ends too early would look like an event."""
    return math.ceil(min(timeout * 1000, _LONGEST))
