"""One worker: as its supervisor knows it, and its process from the fork to its end."""

import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import attrs

from ..abc import Keeper, Listener, Order, Overseer, Strategy, Timer, WorkerCore
from ..stats import Stats, WorkerInfo, WorkerState
from ..strategies._forks import flush
from .board import Record
from .link import Link, WorkerLink

__all__ = ("FOR_WORKERS", "Post", "Worker", "work")

#: What a worker must not get before it has its own handlers.
FOR_WORKERS = frozenset(
    int(getattr(signal, name, 0)) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGIO")
)


@attrs.define(eq=False, kw_only=True)
class Worker:
    """
    What a supervisor knows of one worker.

    Args:
        number: Of the slot that it is for.
        link: The supervisor's end.
        theirs: The worker's end, ours until the fork.
        record: Where it counts.
    """

    number: int
    link: Link
    theirs: socket.socket
    record: Record
    pid: int = 0
    #: When it said that it accepts, on the loop's clock; None until then.
    since: float | None = None
    #: Whether it is to be replaced, though nothing is wrong with it.
    stale: bool = False
    #: Whether its end is no surprise.
    leaving: bool = False
    #: What it died of, as it said itself.
    error: str = ""
    timer: Timer | None = None

    def disown(self, _keeper: Keeper, /) -> None:
        """Let go of its end of the link, which is its own."""
        self.theirs.close()

    def order(self, order: Order, grace: float = 0.0) -> None:
        """Tell it what to do: each of these means that it accepts no more."""
        self.leaving = True
        self.record.open(accepts=False)
        self.link.order(order, grace)

    def info(self) -> WorkerInfo:
        """Describe it."""
        state: WorkerState = "draining" if self.leaving else "starting" if self.since is None else "serving"
        return WorkerInfo(number=self.number, pid=self.pid, state=state, since=self.since, stats=self.record.own())

    def close(self) -> None:
        """Forget the process."""
        if self.timer is not None:
            self.timer.cancel()
        self.link.close()
        self.theirs.close()


@attrs.frozen(kw_only=True)
class Post:
    """Implements `sockserve.abc.Workplace`."""

    listener: Listener[object, object]
    entrance: Listener[object, object]
    tally: Record
    totals: Callable[[], Stats]
    yields: Callable[[], bool] | None
    measured: Callable[[], Sequence[int]]
    overseer: Overseer


def work(core: WorkerCore, inner: Strategy, post: Post, link: WorkerLink) -> NoReturn:
    """Serve, in the worker's process, and leave it: no atexit function, no ``finally`` clause further out runs."""
    status = 1
    try:
        core.serve(inner, post)
        status = 0
    except BaseException as error:
        _explain(error)  # first: who hears of the failure may end us
        link.failed(error)
        raise  # goes no further than the next lines
    finally:
        try:
            flush()
        finally:
            os._exit(status)


def _explain(error: BaseException) -> None:
    """Print *error* as the interpreter would, but in one piece: the other workers may fail with us."""
    if sys.excepthook is not sys.__excepthook__ or sys.stderr is None:
        sys.excepthook(type(error), error, error.__traceback__)
        return
    with contextlib.suppress(OSError, ValueError):  # closed: nobody wants to know
        sys.stderr.write("".join(traceback.format_exception(error)))
