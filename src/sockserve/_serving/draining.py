"""Draining: connections that wait for a next request are closed at once, the others when theirs is answered."""

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from .._silence import Silence
from ..abc import DrainingRunner, HoldingRunner, Loop, Runner, SilenceRunner, Timer
from ..abc._arrival import AnyArrival

if TYPE_CHECKING:
    from .core import ServerCore

__all__ = ("Drain",)

R = TypeVar("R")
A = TypeVar("A")

#: Seconds between two looks, at first, and at most: a handler that has answered goes on to read at once.
_SOON, _LATER = 0.01, 0.25
#: Seconds between two looks of who waits for a loop that is held.
_HELP = 0.05


@attrs.define(eq=False)
class Drain(Generic[R, A]):
    """
    The end of one time of serving.

    Args:
        core: The server's.
        runner: The strategy at work.
        loop: Where it is looked again, until everything has ended.
    """

    core: "ServerCore[R, A]"
    runner: Runner
    loop: Loop
    _silence: Silence = attrs.field(init=False)
    _told: set[AnyArrival] = attrs.field(init=False, factory=set)
    _timer: Timer | None = attrs.field(init=False, default=None)
    _pause: float = attrs.field(init=False, default=_SOON)

    def __attrs_post_init__(self) -> None:
        self._silence = Silence(self.loop.time)

    def begin(self) -> None:
        """Look now, and again and again. In the loop's thread."""
        self._timer = None
        self.look()
        if self.core.active:
            self._timer = self.loop.call_at(self.loop.time() + self._pause, self.begin)
            self._pause = min(2 * self._pause, _LATER)

    def look(self) -> None:
        """Let those who are silent see the end of their input. Neither blocks nor takes a lock."""
        jobs = self.core.jobs()
        self._told.intersection_update(jobs)
        for job in jobs:
            if job.stream and job not in self._told and self._is_silent(job):
                self._told.add(job)
                self._silence.forget(job)
                job.end_input()
        if isinstance(self.runner, DrainingRunner):
            self.runner.drain()

    def help(self) -> None:
        """Look, where a request holds the loop: for a signal handler in its thread. See `look`."""
        if self._is_held():
            self.look()

    def wait(self, left: threading.Event, seconds: float | None) -> bool:
        """Wait for so many *seconds* until the loop has *left*, and look where it is held; whether it has."""
        if seconds is None or not self._is_held():
            return left.wait(seconds)
        until = time.monotonic() + seconds
        while not left.wait(max(0.0, min(_HELP, until - time.monotonic()))):
            if time.monotonic() >= until:
                return False
            self.look()
        return True

    def _is_held(self) -> bool:
        return isinstance(self.runner, HoldingRunner) and self.runner.holds_loop

    def _is_silent(self, job: AnyArrival) -> bool:
        if job.keeper is not None:
            return False  # who has it knows
        known = self.runner.silence(job) if isinstance(self.runner, SilenceRunner) else None
        return self._silence.of(job) if known is None else known

    def end(self) -> None:
        """Look no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if isinstance(self.runner, DrainingRunner):
            self.runner.drained()
