"""What both datagram transports share: a received datagram, and the socket that receives and answers."""

import socket
from collections.abc import Callable
from typing import TypeVar

import attrs

from .._typing import override
from ..abc import Arrival, DatagramRequest
from ..addresses import RawAddress
from ..errors import DatagramTruncated, PeerGoneError
from ._listener import SocketListener
from ._ready import readable

__all__ = ("DatagramArrival", "DatagramListener")

A = TypeVar("A")

#: The socket itself stays blocking, so that a reply to a slow client waits rather than fails (a non-blocking
#: Unix datagram socket failed with EAGAIN after 11 replies, measured); only receiving must not wait.
#: Where there is no such flag (Windows), poll(2)'s kin is asked first.
_DONT_WAIT: int = getattr(socket, "MSG_DONTWAIT", 0)


class DatagramArrival(Arrival[DatagramRequest, A]):
    """A datagram. Its socket is the listener's: nothing here shuts or closes it."""

    __slots__ = ()

    request: DatagramRequest

    @property
    @override
    def stream(self) -> bool:
        """No: there is nothing to shut or close."""
        return False

    @override
    def replace(self, request: object, /) -> None:
        """Serve another pair of packet and socket."""
        if not (isinstance(request, tuple) and len(request) == 2):
            raise TypeError(f"a datagram is replaced by a pair of bytes and socket, not by {request!r}")
        packet, sock = request
        self.request = (packet, sock)

    @override
    def finish(self) -> None:
        """Nothing to say and nothing to close."""

    @override
    def release(self) -> None:
        """Nothing to close: parent and child share the listener's socket."""

    @override
    def end_input(self) -> None:
        """Nothing more will be read anyway."""

    @override
    def abort(self) -> None:
        """Nothing to shut: other requests answer through the same socket."""

    @override
    def peer_gone(self, error: BaseException, /) -> bool:
        """Whether the reply found nobody."""
        return isinstance(error, PeerGoneError)


@attrs.define(eq=False)
class DatagramListener(SocketListener[A]):
    """
    A bound datagram socket.

    Args:
        peer: Makes the client's address from what recvfrom(2) gave.
        max_packet_size: Bytes; a longer datagram is dropped with `DatagramTruncated`.
    """

    peer: Callable[[RawAddress], A]
    max_packet_size: int

    @property
    def stream(self) -> bool:
        """No: arrivals are datagrams."""
        return False

    def accept(self) -> DatagramArrival[A]:
        """Receive one datagram. One byte more than allowed is asked for, to see that none was cut off."""
        if not _DONT_WAIT and not readable(self.sock):
            raise BlockingIOError
        limit = self.max_packet_size
        packet, raw = self.sock.recvfrom(limit + 1, _DONT_WAIT)
        if len(packet) > limit:
            raise DatagramTruncated(self.peer(raw), limit)
        return DatagramArrival((packet, self.sock), self.peer(raw))

    def close_copy(self) -> None:
        """Keep the socket: a forked child answers through it."""
