"""No library at all: what the interpreter and the kernel cost, below which no server in Python can be."""

import select
import socket
import sys

from .answers import dns_reply
from .server_base import Forever, datagram_socket

__all__ = ("dns",)

_LARGEST = 65536  # bytes of a datagram, as `UdpTransport` receives


def _dns(sock: socket.socket) -> None:
    """Answer by recvfrom and sendto, and wait only when nothing is left."""
    if sys.platform == "win32":
        raise NotImplementedError
    receive, send = sock.recvfrom, sock.sendto
    while True:
        try:
            packet, address = receive(_LARGEST, socket.MSG_DONTWAIT)
        except BlockingIOError:
            select.select([sock], [], [])
        else:
            send(dns_reply(packet), address)


def dns() -> Forever:
    """DNS over UDP, as little as there can be."""
    return Forever(datagram_socket(), _dns)
