"""
The interfaces between the parts. Who writes a transport or a strategy implements these and nothing else.

A transport makes a `Listener`, whose arrivals become jobs; a strategy makes a `Runner`, which is given jobs. A
strategy knows neither transports nor handlers, a transport neither strategies nor handlers.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from typing_extensions import TypeVar

from .events import Event

__all__ = (
    "READ",
    "WRITE",
    "Arrival",
    "Configure",
    "Core",
    "DatagramRequest",
    "Handler",
    "Job",
    "Listener",
    "Loop",
    "Runner",
    "Strategy",
    "Timer",
    "Transport",
)

R = TypeVar("R")
A = TypeVar("A")
R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)

#: A datagram, and the socket to answer through, which is the listener's own.
DatagramRequest: TypeAlias = tuple[bytes, socket.socket]

#: What answers: called with the request, the client's address and the server. The result is not used. A plain
#: callable type and neither a callback protocol nor ``type[...]``, since only so do type checkers explain a
#: handler that does not fit (docs/design/0003-typing.md).
Handler: TypeAlias = Callable[[R, A, Any], object]  # type: ignore[explicit-any]  # servers of any type variables

#: Called with a socket before it is bound, for options of one's own.
Configure: TypeAlias = Callable[[socket.socket], None]

#: Conditions to watch a descriptor for, and what is reported. The values are epoll's EPOLLIN and EPOLLOUT.
READ = 0x001
WRITE = 0x004


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


class Job(Protocol):
    """One request on its way. A strategy calls either `run`, or `disown` and later `settle`."""

    @property
    def stream(self) -> bool:
        """Whether the request is a connection."""
        ...

    @property
    def request(self) -> object:
        """What the handler will be given; replaceable before `run`."""
        ...

    @request.setter
    def request(self, request: object, /) -> None:
        """Let the handler get another."""

    @property
    def client_address(self) -> object:
        """Whom the request came from."""
        ...

    def run(self) -> bool:
        """
        Do it all: the handshake, the handler, the report of its failure, the goodbye. Called once.

        Returns:
            Whether the handler succeeded. A peer that went away is no failure.

        Raises:
            BaseException: Only what is neither an Exception nor SystemExit, after the request was closed.
        """
        ...

    def disown(self, *, end_input: Callable[[], None], abort: Callable[[], None]) -> None:
        """
        Close this process's copy: another process has begun to run the request.

        Without it, clients of a forked server never see the end of their connection. *end_input* and *abort*
        do from here on what the methods of these names did.
        """
        ...

    def settle(self, *, ok: bool) -> None:
        """Say how a disowned job ended."""
        ...

    def end_input(self) -> None:
        """Let the handler see the end of its input. Any thread; never raises."""
        ...

    def abort(self) -> None:
        """Let every wait of the handler for its peer end. Any thread; never raises."""
        ...


class Timer(Protocol):
    """A call that is due at some time."""

    def cancel(self) -> None:
        """Forget it. After the call, or again: no effect."""
        ...


class Loop(Protocol):
    """The one place that waits. All but `call_soon_threadsafe` and `resume` belong to the loop's thread."""

    def time(self) -> float:
        """Return the loop's clock: seconds, monotonic."""
        ...

    def watch(self, fd: int, callback: Callable[[int], object], /, mask: int = READ) -> None:
        """Call *callback* with the conditions met whenever *fd* is ready for what *mask* asks."""
        ...

    def unwatch(self, fd: int, /) -> None:
        """Stop watching *fd*, before it is closed. Not watched: no effect."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call *callback* when the clock reaches *when*."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        """Call *callback* in the loop's thread, soon. Any thread."""
        ...

    def resume(self) -> None:
        """Say that a runner which was full is no longer so. Any thread; cheap if nothing waits for it."""
        ...


class Core(Protocol):
    """The server's face to its strategy."""

    @property
    def listeners(self) -> "Sequence[Listener[object, object]]":
        """The open endpoints."""
        ...

    @property
    def address(self) -> object:
        """Where the server listens, for events."""
        ...

    def wants(self, kind: type[Event], /) -> bool:
        """Whether events of this kind are to be made at all."""
        ...

    def emit(self, event: Event, /) -> None:
        """Hand *event* to the observer. Never raises."""
        ...

    def request_stop(self, grace: float | None = None, /) -> None:
        """Ask the server to stop, as `Server.request_stop` does."""
        ...

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """
        Turn this copy of the server, in a process just forked, into that of one request.

        Stream listeners, the loop and its wake-up are let go, SIGINT is ignored, locks are new; a
        ``request_stop`` made here calls *relay* with its grace.
        """
        ...


@runtime_checkable
class Runner(Protocol):
    """A strategy at work for one server."""

    @property
    def full(self) -> bool:
        """Whether no job can be taken now. The loop then stops accepting until `Loop.resume`."""
        ...

    def submit(self, job: Job, /) -> None:
        """
        Take *job*; called in the loop's thread, never when `full`.

        What this raises costs that request alone: it is closed and reported.
        """
        ...

    def close(self, deadline: float | None, /) -> None:
        """
        Wait for what is in flight, as the strategy's options say, and release everything.

        *deadline* is on the loop's clock; None sets none. What is left then is abandoned. No job is submitted
        any more, and the loop does not run.
        """
        ...


@runtime_checkable
class Strategy(Protocol):
    """Where requests run: a frozen value."""

    def start(self, loop: Loop, core: Core, /) -> Runner:
        """Make the runner of one server. It starts no thread and no process before it has work."""
        ...
