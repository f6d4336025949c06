"""The one accept loop, and the only place that waits."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from ..abc import READ
from . import pollers
from .pollers import NOT_THERE, Poller, PollerFactory
from .timers import Timer, Timers
from .wakeup import Wakeup

__all__ = ("EventLoop",)

#: Seconds of one wait, at most: the system's calls count milliseconds in an int. Longer ones are several.
_LONGEST = 86400.0


class EventLoop:
    """
    Waits for descriptors, timers and wake-ups, and calls back. Implements `sockserve.abc.Loop`.

    What is watched stays watched between two runs. The poller and the wake-up exist only while it runs: a process
    that is forked between two runs shares neither.

    Args:
        poller: Makes the poller; the system's best by default.
        clock: Seconds, monotonic.
    """

    def __init__(self, poller: PollerFactory | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.time = clock
        self._make_poller = poller
        self._poller: Poller | None = None
        self._wakeup: Wakeup | None = None
        self._callbacks: dict[int, Callable[[int], object]] = {}
        self._masks: dict[int, int] = {}  # of those that are not watched for reading alone
        self.timers = Timers()
        self._soon: deque[Callable[[], object]] = deque()
        self._paused: set[Callable[[], object]] = set()
        self._thread: int | None = None
        self._abandoned = False
        #: Somebody wants the loop's attention: a long batch should end.
        self.calling = False

    # What runners use.

    @property
    def edges(self) -> bool:
        """See `sockserve.abc.Loop.edges`."""
        return self._poller is not None and self._poller.edges

    def watch(self, fd: int, callback: Callable[[int], object], /, mask: int = READ) -> None:
        """See `sockserve.abc.Loop.watch`."""
        if self._poller is not None and not self._abandoned:
            self._poller.register(fd, mask)
        self._callbacks[fd] = callback
        if mask != READ:
            self._masks[fd] = mask

    def unwatch(self, fd: int, /) -> None:
        """See `sockserve.abc.Loop.unwatch`."""
        if self._callbacks.pop(fd, None) is None:
            return
        if self._masks:
            self._masks.pop(fd, None)
        if self._poller is not None and not self._abandoned:
            try:
                self._poller.unregister(fd)
            except NOT_THERE:
                pass  # closed: the kernel has forgotten it by itself

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """See `sockserve.abc.Loop.call_at`."""
        return self.timers.add(when, callback)

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """See `sockserve.abc.Loop.call_soon`."""
        self._soon.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        """See `sockserve.abc.Loop.call_soon_threadsafe`."""
        self._soon.append(callback)
        self.wake()

    def resume(self) -> None:
        """See `sockserve.abc.Loop.resume`."""
        # Who pauses asks once more whether the runner is full after it is in this set: one of the two sees it.
        if self._paused:
            self._soon.append(self._resume_all)
            self.wake()

    # What servers use.

    def callback_of(self, fd: int) -> Callable[[int], object] | None:
        """Return what is called for *fd*; None where it is not watched."""
        return self._callbacks.get(fd)

    @property
    def looks_away(self) -> bool:
        """Whether somebody waits for a `resume`. Any thread."""
        return bool(self._paused)

    def pause(self, resumed: Callable[[], object]) -> None:
        """Call *resumed* at the next `resume`."""
        self._paused.add(resumed)

    def _resume_all(self) -> None:
        paused, self._paused = self._paused, set()
        for resumed in paused:
            resumed()

    def wake(self) -> None:
        """
        End the wait. Any thread, signal handlers too; takes no lock, and does nothing when nobody waits.

        The loop's own thread writes as well: a signal handler runs there in the middle of the wait, which then
        goes on (PEP 475).
        """
        self.calling = True
        wakeup = self._wakeup
        if wakeup is not None and not self._abandoned:
            wakeup.wake()

    @property
    def in_own_thread(self) -> bool:
        """Whether the caller runs in the thread that runs the loop, further up in its stack."""
        return self._thread == threading.get_ident()

    @property
    def running(self) -> bool:
        """Whether some thread runs the loop."""
        return self._thread is not None and not self._abandoned

    @property
    def wakeup_fileno(self) -> int:
        """The descriptor for `signal.set_wakeup_fd`, while the loop runs."""
        assert self._wakeup is not None
        return self._wakeup.sender_fileno()

    def forward_signals(self, fd: int) -> None:
        """Write the numbers of signals, that C code writes to our wake-up, to *fd* too; -1: of no later ones."""
        assert self._wakeup is not None
        if fd < 0:
            self._wakeup.drain()
        self._wakeup.forward = fd

    def run(self, done: Callable[[], bool]) -> None:
        """Open the loop, and serve callbacks until *done* says so; it is asked before every wait."""
        with self.opened():
            self.turn(done, always=True)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Be able to wait, and to be woken, for the time of the block."""
        self._open()
        try:
            yield
        finally:
            self.close()

    def turn(self, done: Callable[[], bool], *, always: bool = False) -> None:
        """
        Serve callbacks until *done* says so; it is asked at first, and after each `wake` and each timer.

        Args:
            done: Asked.
            always: Ask before every wait.

        Raises:
            BaseException: Whatever a callback raises. What is watched stays noted for the next time.
        """
        assert self._poller is not None
        assert self._wakeup is not None
        # Nothing of this is replaced while the loop is open, and a small request is a hundred look-ups like these.
        wait, wakeup, wakeup_fd = self._poller.wait, self._wakeup, self._wakeup.fileno()
        callback_of, timers, soon = self._callbacks.get, self.timers, self._soon
        heap, time = timers.heap, self.time
        while True:
            if self.calling or always:
                self.calling = False  # before the question: who calls later is heard the next time
                # What another thread has asked for by now would wait for a whole batch of arrivals: a batch ends
                # early only for what is asked for after this.
                for _ in range(len(soon)):
                    soon.popleft()()
                if done():
                    return
            patience = None
            if soon:
                patience = 0.0
            elif heap:  # as it is nearly always where deadlines are kept: the next timer is to cost little
                when, _, timer = heap[0]
                patience = self._patience() if timer.callback is None else _clipped(when - time())
            for fd, mask in wait(patience):
                callback = callback_of(fd)
                if callback is not None:
                    callback(mask)
                elif fd == wakeup_fd:
                    wakeup.drain()
            if heap and heap[0][0] <= (now := time()) and timers.run(now):
                self.calling = True
            if soon:
                for _ in range(len(soon)):
                    soon.popleft()()

    def _open(self) -> None:
        self._thread = threading.get_ident()
        self._abandoned = False
        self.calling = True
        try:
            self._poller = (self._make_poller or pollers.default_poller)()
            self._wakeup = Wakeup()
            self._poller.register(self._wakeup.fileno(), READ)
            for fd in self._callbacks:
                self._poller.register(fd, self._masks.get(fd, READ))
        except BaseException:
            self.close()
            raise

    def _patience(self) -> float | None:
        """Seconds until the next timer, and one wait at most; None: there is none, once the dead are forgotten."""
        when = self.timers.next_due()
        return None if when is None else _clipped(when - self.time())

    def abandon(self) -> None:
        """
        In a forked child: never touch poller and wake-up again, which are the parent's.

        They are kept, not closed: that would take some forty more page faults, a good part of what a short child
        costs, and nothing waits for their descriptors' end.
        """
        self._abandoned = True

    def close(self) -> None:
        """Release poller and wake-up."""
        poller, self._poller = self._poller, None
        wakeup, self._wakeup = self._wakeup, None
        self._thread = None
        if poller is not None:
            poller.close()
        if wakeup is not None:
            wakeup.close()


def _clipped(seconds: float) -> float:
    return _LONGEST if seconds > _LONGEST else max(0.0, seconds)
