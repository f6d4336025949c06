"""The loop of a server that polls: it runs when it is given a turn."""

import contextlib
import math
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from .._loop.accept_errors import PAUSE_SECONDS
from .._loop.pollers import Poller, PollerFactory, SelectorsPoller
from .._loop.timers import Timer, Timers
from .._loop.wakeup import Wakeup
from ..abc import READ
from ._state import State

__all__ = ("HostLoop",)

if sys.platform != "win32" and hasattr(select, "poll"):

    class PollPoller:
        """poll(2), as bare as can be: it works between forks, where each step costs page faults."""

        edges = False

        def __init__(self) -> None:
            poll = select.poll()
            self.register: Callable[[int, int], None] = poll.register
            self.unregister: Callable[[int], None] = poll.unregister
            self._poll = poll.poll

        def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
            """Poll."""
            return self._poll(None if timeout is None else math.ceil(timeout * 1000))

        def close(self) -> None:
            """Nothing."""

    #: One that needs no descriptor of its own, so that none can be left behind or shared across a fork.
    _make_poller: PollerFactory = PollPoller
else:
    _make_poller = SelectorsPoller


class HostLoop:
    """Implements `sockserve.abc.Loop`: it runs when it is given a turn, or while the server waits for room."""

    time = staticmethod(time.monotonic)
    edges = False

    def __init__(self, state: State) -> None:
        self._state = state
        self._poller: Poller = _make_poller()
        self._callbacks: dict[int, Callable[[int], object]] = {}
        self._timers = Timers()
        self._soon: deque[Callable[[], object]] = deque()
        self._waited_for = False
        #: Held for a turn: ``collect_children`` may be called by another thread than the one that serves.
        self._turning = threading.Lock()

    def watch(self, fd: int, callback: Callable[[int], object], /, mask: int = READ) -> None:
        """See `sockserve.abc.Loop.watch`."""
        self._poller.register(fd, mask)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int, /) -> None:
        """See `sockserve.abc.Loop.unwatch`."""
        if self._callbacks.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """See `sockserve.abc.Loop.call_at`."""
        return self._timers.add(when, callback)

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """See `sockserve.abc.Loop.call_soon`."""
        self._soon.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        """See `sockserve.abc.Loop.call_soon_threadsafe`."""
        self._soon.append(callback)
        self._state.wake()

    def resume(self) -> None:
        """See `sockserve.abc.Loop.resume`."""
        if self._waited_for:
            self._state.wake()

    def run_ready(self) -> None:
        """Make the calls that are due, without waiting."""
        if (self._callbacks or self._timers.heap or self._soon) and self._turning.acquire(blocking=False):
            try:
                self._turn(0.0)
            finally:
                self._turning.release()

    def wait_while(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait, at most *timeout* seconds, until something happens that may have changed *condition*."""
        with self._turning, self._hearing() as heard:
            if not heard:
                timeout = PAUSE_SECONDS if timeout is None else min(timeout, PAUSE_SECONDS)
            # Looked at only now: what changes it from here on is heard.
            self._turn(self._patience(timeout) if condition() else 0.0)

    @contextlib.contextmanager
    def _hearing(self) -> Iterator[bool]:
        """Be woken by calls, if there is a descriptor to be had for it where nobody polls."""
        wakeup, own = self._state.wakeup, None
        if wakeup is None:
            try:
                wakeup = own = self._state.wakeup = Wakeup()
            except OSError:
                yield False
                return
        self._poller.register(wakeup.fileno(), READ)
        self._waited_for = True
        try:
            yield True
        finally:
            self._waited_for = False
            self._poller.unregister(wakeup.fileno())
            wakeup.drain()
            if own is not None:
                self._state.wakeup = None
                own.close()

    def _patience(self, timeout: float | None) -> float | None:
        if self._soon:
            return 0.0
        when = self._timers.next_due()
        if when is None:
            return timeout
        left = max(0.0, when - self.time())
        return left if timeout is None else min(left, timeout)

    def _turn(self, patience: float | None) -> None:
        for fd, mask in self._poller.wait(patience):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback(mask)
        if self._timers.heap:
            self._timers.run(self.time())
        for _ in range(len(self._soon)):
            self._soon.popleft()()
