"""Waiting for one socket without a table: in other threads, and in processes that a handler has forked."""

import errno
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
        # Rounded up: a wait that ends too early would look like an event.
        found = bool(poller.poll(None if timeout is None else -int(-timeout * 1000 // 1)))
    else:
        each = [sock]
        found = any(select.select([] if write else each, each if write else [], [], timeout))
    if not found:
        raise TimeoutError("timed out")
