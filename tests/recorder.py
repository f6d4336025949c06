"""An observer for tests: events travel through a pipe, since some happen in forked children."""

import json
import os
import select
from types import TracebackType
from typing import Any, Self

import attrs

from sockserve import PreforkStrategy
from sockserve.abc import Strategy
from sockserve.events import Event, WorkerStarted

#: Seconds until a test that waits for what does not come is given up: a failsafe, never a wait.
FAILSAFE = 30.0


class Recorder:
    """Call it with events; ask for them in the order in which they happened."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._text = b""
        self._seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def __call__(self, event: Event) -> None:
        record = {"event": type(event).__name__, "told_in": os.getpid()}
        for field in attrs.fields(type(event)):
            value = getattr(event, field.name)
            record[field.name] = value if isinstance(value, str | int | float | bool) else repr(value)
        os.write(self._writer, json.dumps(record).encode() + b"\n")  # below PIPE_BUF: not torn apart

    def wait_for(self, kind: type[Event]) -> dict[str, Any]:
        """Return the first event of this kind that was not returned yet."""
        while True:
            for record in self._seen:
                if record["event"] == kind.__name__:
                    self._seen.remove(record)
                    return record
            self._read(FAILSAFE)

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

    def so_far(self) -> list[str]:
        """Return the names of all events that were not asked for, and forget them."""
        while select.select([self._reader], [], [], 0)[0]:
            self._read(0)
        names = [record["event"] for record in self._seen]
        self._seen.clear()
        return names

    def _read(self, seconds: float) -> None:
        if not select.select([self._reader], [], [], seconds)[0]:
            raise TimeoutError(f"no such event; there were {self._seen}")
        self._text += os.read(self._reader, 65536)
        *lines, self._text = self._text.split(b"\n")
        self._seen += map(json.loads, lines)
