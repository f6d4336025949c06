"""The system call beneath `selectors.PollSelector.select`, for a loop that makes it once for each request."""

import math
import select
import selectors
from collections.abc import Callable
from typing import cast

__all__ = ("POLLIN", "BarePoll", "bare_poll_of", "is_as_it_was")

#: Not there on Windows, where nothing asks for it.
POLLIN: int = getattr(select, "POLLIN", 1)

_KIND: type | None = getattr(selectors, "PollSelector", None)
_SELECT: object = getattr(_KIND, "select", None)
_IS_CPYTHON_S = getattr(_SELECT, "__module__", None) == "selectors"


def is_as_it_was() -> bool:
    """Whether ``select`` has not been replaced: a program that does so expects every wait to go through it."""
    return getattr(_KIND, "select", None) is _SELECT


class BarePoll:
    """
    Waits for what a selector watches, and gives (descriptor, mask) as poll(2) does.

    ``select`` makes a key and a mask of its own of each, which takes half a microsecond: as long as the system
    call itself (measured, CPython 3.13).
    """

    def __init__(self, poll: Callable[[int | None], list[tuple[int, int]]]) -> None:
        self._poll = poll
        self._timeout: float | None = None
        self._milliseconds: int | None = None

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait at most *timeout* seconds."""
        if timeout is not self._timeout:  # the same object, turn by turn
            self._timeout = timeout
            self._milliseconds = None if timeout is None else max(0, math.ceil(timeout * 1000))
        try:
            return self._poll(self._milliseconds)
        except InterruptedError:  # of a signal's handler: `select` returns, too
            return []


def bare_poll_of(selector: object) -> BarePoll | None:
    """Return what is beneath *selector*; None where that is of another kind, or not made as the one we know."""
    if not _IS_CPYTHON_S or type(selector) is not _KIND:
        return None
    poll = getattr(getattr(selector, "_selector", None), "poll", None)
    return BarePoll(cast("Callable[[int | None], list[tuple[int, int]]]", poll)) if callable(poll) else None
