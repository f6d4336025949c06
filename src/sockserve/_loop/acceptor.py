"""Between one listener, the loop and one runner: accepting, and looking away while nothing can be taken."""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from ..abc import READ, Arrival, Core, Listener, Runner, Timer
from ..errors import ArrivalRefused
from ..events import AcceptFailed, AcceptPaused, AcceptResumed
from .accept_errors import PAUSE_SECONDS, AcceptAction, action_for
from .loop import EventLoop

__all__ = ("Acceptor",)

R = TypeVar("R")
A = TypeVar("A")

#: Arrivals taken for one wake-up, at most: then the other listeners and descriptors have their turn.
BATCH = 128
#: Wake-ups, at most, that take one arrival each because looking for a second was in vain.
MOST_SKIPPED = 63
#: Seconds without a failure after which a want of descriptors or memory is over.
CALM_SECONDS = 1.0
#: Lost arrivals in a row before a pause: an error that the table thinks passing may stay.
RETRIES = 16


@attrs.define(eq=False, kw_only=True)
class Acceptor(Generic[R, A]):
    """
    Accepts from one listener while its runner has room.

    Args:
        loop: Where the listener is watched, level-triggered: a batch ends early when the loop is pressing, and
            what is left is reported again.
        core: Told of accept errors.
        listener: What is accepted from.
        runner: Asked whether it is full.
        admit: Called with the runner and every arrival.
        refused: Called for what the listener has turned away: a datagram that was too long, for one.
        before_batch: Called before every batch, with the time.
        after_batch: Called after every batch; None for nothing.
    """

    loop: EventLoop
    core: Core
    listener: Listener[R, A]
    runner: Runner
    admit: Callable[[Runner, Arrival[R, A]], None]
    refused: Callable[[ArrivalRefused], None]
    before_batch: Callable[[float], object]
    after_batch: Callable[[], object] | None
    _fd: int = attrs.field(init=False, default=-1)
    _attached: bool = attrs.field(init=False, default=False)
    _timer: Timer | None = attrs.field(init=False, default=None)
    _starved: bool = attrs.field(init=False, default=False)
    _calm: Timer | None = attrs.field(init=False, default=None)
    _lost: int = attrs.field(init=False, default=0)
    # An accept that finds nothing costs more than another wait (measured: 2.5 us, and 1.7). After one in vain some
    # wake-ups go without, twice as many each time; a batch that found more than one begins anew.
    _skip: int = attrs.field(init=False, default=0)
    _skips: int = attrs.field(init=False, default=0)

    def attach(self) -> None:
        """Begin to accept."""
        self._attached = True
        self._go_on()

    def detach(self, *, last: bool = False) -> None:
        """
        Accept nothing more; the kernel goes on queueing.

        Args:
            last: Others accept from the same socket, and go on: see `SharedAcceptor`.
        """
        self._attached = False
        self._look_away()
        if self._timer is not None:
            self._timer.cancel()
        self._calm_from(None)

    def _look_away(self) -> None:
        if self._fd >= 0:
            self.loop.unwatch(self._fd)
            self._fd = -1

    def _go_on(self) -> None:
        """Watch the listener, unless the runner has no room: then once it has."""
        self._timer = None
        if not self._attached or self._fd >= 0:
            return
        if self.runner.full:
            self.loop.pause(self._go_on)
            if self.runner.full:  # asked again: it may have got room before it could know that we wait
                return
        fd = self.listener.fileno()
        if fd < 0:
            return  # closed, by a signal handler in this thread for instance: the loop is about to be left
        self._fd = fd
        self._watch(READ)

    def _watch(self, mask: int) -> None:
        self.loop.watch(self._fd, self._accept_batch if self.after_batch is None else self._on_ready, mask)

    def _on_ready(self, mask: int) -> None:
        try:
            self._accept_batch(mask)
        finally:
            assert self.after_batch is not None
            self.after_batch()

    def _accept_batch(self, _mask: int) -> None:
        """Accept until nothing is left, enough arrivals are taken, or something else wants the loop."""
        if self.runner.full:  # since the last batch: connections that were accepted before have filled it
            self._look_away()
            self._go_on()
            return
        accept, admit, runner, loop = self.listener.accept, self.admit, self.runner, self.loop
        timers = loop.timers.heap
        self.before_batch(loop.time())
        most = BATCH
        if self._skip:
            self._skip -= 1
            most = 1
        for taken in range(most):
            try:
                arrival = accept()
            except BlockingIOError:
                self._emptied(taken)
                return
            except ArrivalRefused as error:
                self.refused(error)
            except OSError as error:
                if not self._failed(error):
                    return
            else:
                self._lost = 0
                admit(runner, arrival)
                del arrival  # a batch may go on for long, and nothing of this request with it
                if not self._attached:
                    return
                if runner.full:
                    self._look_away()
                    self._go_on()
                    return
            if loop.calling or (timers and timers[0][0] <= loop.time()):
                return

    def _emptied(self, taken: int) -> None:
        """Take note of an accept that has found nothing, after so many that did."""
        self._skips = self._skip = min(2 * self._skips + 1, MOST_SKIPPED) if taken <= 1 else 0
        if self._starved:
            self._recovered()

    def _failed(self, error: OSError) -> bool:
        """Do what the table says; whether to go on with the batch."""
        if not self._attached:
            return False  # closed in the middle of the call
        action = action_for(error)
        if action is AcceptAction.STOP:
            raise error
        self._lost += 1
        self._skip = 0
        if action is AcceptAction.RETRY and self._lost <= RETRIES:
            if self.core.wants(AcceptFailed):
                self.core.emit(AcceptFailed(server_address=self.core.address, error=error))
            return True
        self._calm_from(self._look_away_for(PAUSE_SECONDS))
        if not self._starved:
            self._starved = True
            if self.core.wants(AcceptPaused):
                self.core.emit(AcceptPaused(server_address=self.core.address, error=error, seconds=PAUSE_SECONDS))
        return False

    def _look_away_for(self, seconds: float) -> float:
        """Go on after so many seconds; return when that is."""
        self._look_away()
        again = self.loop.time() + seconds
        self._timer = self.loop.call_at(again, self._go_on)
        return again

    def _calm_from(self, when: float | None) -> None:
        """
        Say that a want is over when nothing has failed for a while; None: there is none any more.

        One arrival does not say so: where each client that leaves frees one descriptor for the next, accepting
        succeeds and fails by turns. A queue that was emptied does.
        """
        if self._calm is not None:
            self._calm.cancel()
        self._calm = None if when is None else self.loop.call_at(when + CALM_SECONDS, self._recovered)

    def _recovered(self) -> None:
        self._calm_from(None)
        self._starved = False
        if self.core.wants(AcceptResumed):
            self.core.emit(AcceptResumed(server_address=self.core.address))
