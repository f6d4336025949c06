"""A strategy with the options of one time, at work."""

from typing import Protocol, runtime_checkable

import attrs

from ..abc import HoldingRunner, Loop, LoopRunner, Runner, Strategy
from ._in_flight import InFlight
from ._job import Face
from ._row import Row

__all__ = ("Post",)


@runtime_checkable
class _Idling(Protocol):
    """A runner whose threads wait for more when it has nothing to do."""

    def release_idle(self) -> None:
        """Let them end, and each of the others when its request has."""
        ...


@attrs.define(eq=False, init=False)
class Post:
    """A strategy with certain options, at work."""

    row: Row
    strategy: Strategy
    runner: Runner
    in_flight: InFlight
    #: Whether requests live in the thread that serves, and only while it does.
    in_loop: bool
    #: Whether `submit` may run the request.
    holds: bool

    def __init__(self, row: Row, strategy: Strategy, loop: Loop, face: Face, before: Runner | None) -> None:
        self.row, self.strategy = row, strategy
        self.runner = row.start(strategy, loop, face, before)
        self.in_flight = InFlight()
        self.in_loop = isinstance(self.runner, LoopRunner)
        self.holds = isinstance(self.runner, HoldingRunner) and self.runner.holds_loop

    def leave(self) -> None:
        """End what lives in the loop, which serves no longer."""
        if isinstance(self.runner, LoopRunner):
            self.runner.leave()

    def retire(self) -> None:
        """Have nothing more to do than what is in flight: others take what comes."""
        if isinstance(self.runner, _Idling):
            self.runner.release_idle()

    def dissolve(self) -> None:
        """Release everything: nothing is in flight, and what waits for its thread's end does not wait long."""
        self.leave()
        self.runner.close(None)
