"""Waiting for a time, and for each other: in a table the row waits, elsewhere the thread."""

import _thread
import threading
import time

from .._validators import seconds as check_seconds
from .current import current_row
from .machine import Signal
from .rows import Row

__all__ = ("RowTicket", "ThreadTicket", "Ticket", "make_ticket", "sleep")

_WAIT = Signal.WAIT.value


def sleep(seconds: float) -> None:
    """
    Do nothing for *seconds*, and let other requests go on: `time.sleep` for handlers.

    Under `SelectorStrategy` the request is parked, elsewhere the thread sleeps. 0 lets everything else that
    is ready go first.

    Raises:
        OptionError: It is negative, or no finite number.
        RequestAborted: The server has stopped.
    """
    check_seconds("sleep", "seconds", seconds)
    row = current_row()
    if row is None:
        time.sleep(seconds)
    elif seconds == 0:
        row.give_way()
    else:
        RowTicket(row).wait(seconds)


class RowTicket:
    """A place in a queue, of a row."""

    __slots__ = ("row", "woken")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.woken = False

    def wait(self, seconds: float | None) -> bool:
        """Park until `wake`, for at most *seconds*; whether it has come."""
        row = self.row
        deadline = None if seconds is None else row.table.clock() + seconds
        while not self.woken:
            try:
                row.wait(_WAIT, deadline)
            except TimeoutError:
                break
        return self.woken

    def wake(self) -> None:
        """Let the row go on. Any thread."""
        self.woken = True
        self.row.table.wake(self.row)


class ThreadTicket:
    """A place in a queue, of a thread."""

    __slots__ = ("lock", "woken")

    def __init__(self) -> None:
        self.lock = _thread.allocate_lock()
        self.lock.acquire()
        self.woken = False

    def wait(self, seconds: float | None) -> bool:
        """Block until `wake`, for at most *seconds*; whether it has come."""
        if seconds is None:
            return self.lock.acquire()
        return self.lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)) if seconds > 0 else self.woken

    def wake(self) -> None:
        """Let the thread go on. Any thread."""
        self.woken = True
        self.lock.release()


Ticket = RowTicket | ThreadTicket


def make_ticket() -> Ticket:
    """Make a place for whoever calls."""
    row = current_row()
    return ThreadTicket() if row is None else RowTicket(row)
