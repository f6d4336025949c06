"""Between a transport and the server: what arrives, and where."""

import socket
from collections.abc import Callable
from typing import Protocol, TypeAlias

from typing_extensions import TypeVar

__all__ = ("Arrival", "Configure", "DatagramRequest", "Listener", "Transport")

R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)

#: A datagram, and the socket to answer through, which is the listener's own.
DatagramRequest: TypeAlias = tuple[bytes, socket.socket]

#: Called with a socket before it is bound, for options of one's own.
Configure: TypeAlias = Callable[[socket.socket], None]


class Arrival(Protocol[R_co, A_co]):
    """One request that a listener has accepted, with what only its transport knows to do with it."""

    @property
    def request(self) -> R_co:
        """What the handler will be given."""
        ...

    @property
    def client_address(self) -> A_co:
        """Whom it came from."""
        ...

    @property
    def stream(self) -> bool:
        """Whether it is a connection: a datagram has nothing to shut or close."""
        ...

    def replace(self, request: object, /) -> None:
        """Let the handler get *request* instead, before `open`: a strategy's own kind of socket."""
        ...

    def open(self) -> R_co:
        """Make the request ready for its handler, where that runs, and return it (TLS shakes hands here)."""
        ...

    def finish(self) -> None:
        """Say goodbye and close. Called once, in the process that ran the handler. Never raises."""
        ...

    def disown(self) -> None:
        """Close this process's copy only, without a word to the peer: another process runs the request."""
        ...

    def end_input(self) -> None:
        """Let the handler see the end of its input, whoever waits for it. Any thread; never raises."""
        ...

    def abort(self) -> None:
        """Let every wait of the handler for its peer end. Any thread; never raises."""
        ...

    def peer_gone(self, error: BaseException, /) -> bool:
        """Whether *error*, raised by the handler, only means that this peer is not there any more."""
        ...


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
            DatagramTruncated: What has arrived was too long, and is dropped.
            OSError: Handled as the table of accept errors says.
        """
        ...

    def close(self) -> None:
        """Close the endpoint, and remove what it left in the file system. Again: no effect."""
        ...

    def close_copy(self) -> None:
        """Close a forked child's copy of the descriptor, and nothing else."""
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
