"""
The C functions beneath the signal module, for where a process has just been forked.

The functions of `signal` turn each number that they give back into an enum member. In a process that shares its
memory with its parent, each page that this touches is copied: some sixty page faults for each forked request, a
tenth of what it costs (measured, CPython 3.13). `_signal` is what `signal` itself is written with, in CPython and
PyPy; elsewhere `signal` does.
"""

import importlib
import signal as public
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Protocol, TypeAlias, cast

__all__ = ("SIG_BLOCK", "SIG_IGN", "SIG_SETMASK", "SignalHandler", "signals")

SignalHandler: TypeAlias = Callable[[int, FrameType | None], object]


class Signals(Protocol):
    """The part that is used."""

    def signal(self, number: int, handler: SignalHandler | int, /) -> object:
        """See `signal.signal`."""
        ...

    def set_wakeup_fd(self, fd: int, /) -> int:
        """See `signal.set_wakeup_fd`."""
        ...

    def pthread_sigmask(self, how: int, mask: Iterable[int], /) -> set[int]:
        """See `signal.pthread_sigmask`. POSIX."""
        ...


def _beneath() -> Signals:
    try:
        module = importlib.import_module("_signal")
    except ImportError:
        module = public
    return cast("Signals", module)


signals = _beneath()

# Plain numbers: the C functions compare handlers with exact ints, and an enum member is one more page.
SIG_IGN = int(public.SIG_IGN)
SIG_BLOCK, SIG_SETMASK = (int(getattr(public, name, -1)) for name in ("SIG_BLOCK", "SIG_SETMASK"))
