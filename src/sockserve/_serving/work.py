"""A strategy at work for one server, from the first time of serving until it is closed."""

import heapq
import operator
from typing import Any, TypeAlias

import attrs

from .._loop.loop import EventLoop
from ..abc import ListingRunner, Runner, StaffedRunner, Strategy
from ..stats import RowInfo, WorkerInfo
from .core import ServerCore

__all__ = ("Work",)

_AnyCore: TypeAlias = ServerCore[Any, Any]  # type: ignore[explicit-any]  # of whatever request and address


_number = operator.attrgetter("number")


@attrs.define(eq=False)
class Work:
    """The runner, and the loop that it is on; None as long as nothing was served."""

    runner: Runner | None = attrs.field(init=False, default=None)
    _loop: EventLoop | None = attrs.field(init=False, default=None)

    def go_on(self, strategy: Strategy, core: _AnyCore, loop: EventLoop) -> Runner:
        """Go on with the runner of the time before, on *loop*; else start *strategy* there."""
        if self.runner is None:
            self.runner = strategy.start(loop, core)
            if core.measures is not None:
                core.measures.time_turns(self.runner)
        elif self._loop is not loop:
            self.runner.move(loop)
        self._loop = loop
        return self.runner

    def rows(self, core: _AnyCore, most: int | None) -> list[RowInfo]:
        """See `Server.rows`."""
        if isinstance(self.runner, ListingRunner):
            return self.runner.rows(most)
        jobs = core.jobs() if most is None else heapq.nsmallest(most, core.jobs(), _number)
        return [RowInfo(client_address=job.client_address, since=job.began) for job in jobs]

    def workers(self) -> list[WorkerInfo]:
        """See `Server.workers`."""
        return self.runner.workers() if isinstance(self.runner, StaffedRunner) else []

    def close(self, deadline: float | None) -> None:
        """See `sockserve.abc.Runner.close`."""
        runner, self.runner = self.runner, None
        if runner is not None:
            runner.close(deadline)
