"""Between a transport and the server: what arrives, and where."""

import socket
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from .._typing import TypeVar
from ._arrival import Arrival

__all__ = ("Configure", "Listener", "PulseListener", "SharingTransport", "Transport")

R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)

#: Called with a socket before it is bound, for options of one's own.
Configure: TypeAlias = Callable[[socket.socket], None]


class Listener(Protocol[R_co, A_co]):
    """An open endpoint. Made by `Transport.listen`; owned by the server, which closes it."""

    @property
    def address(self) -> A_co:
        """Where it listens, as the kernel says (getsockname)."""
        ...

    @property
    def stream(self) -> bool:
        """Whether arrivals are connections. A forked child closes only such a listener."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that gets readable when something has arrived."""
        ...

    def accept(self) -> Arrival[R_co, A_co]:
        """
        Return what has arrived, at once.

        Raises:
            BlockingIOError: Nothing has arrived.
            ArrivalRefused: What has arrived is turned away, and dropped or closed: a datagram that is too long
                (`DatagramTruncated`), a peer that may not be served.
            OSError: Handled as the table of accept errors says.
        """
        ...

    def close(self) -> None:
        """Close the endpoint, and remove what it left in the file system. Again: no effect."""
        ...

    def close_copy(self) -> None:
        """Close a forked child's copy of the descriptor, and nothing else."""
        ...


@runtime_checkable
class PulseListener(Listener[R_co, A_co], Protocol[R_co, A_co]):
    """
    A listener whose connections can tell since when they wait for their peers, for an idle deadline.

    Those of others are exchanged where they are served, which costs each a bit more.
    """

    def watch_arrivals(self) -> None:
        """Let them, from the next one on. Again: no effect."""
        ...


class Transport(Protocol[R_co, A_co]):
    """How requests arrive: a frozen value. It opens nothing before `listen`."""

    @property
    def stream(self) -> bool:
        """Whether requests are connections rather than datagrams."""
        ...

    def listen(self) -> Listener[R_co, A_co]:
        """
        Open the endpoint; when this returns, the kernel queues clients.

        Raises:
            ListenError: The system refused.
        """
        ...


@runtime_checkable
class SharingTransport(Transport[R_co, A_co], Protocol[R_co, A_co]):
    """A transport of which several endpoints can be open at one address: the kernel spreads clients over them."""

    def sharing(self, address: object = None, /) -> Transport[R_co, A_co]:
        """
        Return what opens such endpoints: the first at this transport's address, the others at that of the first.

        Raises:
            CompositionError: The platform cannot.
        """
        ...
