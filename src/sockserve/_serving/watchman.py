"""Keeping time beside a loop that is held by what it runs."""

import threading
from collections.abc import Callable

import attrs

from .._loop.timers import Timer, Timers

__all__ = ("Watchman",)


@attrs.define(eq=False)
class Watchman:
    """
    Timers in a thread of its own, which is started with the first of them and sleeps while there are none.

    For strategies whose requests hold the loop's thread: what is to happen to them meanwhile cannot happen there.

    Args:
        time: The clock: seconds, monotonic.
    """

    time: Callable[[], float]
    _timers: Timers = attrs.field(init=False, factory=Timers)
    _changed: threading.Condition = attrs.field(init=False, factory=threading.Condition)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)
    _closed: bool = attrs.field(init=False, default=False)

    def call_at(self, when: float, callback: Callable[[], object], /) -> "GuardedTimer":
        """Call *callback* in the thread when the clock reaches *when*. Any thread."""
        with self._changed:
            soonest = self._timers.next_due()
            timer = self._timers.add(when, callback)
            if self._thread is None:
                # Daemonic: who forgets to stop serving is not to be kept alive by it.
                self._thread = threading.Thread(target=self._run, name="sockserve-deadlines", daemon=True)
                self._thread.start()
            elif soonest is None or when < soonest:
                self._changed.notify()
        return GuardedTimer(timer, self._changed)

    def _run(self) -> None:
        while (callback := self._next()) is not None:
            callback()
            del callback  # it has the request, and the next wait may be long

    def _next(self) -> Callable[[], object] | None:
        """Wait for a call that is due; None: there will be none."""
        with self._changed:
            while not self._closed:
                when = self._timers.next_due()
                now = self.time()
                if when is not None and when <= now:
                    return self._timers.take()
                self._changed.wait(None if when is None else when - now)
            return None

    def close(self) -> None:
        """Call nobody any more, and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()


class GuardedTimer:
    """A timer that any thread may cancel."""

    __slots__ = ("_guard", "_timer")

    def __init__(self, timer: Timer, guard: threading.Condition) -> None:
        self._timer = timer
        self._guard = guard

    def cancel(self) -> None:
        """Forget the call."""
        with self._guard:
            self._timer.cancel()
