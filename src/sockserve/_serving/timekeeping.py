"""Deadlines of connections: one implementation for all strategies, in the loop."""

import functools
import math
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import attrs

from .._pulse import PulsedSocket, waits_since
from .._traffic import traffic_of
from ..abc import HoldingRunner, PulseListener, PulseRunner, Runner, Timer
from ..abc._arrival import AnyArrival
from ..deadlines import Deadlines
from ..events import DeadlinePassed
from .watchman import Watchman

if TYPE_CHECKING:
    from .core import ServerCore

__all__ = ("INSIST", "LAST_RESORT", "Scheduler", "Timekeeper")

R = TypeVar("R")
A = TypeVar("A")

#: Seconds between two signals for the process of a connection whose deadline has passed: one that comes between
#: the interpreter's last look and the wait of its handler is noted, but does not end that wait.
INSIST = 0.1
#: Seconds after which such a process is killed: its handler does not wait for the client.
LAST_RESORT = 1.0

#: Of the idle deadline, the longest time between two looks at a peer that has something to take: when it has taken
#: the last bytes is known as exactly as that.
_QUARTER = 0.25


#: Since when a socket waits that is of a class of somebody else's: what the system tells of its traffic decides.
_UNKNOWN = -1.0


class Scheduler(Protocol):
    """What calls back when it is time."""

    def time(self) -> float:
        """Return the clock: seconds, monotonic."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call *callback* when the clock reaches *when*."""
        ...


class Look:
    """What is known of one connection that has been looked at."""

    __slots__ = ("acknowledged", "began", "job", "moved", "passed_at", "timer")

    def __init__(self, job: AnyArrival, began: float) -> None:
        self.job = job
        self.began = began
        #: Bytes that the peer's system had taken at the last look, and when the last of them had been, at most.
        self.acknowledged = -1
        self.moved = began
        self.timer: Timer | None = None
        self.passed_at: float | None = None


