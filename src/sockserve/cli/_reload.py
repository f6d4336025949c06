"""
``--reload``: a parent that starts the program again when a file that it has imported changes. For development.

The parent imports nothing of the program's and serves nothing: neither a module that cannot be imported nor a
handler that hangs keeps it from the next try. The child tells it by a pipe what it has imported (`_announcing`).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import attrs

from ._announcing import VARIABLE, written
from ._usage import INTERRUPTED, OK, USAGE, UsageError

__all__ = ("supervise",)

#: Seconds between two looks at the files.
INTERVAL = 0.25
#: Seconds that a child has after its signal until it is killed: its grace is 1, the rest for what ignores that.
PATIENCE = 6.0
#: Seconds after Ctrl-C in which a child ends that has got it from the terminal, too.
OWN_END = 2.0


@attrs.define(eq=False)
class _Child:
    """The program, started once, and what it has told."""

    process: "subprocess.Popen[bytes]"
    reader: int
    #: When each file was last written, as it was told.
    files: dict[str, int]
    #: Whether it could not be imported: a file can mend that.
    broken: bool = False
    _rest: bytes = b""

    def listen(self) -> None:
        """Take note of what it has told since."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.reader, 65536):
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            told = json.loads(line)
            self.files |= told["files"]
            self.broken = self.broken or told["broken"]

    def changed(self) -> str | None:
        """Return a file that was written since it was told of."""
        return next((file for file, known in self.files.items() if written(file) != known), None)

    def stop(self) -> None:
        """End it: by the signal that drains, then by the one that nobody can ignore."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def supervise(words: Sequence[str], say: Callable[[str], object]) -> int:
    """
    Run ``sockserve`` with *words*, and again whenever a file of its program changes.

    Args:
        words: The command line.
        say: Tells people what happens.

    Returns:
        The exit status: of the last run, when a signal has ended it, or it has ended by itself without a failure
        that a change could mend.

    Raises:
        UsageError: The platform is not POSIX.
    """
    signals: list[int] = []
    files: dict[str, int] = {}
    with _noted(signals):
        while True:
            first = not files
            child = _start(words, files)
            try:
                status = _watch(child, signals, say, first=first)
            finally:
                os.close(child.reader)
            if status is not None:
                return status
            # Should the next fail before it has told any, these are still looked at.
            files = {file: written(file) for file in child.files}


@contextlib.contextmanager
def _noted(signals: list[int]) -> Iterator[None]:
    """Take note of SIGINT and SIGTERM for the time of the block."""

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _start(words: Sequence[str], files: dict[str, int]) -> _Child:
    if sys.platform == "win32":
        raise UsageError("--reload needs POSIX: the program inherits a descriptor")
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_inheritable(writer, True)
    try:
        # Not by pass_fds, which closes all others: those of --fd are for the child.
        process = subprocess.Popen(  # noqa: S603 - the user's own words
            [sys.executable, "-m", "sockserve", *words],
            env={**os.environ, VARIABLE: str(writer)},
            close_fds=False,
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return _Child(process, reader, files)


def _watch(child: _Child, signals: list[int], say: Callable[[str], object], *, first: bool) -> int | None:
    """Wait until the child is to be started again (None), or all is over (its status)."""
    waiting = False
    while not signals:
        status = child.process.poll()
        child.listen()
        if (changed := child.changed()) is not None:
            say(f"{os.path.relpath(changed)} has changed: starting again")
            child.stop()
            return None
        if status is not None and not waiting:
            if status in {OK, INTERRUPTED} or (status == USAGE and first and not (child.broken and child.files)):
                return status
            waiting = True
            say("waiting for a file to change; Ctrl-C ends")
        time.sleep(INTERVAL)
    return _end(child, signals)


def _end(child: _Child, signals: list[int]) -> int:
    """Pass the end on. A terminal has sent Ctrl-C to the child as well: then it ends by itself."""
    patience = time.monotonic() + OWN_END
    while child.process.poll() is None:
        late = time.monotonic() > patience
        if late or signal.SIGTERM in signals:
            patience = time.monotonic() + OWN_END
            signals.clear()
            child.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(INTERVAL)
    return max(child.process.returncode, 0)
