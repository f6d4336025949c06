"""The row that the caller runs in, if it is one: asked without loading what rows are made with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rows import Row

__all__ = ("current_row", "found_by")


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
