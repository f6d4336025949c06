"""The errors that waits end with."""

import errno

from ..errors import RequestAborted
from .machine import Action

__all__ = ("aborted", "wait_error")


def aborted() -> RequestAborted:
    """Make what a wait raises when the server has stopped."""
    return RequestAborted(errno.ECONNABORTED, "the server has stopped")


def wait_error(action: int) -> BaseException:
    """Make what a wait raises that ends so."""
    if action == Action.RAISE_TIMEOUT:
        return TimeoutError("timed out")
    if action == Action.RAISE_ABORTED:
        return aborted()
    raise AssertionError(f"a row that has to {Action(action).name} cannot be resumed")
