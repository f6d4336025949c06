"""An observer for tests, which hears forked children too."""

import json
import os
import select
import sys
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from ..events import Event

__all__ = ("FAILSAFE", "Record", "Recorder")

#: Seconds until a test that waits for what does not come is given up: a failsafe, never a wait.
FAILSAFE = 30.0

#: An event: the name of its class as ``event``, the process that told it as ``told_in``, and its fields; what JSON
#: lacks as `repr`.
Record: TypeAlias = dict[str, str | int | float | bool | None]


class Recorder:
    """
    Call it with events, as a server's ``observer``; ask for them in the order in which they happened.

    They travel through a pipe, since some happen in forked children. It holds some hundred of them: a test that
    asks for none has to expect fewer. Use it as a context manager.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._text = b""
        self._seen: list[Record] = []

    def __enter__(self) -> Self:
        """Nothing to do: the pipe is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pipe."""
        os.close(self._reader)
        os.close(self._writer)

    def __call__(self, event: Event, /) -> None:
        """Take note of *event*."""
        record: Record = {"event": type(event).__name__, "told_in": os.getpid()}
        for field in attrs.fields(type(event)):
            value = getattr(event, field.name)
            record[field.name] = value if isinstance(value, str | int | float | bool) else repr(value)
        os.write(self._writer, json.dumps(record).encode() + b"\n")  # below PIPE_BUF: not torn apart

    def wait_for(self, kind: type[Event], seconds: float = FAILSAFE) -> Record:
        """
        Return the first event of this kind that was not returned yet.

        Raises:
            TimeoutError: It does not come; the text says what did.
        """
        while True:
            for record in self._seen:
                if record["event"] == kind.__name__:
                    self._seen.remove(record)
                    return record
            self._read(seconds)

    def so_far(self) -> list[str]:
        """Return the names of all events that were not asked for, and forget them."""
        while self._readable(0):
            self._read(0)
        names = [str(record["event"]) for record in self._seen]
        self._seen.clear()
        return names

    def _readable(self, seconds: float) -> bool:
        if sys.platform == "win32":
            raise NotImplementedError  # select(2) takes sockets only there
        return bool(select.select([self._reader], [], [], seconds)[0])

    def _read(self, seconds: float) -> None:
        if not self._readable(seconds):
            raise TimeoutError(f"no such event; there were {self._seen}")
        self._text += os.read(self._reader, 65536)
        *lines, self._text = self._text.split(b"\n")
        self._seen += map(json.loads, lines)
