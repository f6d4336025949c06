"""What the peers' servers have in common: a socket that is there before they run, and no end of their own."""

import socket
from collections.abc import Callable

import attrs

__all__ = ("BACKLOG", "Forever", "datagram_socket", "stream_socket")

_ANYWHERE = ("127.0.0.1", 0)

#: For those who call listen(2) once more: asyncio's default of 100 would be what counts.
BACKLOG = socket.SOMAXCONN


def stream_socket() -> socket.socket:
    """Listen, with the options that sockserve's servers have by default; TCP_NODELAY is inherited (tcp(7))."""
    sock = socket.create_server(_ANYWHERE, backlog=BACKLOG)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def datagram_socket() -> socket.socket:
    """Bind a UDP socket."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(_ANYWHERE)
    return sock


@attrs.define(eq=False)
class Forever:
    """
    What the benchmarks ask of a server, for one that cannot be stopped.

    Args:
        sock: Its socket, bound, and listening where it is a stream socket.
        run: Serves from it until the process ends.
    """

    sock: socket.socket
    run: Callable[[socket.socket], object]
    address: tuple[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Ask for the address now: *run* may take the socket's descriptor away."""
        host, port = self.sock.getsockname()
        self.address = host, port

    def listen(self) -> None:
        """Nothing: the kernel queues clients since the socket was made."""

    def serve_forever(self) -> None:
        """Serve until the process ends."""
        self.run(self.sock)

    def shutdown(self) -> None:
        """Not for these."""
        raise NotImplementedError

    def server_close(self) -> None:
        """Close the socket."""
        self.sock.close()
