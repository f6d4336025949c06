"""The observer of the testing kit, and what the tests of workers ask it."""

from typing import Any

from sockserve import PreforkStrategy, testing
from sockserve.abc import Strategy
from sockserve.events import Event, WorkerStarted
from sockserve.testing._recorder import FAILSAFE

__all__ = ("FAILSAFE", "Recorder")


class Recorder(testing.Recorder):
    """Call it with events; ask for them in the order in which they happened."""

    def wait_for(self, kind: type[Event], seconds: float = FAILSAFE) -> dict[str, Any]:
        return super().wait_for(kind, seconds)

    def wait_for_workers(self, count: int) -> list[int]:
        """
        Wait until so many more workers serve; return their processes.

        To be called before a test starts a program: a worker that is forked meanwhile would hold the pipe on which
        subprocess.Popen waits for the program's start.
        """
        return [self.wait_for(WorkerStarted)["pid"] for _ in range(count)]

    def wait_for_staff(self, strategy: Strategy) -> None:
        """The same for all workers of a strategy that has some."""
        if isinstance(strategy, PreforkStrategy):
            self.wait_for_workers(strategy.workers)

    @staticmethod
    def pid_of(record: dict[str, Any]) -> int:
        """Return the process in which an event was told."""
        pid: int = record["told_in"]
        return pid
