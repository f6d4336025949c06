"""The row that the caller runs in, if it is one: asked without loading what rows are made with."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rows import Row

__all__ = ("current_row", "found_by", "here", "in_thread_of_rows")


def _nobody() -> "Row | None":
    return None


_find: Callable[[], "Row | None"] = _nobody


def current_row() -> "Row | None":
    """
    Give the row whose handler calls, where it can park.

    None in any other thread, in a process that a handler has forked, in a greenlet of the handler's own, and as
    long as no table has been started.
    """
    return _find()


def found_by(find: Callable[[], "Row | None"]) -> None:
    """Let *find* be the answer: called by the module that makes rows, when it is loaded."""
    global _find  # noqa: PLW0603 - one way to find rows, known once the first table starts
    _find = find


class _Here(threading.local):
    """What is known of the thread that asks."""

    #: Rows run here, or have run: one whose server was closed while it waited ends later, on its own stack.
    rows = False


here = _Here()


def in_thread_of_rows() -> bool:
    """
    Whether a row may be what calls: rows run in this thread, or have run.

    Greenlet is asked nowhere else. It remembers each thread that asks, and forgets it at the thread's end with a
    lock of its own held: a process forked at that moment would wait for that lock for ever (greenlet 3.5,
    ``TThreadStateDestroy.cpp``, ``AddToCleanupQueue``, which says so).
    """
    return here.rows
