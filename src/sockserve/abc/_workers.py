"""Between a strategy that supervises processes and the server: who accepts nothing here, and who serves there."""

import enum
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ..stats import Stats
from ._strategy import Core, Runner, Strategy
from ._transport import Listener

__all__ = ("Cells", "Order", "Overseer", "Supervisor", "Tally", "WorkerCore", "Workplace")


class Cells(Protocol):
    """Numbers in a row."""

    def __getitem__(self, index: int, /) -> int:
        """Return one."""
        ...

    def __setitem__(self, index: int, value: int, /) -> None:
        """Change one."""
        ...


class Tally(Protocol):
    """Where a server's requests are counted, besides in the process that has them."""

    @property
    def cells(self) -> Cells:
        """Where what is measured is counted, if it is: none is ever set back."""
        ...

    def accepted(self) -> None:
        """Count one that is handed to the strategy. The loop's thread only."""
        ...

    def ended(self, ok: bool, /) -> None:
        """Count the end of one. Any thread, never two at a time."""
        ...

    def refused(self) -> None:
        """Count one that was turned away. Any thread, never two at a time."""
        ...


@runtime_checkable
class Supervisor(Runner, Protocol):
    """
    A runner whose requests are accepted where they run, in other processes. It is always `full`.

    All of this is called in the loop's thread.
    """

    @property
    def grace(self) -> float:
        """Seconds for what is in flight where a signal asks to stop."""
        ...

    @property
    def over(self) -> bool:
        """Whether no worker is left."""
        ...

    def begin(self, ended: Callable[[], object], /) -> None:
        """Serve: the loop is open. *ended* is called whenever a worker has ended."""
        ...

    def renew(self) -> None:
        """Replace all workers, one by one: each goes on accepting until its successor does."""
        ...

    def drain(self, until: float, /) -> None:
        """Accept nothing more; what is in flight may go on until then, on the loop's clock. Again: earlier."""
        ...

    def abort(self) -> None:
        """Let every wait of a handler for its client end."""
        ...

    def end(self) -> None:
        """Accept nothing more: ``serve_forever`` is left. What is in flight goes on, until `close`."""
        ...


class Order(enum.Enum):
    """What a worker is told."""

    STOP = "stop"
    """Accept nothing more, as for ``shutdown()``; what is in flight goes on."""
    DRAIN = "drain"
    """Accept nothing more, and end when what is in flight has ended, or its grace."""
    CLOSE = "close"
    """End, as for ``server_close()``: what is in flight gets the end of its input."""
    ABORT = "abort"
    """End what is in flight."""
    ORPHAN = "orphan"
    """Nobody is there any more who could tell: let go of the endpoint, and drain."""


class Overseer(Protocol):
    """The process that supervises a worker, as the worker sees it. Nothing here blocks or raises."""

    @property
    def grace(self) -> float:
        """Seconds for what is in flight where nobody says how many."""
        ...

    @property
    def mask(self) -> set[int]:
        """The signals that were blocked where the worker was forked."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that is readable when there are orders."""
        ...

    def orders(self) -> Sequence[tuple[Order, float]]:
        """Take the orders that have come, each with its grace."""
        ...

    def serving(self) -> None:
        """Tell that this worker accepts."""
        ...

    def leaving(self) -> None:
        """Tell that it ends, though it was not told to."""
        ...

    def ask_to_stop(self, grace: float | None, /) -> None:
        """Ask for the end of the whole server."""
        ...

    def ask_to_renew(self) -> None:
        """Ask for the replacement of all workers."""
        ...


class Workplace(Protocol):
    """What a worker gets from the process that it was forked from."""

    @property
    def listener(self) -> Listener[object, object]:
        """What is open there and here, and stays so."""
        ...

    @property
    def entrance(self) -> Listener[object, object]:
        """That, as it is accepted from."""
        ...

    @property
    def tally(self) -> Tally:
        """Where it counts."""
        ...

    @property
    def totals(self) -> Callable[[], Stats]:
        """What all workers have counted."""
        ...

    @property
    def yields(self) -> Callable[[], bool] | None:
        """Whether the next arrival is to be left to others, for a moment. None: no other accepts from this."""
        ...

    @property
    def measured(self) -> Callable[[], Sequence[int]]:
        """The cells of all workers, those of one kind added up."""
        ...

    @property
    def overseer(self) -> Overseer:
        """Whom it obeys."""
        ...


@runtime_checkable
class WorkerCore(Core, Protocol):
    """A server that can be served by processes of its strategy's. Those that are inherited from cannot."""

    def count_in(
        self, tally: Tally | None, totals: Callable[[], Stats], measured: Callable[[], Sequence[int]], /
    ) -> None:
        """
        Let the server's counts be *totals*, and count in *tally* too what happens in this process; *measured* are
        the cells of all.
        """
        ...

    def serve(self, inner: Strategy, workplace: Workplace, /) -> None:
        """
        Turn this copy of the server, in a process just forked, into a worker, and serve under *inner*.

        Returns when the worker has obeyed the order to end, with nothing in flight any more.

        Raises:
            BaseException: What ended it otherwise.
        """
        ...
