"""Calls that are due at some time: a heap, O(log n) to add, cancelled lazily."""

import heapq
import itertools
from collections.abc import Callable

__all__ = ("Timer", "Timers")


class Timer:
    """One call. Cancelling only marks it: it leaves the heap when its time comes, or with a sweep."""

    __slots__ = ("_owner", "callback", "when")

    def __init__(self, when: float, callback: Callable[[], object], owner: "Timers") -> None:
        self.when: float = when
        self.callback: Callable[[], object] | None = callback
        self._owner = owner

    def cancel(self) -> None:
        """Forget the call."""
        if self.callback is not None:
            self.callback = None
            self._owner.cancelled()


class Timers:
    """
    All timers of a loop. Belongs to the loop's thread.

    Attributes:
        heap: Empty if there is none: a loop looks at it without a call.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()  # equal times run in the order in which they were asked for
        self._dead = 0

    def __len__(self) -> int:
        """Count the timers that are still to run."""
        return len(self.heap) - self._dead

    def add(self, when: float, callback: Callable[[], object]) -> Timer:
        """Add a call that is due at *when*."""
        timer = Timer(when, callback, self)
        heapq.heappush(self.heap, (when, next(self._order), timer))
        return timer

    def cancelled(self) -> None:
        """Count a cancelled timer, and sweep when most are: memory stays proportional to the live ones."""
        self._dead += 1
        if self._dead > _SWEEP and self._dead * 2 > len(self.heap):
            self.heap[:] = [entry for entry in self.heap if entry[2].callback is not None]
            heapq.heapify(self.heap)
            self._dead = 0

    def next_due(self) -> float | None:
        """Say when the next call is due; None if none is."""
        heap = self.heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def take(self) -> Callable[[], object]:
        """Take the next call, which there is (`next_due`), for whoever makes it."""
        timer = heapq.heappop(self.heap)[2]
        callback, timer.callback = timer.callback, None
        assert callback is not None  # else next_due had dropped it
        return callback

    def run(self, now: float) -> bool:
        """
        Make the calls that are due. One that is added meanwhile and due at once waits for the next round.

        Returns:
            Whether there was one.
        """
        bound, ran = next(self._order), False  # of those that were asked for before
        while (when := self.next_due()) is not None and when <= now and self.heap[0][1] < bound:
            ran = True
            self.take()()
        return ran


_SWEEP = 64  # cancelled timers below this number are not worth a sweep