@attrs.define(eq=False)
class Timekeeper(Generic[R, A]):
    """
    Keeps the deadlines of one server's connections.

    A connection costs an entry in a table, by whose order the youngest are known, and nothing for each of its
    requests: it is looked at when it could be over for the first time, and has a timer of its own from then on,
    set anew when that rings.

    Args:
        core: The server's.
        deadlines: Of which ``idle`` or ``total`` is set.
    """

    core: "ServerCore[R, A]"
    deadlines: Deadlines
    _first: float = attrs.field(init=False)
    # By age. Plain dict operations, each atomic: requests end in any thread.
    _young: dict[AnyArrival, float] = attrs.field(init=False, factory=dict)
    _old: dict[AnyArrival, Look] = attrs.field(init=False, factory=dict)
    _over: list[Look] = attrs.field(init=False, factory=list)
    _scheduler: Scheduler | None = attrs.field(init=False, default=None)
    _watchman: Watchman | None = attrs.field(init=False, default=None)
    _timer: Timer | None = attrs.field(init=False, default=None)
    _pulse_of: Callable[[AnyArrival], tuple[float, float]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._first = min(self.deadlines.idle or math.inf, self.deadlines.total or math.inf)
        self._pulse_of = _pulse_of_socket

    # A time of serving.

    def enter(self, loop: Scheduler, runner: Runner) -> None:
        """Begin, on *loop* or where its thread is held by the requests, beside it."""
        if isinstance(runner, PulseRunner):
            self._pulse_of = runner.pulse
        elif self.deadlines.idle is not None:
            self._watch_arrivals()
        if isinstance(runner, HoldingRunner) and runner.holds_loop:
            loop = self._watchman = Watchman(loop.time)
        self._scheduler = loop
        for look in tuple(self._old.values()):
            self._look(look)
        if self._young:
            self._look_at_young()

    def _watch_arrivals(self) -> None:
        self._pulse_of = _pulse_of_socket
        for listener in self.core.listeners:
            if isinstance(listener, PulseListener):
                listener.watch_arrivals()

    def leave(self) -> None:
        """Let go of the loop. Connections that go on are looked at the next time."""
        self._scheduler = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for look in (*self._old.values(), *self._over):
            if look.timer is not None:
                look.timer.cancel()
        self._over.clear()
        watchman, self._watchman = self._watchman, None
        if watchman is not None:
            watchman.close()

    # Requests begin, in the loop's thread, and end, in any.

    def begin(self, job: AnyArrival, now: float) -> None:
        """Take note of a connection that was accepted *now*."""
        self._young[job] = now
        if self._timer is None and self._scheduler is not None:
            # Asked after it is in the table: who looks there asks in the other order.
            self._timer = self._scheduler.call_at(now + self._first, self._look_at_young)
        if self._over:
            self._forget_timers()

    def end(self, job: AnyArrival) -> None:
        """Take note that a connection has ended. Any thread."""
        if self._young.pop(job, None) is None:
            look = self._old.pop(job, None)
            if look is not None:
                self._over.append(look)  # timers are for the thread that has them

    def _forget_timers(self) -> None:
        while self._over:
            timer = self._over.pop().timer
            if timer is not None:
                timer.cancel()

    # Looking.

    def _look_at_young(self) -> None:
        """Look at those that have become old enough."""
        scheduler = self._scheduler
        self._timer = None
        if scheduler is None:
            return
        now = scheduler.time()
        while self._young:
            try:
                job, began = next(iter(self._young.items()))
            except (StopIteration, RuntimeError):
                continue  # it has ended just now, in another thread
            if began + self._first > now:
                self._timer = scheduler.call_at(began + self._first, self._look_at_young)
                return
            look = self._old[job] = Look(job, began)  # in both for a moment: who ends finds it in one
            if self._young.pop(job, None) is None:
                self._old.pop(job, None)
            else:
                self._look(look)

    def _ring(self, look: Look) -> None:
        look.timer = None
        if look.job in self._old:
            self._look(look)

    def _look(self, look: Look) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        now = scheduler.time()
        due = self._due(look, now) if look.passed_at is None else self._insist(look, look.passed_at, now)
        if due is not None:
            look.timer = scheduler.call_at(due, functools.partial(self._ring, look))

    def _due(self, look: Look, now: float) -> float | None:
        """Say when to look again; None: a deadline has passed."""
        idle, total = self.deadlines.idle, self.deadlines.total
        due = math.inf
        if total is not None:
            due = look.began + total
            if due <= now:
                return self._pass(look, now, "total", total)
        if idle is not None:
            silent, again = self._silent_since(look)
            if silent is not None and silent + idle <= now:
                return self._pass(look, now, "idle", idle)
            due = min(due, (now if silent is None else silent) + idle, now + again * idle)
        return due

    def _silent_since(self, look: Look) -> tuple[float | None, float]:
        """
        Since when nothing has moved while the server waits for this client; None: it does not wait.

        Returns:
            That, and after which part of the deadline to look again, at most.
        """
        job, request = look.job, look.job.request
        waits, moved = self._pulse_of(job)
        told = traffic_of(request) if job.keeper is None and isinstance(request, socket.socket) else None
        if told is None:
            return (max(waits, moved) if waits > 0 else None), 1.0
        system = monotonic()
        if told.acknowledged != look.acknowledged:
            look.acknowledged = told.acknowledged
            look.moved = system - told.since_acknowledged
        moved = max(moved, look.moved, system - told.since_received)
        if told.stalled:
            return max(waits, moved), _QUARTER
        return (max(waits, moved) if waits else None), 1.0

    # Ending.

    def _pass(self, look: Look, now: float, name: str, seconds: float) -> float | None:
        """End a connection whose deadline has passed; say when to look whether it has ended."""
        job = look.job
        look.passed_at = now
        there = job.keeper is not None or _is_open(job.request)
        again = self._insist(
            look, now, now
        )  # first: an observer may wait for the loop, which this request may hold
        if self.core.wants(DeadlinePassed):
            self.core.emit(
                DeadlinePassed(
                    server_address=self.core.address,
                    client_address=job.client_address,
                    deadline=name,
                    seconds=seconds,
                    ended=there,
                )
            )
        return again

    def _insist(self, look: Look, passed_at: float, now: float) -> float | None:
        keeper = look.job.keeper
        if keeper is None:
            look.job.abort()
            return None
        if now - passed_at >= LAST_RESORT:
            keeper.kill()
            return None
        keeper.abort()
        return now + INSIST


def _is_open(request: object) -> bool:
    return not isinstance(request, socket.socket) or request.fileno() >= 0


def _pulse_of_socket(job: AnyArrival) -> tuple[float, float]:
    """Say since when a request's socket waits for its peer (0.0: it does not), and when it last wrote."""
    request = job.request
    if isinstance(request, PulsedSocket):
        return waits_since(request.pulse)
    # A plain one belongs to nobody yet who could wait.
    return (0.0 if type(request) is socket.socket else _UNKNOWN), 0.0
