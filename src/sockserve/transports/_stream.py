"""What all stream transports share: an accepted connection, and the listener that accepts it."""

import errno
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from ..addresses import RawAddress
from ._listener import SocketListener
from ._ready import readable

__all__ = ("StreamArrival", "StreamListener")

A = TypeVar("A")


@attrs.define(eq=False)
class StreamArrival(Generic[A]):
    """
    An accepted connection.

    Resource handling:
        `finish` or `disown` closes the socket; a handler that closes or detaches it earlier does no harm.
    """

    request: socket.socket
    client_address: A

    @property
    def stream(self) -> bool:
        """Yes: there is something to shut and close."""
        return True

    def replace(self, request: object, /) -> None:
        """Serve *request* in place of the accepted socket."""
        if not isinstance(request, socket.socket):
            raise TypeError(f"a connection is replaced by a socket, not by {request!r}")
        self.request = request

    def open(self) -> socket.socket:
        """Return the socket: a plain connection is ready at once."""
        return self.request

    def finish(self) -> None:
        """Send the end of the stream, whoever else has a copy of the socket, and close this one."""
        try:
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # reset by the peer, or closed or detached by the handler
        try:
            self.request.close()
        except OSError:
            pass  # the handler has closed its descriptor by number

    def disown(self) -> None:
        """Close this process's copy; the connection goes on in the other."""
        self.request.close()

    def end_input(self) -> None:
        """Shut the reading side: a read that waits returns the end of the stream."""
        self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """Shut both sides: reads return the end of the stream, writes raise BrokenPipeError."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        # The plain method on the object, never a bare number: a number could be another client's by now, and
        # subclasses (TLS) do more than shut.
        try:
            socket.socket.shutdown(self.request, how)
        except OSError:
            pass  # it has ended meanwhile

    def peer_gone(self, error: BaseException, /) -> bool:
        """
        Whether *error* is of the kind that a lost peer causes, and this connection has really lost its own.

        A handler that talks to others can meet the same errors there: that is not for us to hide.
        """
        if not isinstance(error, ConnectionError | TimeoutError):
            return False
        if self.request.family in _INET:
            return self._disconnected()
        return self._hung_up()

    def _disconnected(self) -> bool:
        try:
            self.request.getpeername()
        except OSError as error:
            return self.request.fileno() >= 0 and error.errno in _NOT_CONNECTED
        return False

    def _hung_up(self) -> bool:
        """Ask poll(2): a Unix socket still knows the name of a peer that has gone (measured, Linux 6)."""
        if sys.platform == "win32":
            raise NotImplementedError
        if self.request.fileno() < 0:
            return False
        poller = select.poll()
        poller.register(self.request, 0)
        return bool(poller.poll(0))


_INET = (socket.AF_INET, socket.AF_INET6)
#: getpeername(2): ENOTCONN; macOS says EINVAL of a connection that was reset.
_NOT_CONNECTED = (errno.ENOTCONN, errno.EINVAL)


@attrs.define(eq=False)
class StreamListener(SocketListener[A]):
    """
    A listening socket.

    Args:
        peer: Makes the client's address from the accepted socket and what accept(2) gave.
        tune: Called with every accepted socket, for options that it does not inherit here.
        poll: Ask whether something has arrived before each accept. For sockets whose O_NONBLOCK flag is not ours
            to set.
    """

    peer: Callable[[socket.socket, RawAddress], A]
    tune: Callable[[socket.socket], None] | None = None
    poll: bool = False

    @property
    def stream(self) -> bool:
        """Yes: arrivals are connections."""
        return True

    def accept(self) -> StreamArrival[A]:
        """Accept one connection; its socket blocks, whatever the listener and `socket.setdefaulttimeout` say."""
        if self.poll and not readable(self.sock):
            raise BlockingIOError
        request, raw = self.sock.accept()
        try:
            request.settimeout(None)
            if self.tune is not None:
                self.tune(request)
            return StreamArrival(request, self.peer(request, raw))
        except BaseException:
            request.close()
            raise

    def close_copy(self) -> None:
        """Close the socket only, by the shortest way: what is in the file system is the parent's."""
        if self.sock.fileno() >= 0:
            os.close(self.sock.detach())
