"""What transports share that wrap another one's connections."""

import socket
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import attrs

from ..abc import Arrival, Listener, Opening, PulseListener, SharingTransport, Transport
from ..errors import CompositionError, OptionTypeError

__all__ = ("WrappingListener", "check_wrapped", "shared")

R = TypeVar("R")
A = TypeVar("A")


def check_wrapped(owner: object, inner: object, why: str) -> None:
    """
    Refuse what is no transport of connections.

    Raises:
        OptionTypeError: It is no transport.
        CompositionError: It brings datagrams; *why* that does not do.
    """
    name = type(owner).__name__
    if isinstance(inner, type) or not callable(getattr(inner, "listen", None)):
        raise OptionTypeError(f"{name}: inner must be a transport such as TcpTransport(...), not {inner!r}")
    if not getattr(inner, "stream", False):
        raise CompositionError(
            f"{name}: {type(inner).__name__} brings datagrams, and {why} needs connections; use TcpTransport, "
            "UnixStreamTransport, or AdoptedTransport of a listening socket"
        )


def shared(owner: object, inner: Transport[R, A], address: object) -> Transport[R, A]:
    """
    Return *inner* as `sockserve.abc.SharingTransport.sharing` does.

    Raises:
        CompositionError: It cannot.
    """
    if not isinstance(inner, SharingTransport):
        raise CompositionError(
            f"{type(owner).__name__}: {type(inner).__name__} opens one endpoint at its address only"
        )
    return inner.sharing(address)


@attrs.define(eq=False)
class WrappingListener(Generic[R, A]):
    """
    The listener of the transport below, with arrivals that have a step more to take before they are served.

    Args:
        inner: Of the transport below.
        openings: The steps to take, for an arrival, after those that it has: none where it is served as it is.
    """

    inner: Listener[socket.socket, object]
    openings: Callable[[Arrival[socket.socket, object]], tuple[Opening, ...]]

    @property
    def address(self) -> A:
        """Where it listens."""
        return cast("A", self.inner.address)

    @property
    def stream(self) -> bool:
        """Yes: arrivals are connections."""
        return True

    def fileno(self) -> int:
        """Return the listening socket's descriptor."""
        return self.inner.fileno()

    def watch_arrivals(self) -> None:
        """See `sockserve.abc.PulseListener`."""
        if isinstance(self.inner, PulseListener):
            self.inner.watch_arrivals()

    def accept(self) -> Arrival[R, A]:
        """Accept one connection. Not a byte of it is read here."""
        arrival = self.inner.accept()
        arrival.openings += self.openings(arrival)
        # It has what is promised once these have been performed.
        return cast("Arrival[R, A]", arrival)

    def close(self) -> None:
        """Close the endpoint."""
        self.inner.close()

    def close_copy(self) -> None:
        """Close a forked child's copy of the descriptor."""
        self.inner.close_copy()
