"""Between a strategy and the server: jobs, and who runs them."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from ..deadlines import Deadlines
from ..events import Event
from ._arrival import Keeper
from ._loop import Loop
from ._message import Conversation, Reply
from ._transport import Listener, Transport

__all__ = (
    "CheckingStrategy",
    "Core",
    "Job",
    "LoadingStrategy",
    "OpeningStrategy",
    "Runner",
    "Strategy",
)

R = TypeVar("R")
A = TypeVar("A")


class Job(Protocol):
    """
    One request on its way.

    A strategy calls either `run`, or `disown` and later `settle`, or `conversation` and, if there is one,
    `conclude`.
    """

    @property
    def stream(self) -> bool:
        """Whether the request is a connection."""
        ...

    @property
    def request(self) -> object:
        """What the handler will be given."""
        ...

    def replace(self, request: object, /) -> None:
        """Let the handler get *request* instead, before `run`: a strategy's own kind of socket."""
        ...

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """
        Let *respond* answer messages, before `run`: called with the handler and one message, where `run` runs.

        For who runs the handler's own method elsewhere. No effect where the handler is no `MessageHandler`.
        """
        ...

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

    def conversation(self) -> Conversation | None:
        """
        Begin the request as a conversation, whose driver reads and writes for it, in place of `run`.

        None where it has to be `run`: a datagram, a handler that is no `MessageHandler`, a connection whose bytes
        are not those of its messages (TLS). Called once; who gets one calls `conclude` at the end.

        Raises:
            BaseException: What making the handler raises. `conclude` it.
        """
        ...

    def conclude(self, error: BaseException | None, /) -> bool:
        """
        End a conversation: report the *error* that it ended with, if any, say goodbye, close. Called once, last.

        Returns:
            As `run`.

        Raises:
            BaseException: The *error*, if it is not for this request alone, after the request was closed.
        """
        ...

    def disown(self, keeper: Keeper, /) -> None:
        """
        Close this process's copy: another process has begun to run the request.

        Without it, clients of a forked server never see the end of their connection. What the server wants of
        the request from here on, it asks of *keeper*.
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

    @property
    def handler_name(self) -> str:
        """The dotted name of what answers, for events."""
        ...

    @property
    def handler(self) -> object:
        """What answers, as it was composed: a class, a `functools.partial`, any callable."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """How long connections may take. The server keeps them, by what a runner tells it (`PulseRunner`)."""
        ...

    @property
    def answers_messages(self) -> bool:
        """Whether what answers is a `MessageHandler`, which never waits for its client by itself."""
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

    def move(self, loop: Loop, /) -> None:
        """
        Belong to *loop* from here on, with what is in flight.

        Called between two times of serving, where the next is on another loop (`sockserve.serve`). The old one
        runs no more: what is watched there has to be watched here.
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


@runtime_checkable
class CheckingStrategy(Strategy, Protocol):
    """A strategy that does not serve everything. One that wraps another passes the question on."""

    def check_composition(self, transport: object, handler: object, /, *, forks: bool = False) -> None:
        """
        Look at what is to be served, when a server is composed of it. Nothing is opened or started.

        Args:
            transport: How requests will arrive.
            handler: What is to answer them.
            forks: Whether that will be in processes that are forked from this one.

        Raises:
            CompositionError: This cannot be served; says what to do.
        """
        ...


@runtime_checkable
class LoadingStrategy(Strategy, Protocol):
    """A strategy that puts off an import until it is started."""

    def load(self) -> None:
        """Import it now: called before processes are forked that start it, which then share it."""
        ...


@runtime_checkable
class OpeningStrategy(Strategy, Protocol):
    """A strategy that needs more than one endpoint of a transport."""

    def listen(self, transport: Transport[R, A], /) -> Sequence[Listener[R, A]]:
        """
        Open what it needs. The server has the address of the first, and closes all.

        Raises:
            ListenError: The system refused; nothing is left open.
        """
        ...
