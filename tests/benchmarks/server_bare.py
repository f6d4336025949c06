"""No library at all: what the interpreter and the kernel cost, below which no server in Python can be."""

import select
import socket
import sys

from .answers import dns_reply

__all__ = ("BareDns", "dns")

_LARGEST = 65536  # bytes of a datagram, as `UdpTransport` receives


class BareDns:
    """A loop of recvfrom and sendto that waits only when nothing is left. It cannot be stopped: for load only."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> tuple[str, int]:
        """Where it is bound."""
        host, port = self._socket.getsockname()
        return host, port

    def listen(self) -> None:
        """Nothing: it was bound when it was made."""

    def serve_forever(self) -> None:
        """Answer until the process ends."""
        if sys.platform == "win32":
            raise NotImplementedError
        receive, send = self._socket.recvfrom, self._socket.sendto
        while True:
            try:
                packet, address = receive(_LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                select.select([self._socket], [], [])
            else:
                send(dns_reply(packet), address)

    def shutdown(self) -> None:
        """Not for this one."""
        raise NotImplementedError

    def server_close(self) -> None:
        """Close the socket."""
        self._socket.close()


def dns() -> BareDns:
    """DNS over UDP, as little as there can be."""
    return BareDns()
