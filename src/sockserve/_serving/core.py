"""The part of a server that its strategy and its jobs see: counting, reporting, what is in flight."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import attrs

from .._measuring.measures import Measures
from .._signals import SIG_IGN, signals
from ..abc import Arrival, Conversation, Handler, Listener, Overseer, Runner, Strategy, Tally, Workplace
from ..abc._arrival import AnyArrival
from ..deadlines import Deadlines
from ..errors import ArrivalRefused
from ..events import (
    Accepted,
    Event,
    Finished,
    NotStarted,
    Refused,
)
from ..limits import Limits
from ..messages._driving import Messages
from ..observers import Emitter
from ..stats import Stats
from .admission import Admission
from .reports import Reports
from .timekeeping import Timekeeper

if TYPE_CHECKING:
    from ..server import Server

__all__ = ("ServerCore",)

R = TypeVar("R")
A = TypeVar("A")

_SIGINT = int(signal.SIGINT)
_RLock = type(threading.RLock())  # without the function that chooses it

#: Seconds after which the observer is asked again whether it wants the two events of every request. A change of a
#: logger's level is felt that late; asking for each request cost a twentieth of a small one (measured).
ASK_AGAIN = 0.1


@attrs.define(eq=False)
class ServerCore(Reports[R, A]):
    """
    Implements `sockserve.abc.Core` and `Serving`, and keeps the requests in flight.

    A request is counted without a lock where it ends well: each step is one operation of a set or an int, and
    `stats` puts them together. Only the loop's thread admits.
    """

    server: "Server[R, A]"
    handler: Handler[R, A]
    emitter: Emitter
    limits: Limits
    deadlines: Deadlines
    _verify: Callable[[R, A], bool] | None
    listeners: Sequence[Listener[R, A]] = ()
    address: A | None = None
    #: What a forked child calls to let go of the parent's things; set while a loop serves.
    leave_in_child: tuple[Callable[[], object], ...] = ()
    #: Where a forked child sends its wish to stop.
    relay: Callable[[float | None], None] | None = None
    #: What a process forked to be a worker calls, with the listener that it keeps, in place of that.
    leave_in_worker: Callable[[Listener[object, object]], object] | None = None
    #: Whom a worker obeys; None in all other processes.
    overseer: Overseer | None = None
    #: Where requests are counted besides here, and what is then the whole.
    tally: Tally | None = None
    totals: Callable[[], Stats] | None = None
    measured: Callable[[], Sequence[int]] | None = None
    #: The process that serves. One that a handler has forked is not to go on in its place.
    pid: int = 0
    answer: Callable[..., object] = attrs.field(init=False)  # type: ignore[explicit-any]  # see Serving
    converse: Callable[[AnyArrival], Conversation] | None = attrs.field(init=False, default=None)
    timekeeper: Timekeeper[R, A] | None = attrs.field(init=False)
    admission: Admission[R, A] = attrs.field(init=False)
    # Called, in any thread, with each request that has ended.
    _at_ends: tuple[Callable[[AnyArrival], object], ...] = attrs.field(init=False, default=())
    # None where nothing is to be decided: then arrivals are not asked about.
    _admits: Callable[[Arrival[R, A]], bool] | None = attrs.field(init=False)
    # Reentrant: a signal handler may ask for the stats while this thread counts.
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)
    _jobs: set[AnyArrival] = attrs.field(init=False, factory=set)
    _accepted: int = 0
    _failed: int = 0
    _refused: int = 0
    measures: Measures | None = None
    # What the observer wants of the two events that every request has, and until when that holds. Where somebody
    # measures, requests are timed whatever it wants.
    _tells_accepted: bool = False
    _observes_finished: bool = False
    tells_finished: bool = False
    _told_until: float = 0.0
    #: When the batch of requests at hand began.
    now: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.answer = self.handler
        messages = Messages.of(self.handler)
        if messages is not None:
            self.answer, self.converse = messages.answer, messages.converse
        self._let_in()

    def _let_in(self) -> None:
        """Begin to count who is let in."""
        kept = self.deadlines.idle is not None or self.deadlines.total is not None
        self.timekeeper = Timekeeper(self, self.deadlines) if kept else None
        self.admission = Admission(self, self.limits, self._verify)
        self._admits = self.admission.admits if self.admission.needed else None
        self.forget_at_ends()

    def call_at_ends(self, hook: Callable[[AnyArrival], object]) -> None:
        """Call *hook* with each request that has ended, in whatever thread, until `forget_at_ends`."""
        self._at_ends += (hook,)

    def forget_at_ends(self) -> None:
        """Call nobody any more at the ends of requests, but who counts them all the time."""
        counts = self.admission.census, self.timekeeper
        self._at_ends = tuple(each.end for each in counts if each is not None)

    def ask_observer(self, now: float) -> None:
        """Ask what the observer wants, before a batch of requests: again after a while, it may change its mind."""
        self.now = now
        if now >= self._told_until:
            self._told_until = now + ASK_AGAIN
            self._tells_accepted = self.emitter.wants(Accepted)
            self._observes_finished = self.emitter.wants(Finished)
            self.tells_finished = self._observes_finished or self.measures is not None

    def measure(self) -> Measures:
        """Return what is measured: from the first call on."""
        return self.measures or self._measure_in(Measures())

    def _measure_in(self, measures: Measures) -> Measures:
        self.measures = self.emitter.measures = measures
        self.tells_finished = True  # not only from the next batch on
        return measures

    @property
    def answers_messages(self) -> bool:
        """See `sockserve.abc.Core.answers_messages`."""
        return self.converse is not None

    def request_stop(self, grace: float | None = None, /) -> None:
        """See `sockserve.abc.Core.request_stop`."""
        self.server.request_stop(grace)

    def forget_jobs(self) -> None:
        """In a forked process: the requests in flight, and where they are counted, are the parent's."""
        if self.totals is not None:
            counts = self.totals()
            self._accepted, self._failed, self._refused = counts.accepted, counts.failed, counts.refused
            self._accepted -= counts.active
            self.tally = self.totals = self.measured = None
        self._lock = threading.RLock()
        if self.measures is not None:
            self._measure_in(Measures())  # a new lock, too
        self._accepted -= len(self._jobs)
        self._jobs = set()
        self._let_in()

    @property
    def active(self) -> int:
        """How many requests are in flight."""
        return len(self._jobs)

    def jobs(self) -> list[AnyArrival]:
        """Return the requests in flight."""
        return list(self._jobs)  # in one step: no other thread comes between

    def end_all_input(self) -> None:
        """Let the handlers of the connections in flight see the end of their input."""
        for job in self.jobs():
            if job.stream:
                (job.keeper or job).end_input()

    def abort_all(self) -> None:
        """Let every wait of a handler in flight for its peer end."""
        for job in self.jobs():
            (job.keeper or job).abort()

    def stats(self) -> Stats:
        """Return the counts of one moment."""
        if self.totals is not None:
            return self.totals()
        with self._lock:
            accepted = self._accepted
            active = self.jobs()
            # What was admitted since the first line is in that list, or has ended: numbers are given in order.
            accepted = max(accepted, max((job.number for job in active), default=0))
            finished = accepted - len(active) - self._failed
            return Stats(accepted, len(active), finished, self._failed, self._refused)

    def admit(self, runner: Runner, arrival: Arrival[R, A]) -> None:
        """Hand an arrival to *runner*, if it is to be served."""
        if self._admits is not None and not self._admits(arrival):
            return
        number = self._accepted + 1
        arrival.admit(self, number)
        self._jobs.add(arrival)
        self._accepted = number
        if self.tally is not None:
            self.tally.accepted()
        if self._tells_accepted:
            self.emit(Accepted(server_address=self.address, client_address=arrival.client_address))
        if not self.listeners:  # verify, or the observer just now, has closed the server
            arrival.reject()
            return
        try:
            runner.submit(arrival)
        except Exception as error:  # noqa: BLE001 - reported, and the server goes on
            arrival.reject()
            if self.wants(NotStarted):
                self.emit(
                    NotStarted(server_address=self.address, client_address=arrival.client_address, error=error)
                )

    def vet(self, job: AnyArrival, /) -> bool:
        """See `Serving.vet`."""
        return self.admission.vet(cast("Arrival[R, A]", job))

    def turned_away(self, error: ArrivalRefused) -> None:
        """Count and report what a listener has turned away: a datagram that was too long, for one."""
        self.refused(
            Refused(server_address=self.address, client_address=error.client_address, reason=error.reason)
        )

    def refused(self, event: Event) -> None:
        """Count and report what was turned away."""
        with self._lock:
            self._refused += 1
            if self.tally is not None:
                self.tally.refused()
        if self.wants(type(event)):
            self.emit(event)

    def settled(self, job: AnyArrival, ok: bool, /) -> None:
        """See `Serving.settled`."""
        if ok and self.tally is None:
            self._jobs.discard(job)
        else:
            with self._lock:
                if job in self._jobs:  # else it has been counted: something went wrong after its end, too
                    self._jobs.discard(job)
                    self._failed += not ok
                    if self.tally is not None and self.pid == os.getpid():  # not one that a handler has forked
                        self.tally.ended(ok)
        for hook in self._at_ends:
            hook(job)

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """See `sockserve.abc.Core.enter_child`."""
        self._lock = _RLock()  # another thread of the parent may have held it
        signals.signal(_SIGINT, SIG_IGN)
        signals.set_wakeup_fd(-1)
        self.relay = relay
        self.measures = self.emitter.measures = None  # nobody looks at it here
        self.tally = None  # the process that settles the request counts it
        self.pid = os.getpid()
        self._at_ends = ()  # who counts does so in the parent
        for leave in self.leave_in_child:
            leave()

    def count_in(
        self, tally: Tally | None, totals: Callable[[], Stats], measured: Callable[[], Sequence[int]], /
    ) -> None:
        """See `sockserve.abc.WorkerCore.count_in`."""
        self.tally, self.totals, self.measured = tally, totals, measured

    def serve(self, inner: Strategy, workplace: Workplace, /) -> None:
        """See `sockserve.abc.Core.serve`."""
        self.server._serve_as_worker(inner, workplace)

    def become_worker(self, workplace: Workplace) -> None:
        """In a process forked to serve: let go of the parent's things, and begin anew."""
        self._lock = _RLock()  # another thread of the parent may have held it
        signals.set_wakeup_fd(-1)
        assert self.leave_in_worker is not None
        self.leave_in_worker(workplace.listener)
        self.forget_jobs()
        self.listeners = (cast("Listener[R, A]", workplace.entrance),)
        self.count_in(workplace.tally, workplace.totals, workplace.measured)
        if self.measures is not None:
            self._measure_in(Measures(workplace.tally.cells))
        self.overseer = workplace.overseer
        self.relay = workplace.overseer.ask_to_stop
