"""
What handlers wait for each other with: in a table the request is parked, elsewhere the thread blocks.

Requests and threads may share one object: each waits in its own way, in one queue. The internal lock is held for a
few instructions, never while anybody waits.
"""

import queue
import threading
from collections import deque
from types import TracebackType
from typing import TypeVar

from .._typing import override
from .sleeping import Ticket, make_ticket

__all__ = ("Event", "Lock", "Queue")

T = TypeVar("T")


class Lock:
    """
    A `threading.Lock`: one holder at a time. Those who wait get it in the order in which they came.

    Any thread or request may release it.
    """

    __slots__ = ("_held", "_mutex", "_waiters")

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiters: deque[Ticket] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """
        Take the lock, waiting for at most *timeout* seconds (-1: without a limit); whether it was taken.

        Raises:
            ValueError: A *timeout* without *blocking*, or a negative one.
            RequestAborted: The server has stopped.
        """
        seconds = _lock_timeout(blocking, timeout)
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            if not blocking:
                return False
            ticket = make_ticket()
            self._waiters.append(ticket)
        try:
            ticket.wait(seconds)
        except BaseException:
            if not self._withdraw(ticket):
                self.release()  # it was ours already
            raise
        return not self._withdraw(ticket)

    def _withdraw(self, ticket: Ticket) -> bool:
        """Leave the queue; False if the lock has been handed to *ticket*."""
        with self._mutex:
            if ticket.woken:
                return False
            self._waiters.remove(ticket)
            return True

    def release(self) -> None:
        """
        Hand the lock to whoever has waited longest, or free it.

        Raises:
            RuntimeError: Nobody holds it.
        """
        with self._mutex:
            if not self._held:
                raise RuntimeError("release unlocked lock")
            if self._waiters:
                self._waiters.popleft().wake()
            else:
                self._held = False

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._held

    def __enter__(self) -> bool:
        """Take it."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()


def _lock_timeout(blocking: bool, timeout: float) -> float | None:
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    return None if timeout == -1 else timeout


class Event:
    """A `threading.Event`: a flag that others wait for."""

    __slots__ = ("_flag", "_mutex", "_waiters")

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._flag = False
        self._waiters: set[Ticket] = set()

    def is_set(self) -> bool:
        """Whether the flag is up."""
        return self._flag

    def set(self) -> None:
        """Raise the flag; all who wait go on."""
        with self._mutex:
            self._flag = True
            waiters, self._waiters = self._waiters, set()
            for ticket in waiters:
                ticket.wake()

    def clear(self) -> None:
        """Lower the flag."""
        with self._mutex:
            self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until the flag is up, for at most *timeout* seconds; whether it was.

        Raises:
            RequestAborted: The server has stopped.
        """
        with self._mutex:
            if self._flag:
                return True
            ticket = make_ticket()
            self._waiters.add(ticket)
        try:
            ticket.wait(timeout)
        finally:
            with self._mutex:
                self._waiters.discard(ticket)
        return ticket.woken


class _Condition(threading.Condition):
    """The conditions of a `queue.Queue`, whose lock is held for a few instructions and may be a plain one."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__(lock)
        self._lock_of_queue = lock
        self._tickets: deque[Ticket] = deque()

    @override
    def wait(self, timeout: float | None = None) -> bool:
        ticket = make_ticket()
        self._tickets.append(ticket)
        self._lock_of_queue.release()
        ended = True
        try:
            ticket.wait(timeout)
            ended = False
        finally:
            self._lock_of_queue.acquire()
            if not ticket.woken:
                self._tickets.remove(ticket)
            elif ended:
                self.notify()  # what was meant for us is for the next
        return ticket.woken

    @override
    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._tickets))):
            self._tickets.popleft().wake()

    @override
    def notify_all(self) -> None:
        self.notify(len(self._tickets))


class Queue(queue.Queue[T]):
    """
    A `queue.Queue`: items go in at one end and come out at the other.

    Args:
        maxsize: Items that it holds at most; 0: without a limit.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        # What the base class waits with, by its documented source: three conditions of one lock.
        self.mutex: threading.Lock = threading.Lock()
        self.not_empty: threading.Condition = _Condition(self.mutex)
        self.not_full: threading.Condition = _Condition(self.mutex)
        self.all_tasks_done: threading.Condition = _Condition(self.mutex)
