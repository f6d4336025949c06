"""What goes wrong in a server under test, in whatever process it does."""

import json
import os
import sys
import tempfile
import traceback

import attrs

from .. import events
from ..events import Event
from ..observers import text_of

__all__ = ("FAILURES", "Failure", "Failures")

#: The events that mean that a handler, or what the program has given to the server besides, has a bug.
FAILURES: frozenset[type[Event]] = frozenset(
    {
        events.ChildDied,
        events.HandlerFailed,
        events.NotStarted,
        events.RequestAbandoned,
        events.RequestsAbandoned,
        events.VerifyFailed,
    }
)


@attrs.frozen
class Failure:
    """
    One thing that went wrong.

    Attributes:
        event: The name of the event, such as "HandlerFailed"; "LoopHeld" is told by a watchdog.
        text: What happened, for people.
        traceback: Of the error, as Python prints it; empty where there is none.
        error: The error itself; None where it was raised in another process.
    """

    event: str
    text: str
    traceback: str = ""
    error: BaseException | None = attrs.field(default=None, eq=False)


class Failures:
    """
    Collects failures of this process and of those that it forks: these share a file without a name.

    A pipe would be shorter, and would block a server that fails often in a test that does not look.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._here: list[Failure] = []
        self._file = tempfile.TemporaryFile(prefix="sockserve-")  # noqa: SIM115 - closed by close()

    def add(self, event: Event) -> None:
        """Take note of *event*."""
        error: object = getattr(event, "error", None)
        trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
        found = Failure(
            type(event).__name__, text_of(event), trace, error if isinstance(error, BaseException) else None
        )
        if os.getpid() == self._pid:
            self._here.append(found)
            return
        line = json.dumps([found.event, found.text, found.traceback]).encode() + b"\n"
        os.write(self._file.fileno(), line)  # the position is shared, and moved by each write (write(2))

    def add_held(self, seconds: float, stack: str) -> None:
        """Take note of somebody who holds the thread that serves; *stack* says who."""
        text = f"the thread that serves has been held for {seconds:g} s: nobody else was served"
        self._here.append(Failure("LoopHeld", text, stack))

    def all(self) -> list[Failure]:
        """Return those of this process, then those of others."""
        return [*self._here, *self._elsewhere()]

    def _elsewhere(self) -> list[Failure]:
        if sys.platform == "win32" or self._file.closed:
            return []
        fd = self._file.fileno()
        return [Failure(*json.loads(line)) for line in os.pread(fd, os.fstat(fd).st_size, 0).splitlines()]

    def close(self) -> None:
        """Let go of the file, and keep what it holds."""
        self._here += self._elsewhere()
        self._file.close()
