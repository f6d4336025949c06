"""Asking whether a socket is readable, without waiting."""

import select
import socket
import sys

__all__ = ("readable",)


def readable(sock: socket.socket) -> bool:
    """
    Whether poll(2) would let an accept or a receive through now.

    Another process that shares the socket may still be quicker, and the accept then waits for the next client:
    the price of leaving a foreign O_NONBLOCK flag alone.
    """
    if sys.platform != "win32" and hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        return bool(poller.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
