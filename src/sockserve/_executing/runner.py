"""An executor at work for one server."""

import functools
from collections.abc import Callable, Iterator

import attrs

from .._table.runner import TableRunner
from .._table.sleeping import make_ticket
from ..abc import Core, Job, Loop, Reply
from ..messages import MessageHandler
from ..stats import RowInfo
from .checks import forks_workers
from .desk import Desk, answer_of
from .rows import TaskRow

__all__ = ("ExecutorRunner",)


@attrs.define(eq=False, init=False)
class ExecutorRunner:
    """
    Parks requests in a table while an executor answers their messages. Implements `sockserve.abc.LoopRunner`.

    A plain connection is a row without a stack. One with TLS, and a datagram, is served by a fibre that waits for
    each task: it has more to wait for than that.

    Args:
        desk: Hands messages over.
        slow: Seconds that a row may hold the loop without being reported.
        loop: Where requests are served.
        core: The server's.
    """

    _desk: Desk
    _core: Core
    _table: TableRunner

    def __init__(self, desk: Desk, slow: float, loop: Loop, core: Core) -> None:
        self._desk = desk
        self._core = core
        self._table = TableRunner(slow, loop, core, functools.partial(TaskRow, desk))
        if forks_workers(desk.executor):
            from multiprocessing import util  # noqa: PLC0415 - loaded already, with the executor

            # Called in multiprocessing's own children only, not wherever the program or a handler forks.
            util.register_after_fork(self, ExecutorRunner._let_go)

    @property
    def full(self) -> bool:
        """Whether the executor has as many tasks as it may."""
        return self._desk.full

    def submit(self, job: Job, /) -> None:
        """Begin with *job*, at once, until it waits for the first time."""
        job.respond_by(functools.partial(self._respond, job))
        self._table.submit(job)

    def _respond(self, job: Job, handler: object, message: bytes) -> Reply:
        """Have a message answered, and wait for it, in a row with a stack."""
        assert isinstance(handler, MessageHandler)
        desk = self._desk
        place = make_ticket()
        if not desk.take(place.wake):
            try:
                place.wait(None)
            except BaseException:
                desk.withdraw(place.wake)
                raise
        ticket = make_ticket()
        task = desk.submit(job.client_address, message, lambda _task: ticket.wake())
        try:
            ticket.wait(None)
        except BaseException:
            task.cancel()
            raise
        messages, closes, failure = answer_of(task)
        if closes:
            handler.close()
        return messages if failure is None else _then_fail(messages, failure.error)

    def _let_go(self) -> None:
        """
        In a worker that the executor has forked: what is open here is the server's.

        A copy of the listener would go on to queue clients when the server is closed, and one of a connection
        keep it from its end.
        """
        self._core.enter_child(_nobody_to_ask)
        for listener in self._core.listeners:
            listener.close()
        self._table.disown_all()

    def rows(self, most: int | None = None) -> list[RowInfo]:
        """See `sockserve.abc.ListingRunner.rows`."""
        return self._table.rows(most)

    def pulse(self, job: Job, /) -> tuple[float, float]:
        """See `sockserve.abc.PulseRunner`. While a task runs, nobody waits for the client."""
        return self._table.pulse(job)

    def silence(self, job: Job, /) -> bool | None:
        """See `sockserve.abc.SilenceRunner`."""
        return self._table.silence(job)

    def time_turns(self, add: Callable[[float], object], /) -> None:
        """See `sockserve.abc.TurningRunner`. What the executor does is none."""
        self._table.time_turns(add)

    def move(self, loop: Loop, /) -> None:
        """Nothing is in flight between two times of serving, but tasks that nobody waits for any more."""
        self._desk.move(loop)
        self._table.move(loop)

    def leave(self) -> None:
        """Abort what is in flight, and cancel its tasks."""
        self._table.leave()

    def close(self, deadline: float | None, /) -> None:
        """Nothing is in flight, and the executor is not ours to close."""
        self._table.close(deadline)


def _then_fail(messages: list[bytes], error: BaseException) -> Iterator[bytes]:
    yield from messages
    raise error


def _nobody_to_ask(grace: float | None) -> None:
    """Workers have no server to stop: their handlers are given none."""
