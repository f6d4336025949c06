"""Reading a socket that parks through a file: what `rfile` is, of every stream handler in a table."""

import errno
import io
import socket
from collections.abc import Callable

from .._typing import Buffer, override

__all__ = ("Source", "reader")


class Source(socket.SocketIO):
    """
    The raw file of a `CooperativeSocket`, for reading: the standard one asks four questions before each read.

    Args:
        sock: The socket, which counts this file among those that are open (see `socket.socket.makefile`).
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, "rb")
        self._receive: Callable[[Buffer], int] | None = sock.recv_into
        self._timed_out = False

    @override
    def readinto(self, b: Buffer) -> int | None:
        """See `socket.SocketIO.readinto`."""
        receive = self._receive
        if receive is None:
            if self._timed_out and not self.closed:
                raise OSError("cannot read from timed out object")
            return super().readinto(b)  # which says why not
        try:
            return receive(b)
        except TimeoutError:
            self._receive = None  # what a buffered reader had read before is lost: no later read can be right
            self._timed_out = True
            raise
        except OSError as error:
            if error.errno in _BLOCKING:
                return None
            raise

    @override
    def close(self) -> None:
        """See `socket.SocketIO.close`."""
        self._receive = None
        super().close()


_BLOCKING = (errno.EAGAIN, errno.EWOULDBLOCK)


def reader(sock: socket.socket, buffering: int | None) -> io.IOBase:
    """Make a binary file for reading, of a socket that has counted it."""
    source = Source(sock)
    if buffering == 0:
        return source
    size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
    return io.BufferedReader(source, size)
