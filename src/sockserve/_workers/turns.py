"""
Accepting in turns, from a socket that blocks.

A socket that was adopted keeps its O_NONBLOCK flag, which others share (systemd's block by default). Each accept
is then preceded by a poll(2); and where another worker accepts in between, this one would wait in accept(2) for
the next client, deaf to everything else. So workers hold a lock from the one call to the other.
"""

import os
import sys
import tempfile
from typing import Generic, TypeVar

import attrs

from ..abc import Arrival, Listener

__all__ = ("Turns", "needs_turns")

R = TypeVar("R")
A = TypeVar("A")


def needs_turns(listener: Listener[object, object]) -> bool:
    """Whether an accept from *listener* can wait."""
    if sys.platform == "win32":
        raise NotImplementedError
    else:  # noqa: RET506 - else mypy calls it unreachable on Windows
        return listener.stream and os.get_blocking(listener.fileno())


class Turns:
    """
    The lock: one of fcntl(2), which belongs to a process, and ends with it.

    Resource handling:
        A file without a name, that is shared by all workers.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`

    def at(self, listener: Listener[R, A]) -> "Listener[R, A]":
        """Return *listener*, accepting in turns."""
        return _InTurns(listener, self)

    def take(self) -> None:
        """
        Take the lock.

        Raises:
            BlockingIOError: Another process has it.
        """
        if sys.platform == "win32":
            raise NotImplementedError
        import fcntl  # noqa: PLC0415 - Windows has none

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except PermissionError as error:  # EACCES, as POSIX has it, where Linux says EAGAIN
            raise BlockingIOError from error

    def give(self) -> None:
        """Let go of the lock."""
        if sys.platform == "win32":
            raise NotImplementedError
        import fcntl  # noqa: PLC0415 - Windows has none

        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this process's copy of the file."""
        self._file.close()


@attrs.define(eq=False)
class _InTurns(Generic[R, A]):
    """A listener. Implements `sockserve.abc.Listener`."""

    inner: Listener[R, A]
    turns: Turns

    @property
    def address(self) -> A:
        """See `sockserve.abc.Listener.address`."""
        return self.inner.address

    @property
    def stream(self) -> bool:
        """See `sockserve.abc.Listener.stream`."""
        return self.inner.stream

    def fileno(self) -> int:
        """See `sockserve.abc.Listener.fileno`."""
        return self.inner.fileno()

    def accept(self) -> Arrival[R, A]:
        """See `sockserve.abc.Listener.accept`. Where another has the turn, nothing has arrived for us."""
        self.turns.take()
        try:
            return self.inner.accept()
        finally:
            self.turns.give()

    def close(self) -> None:
        """See `sockserve.abc.Listener.close`."""
        self.inner.close()

    def close_copy(self) -> None:
        """See `sockserve.abc.Listener.close_copy`."""
        self.inner.close_copy()
