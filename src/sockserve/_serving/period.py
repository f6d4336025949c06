"""One time of serving: servers on one loop, from the first accept until all have been left."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

from .._loop.acceptor import Acceptor
from .._loop.loop import EventLoop
from .._loop.sharing import SharedAcceptor
from ..abc import Arrival, LoopRunner, Runner, Supervisor, Timer
from ..abc._arrival import AnyArrival
from ..events import Drained, Draining
from .core import ServerCore
from .draining import Drain
from .leaving import ways_to_leave
from .signals import handled, wake_on_signals
from .terminating import signals_of
from .wishes import Wish

__all__ = ("Period", "Service")

R = TypeVar("R")
A = TypeVar("A")


def _nothing() -> None:
    """A timer's callback that only ends the wait: the loop then asks whether it is done."""


@attrs.define(eq=False, kw_only=True)
class Service(Generic[R, A]):
    """
    One server during one period.

    Args:
        number: Of the period, in the server's life.
        core: The server's.
        runner: The strategy at work.
        loop: What it is served by.
        wish: Gives the strictest wish for a stop of this period, if there is any.
        on_left: Called when the server is served no longer.
        service_actions: Called every `poll_interval` seconds and after each batch.
        attendant: Whether it is left when no other is served any more.
        limit: Requests to accept, then leave; None for no limit.
        deadline: On the loop's clock: when to leave; None for never.
        yields: Other processes accept from the same sockets: whether the next arrival is to be left to them, for a
            moment. None: no other does.
    """

    number: int
    core: ServerCore[R, A]
    runner: Runner
    loop: EventLoop
    wish: Callable[[int], Wish | None]
    on_left: Callable[[], object]
    service_actions: Callable[[], object] | None
    poll_interval: float
    attendant: bool = False
    limit: int | None = None
    deadline: float | None = None
    yields: Callable[[], bool] | None = None
    thread: int = attrs.field(init=False, factory=threading.get_ident)
    left: threading.Event = attrs.field(init=False, factory=threading.Event)
    expired: bool = attrs.field(init=False, default=False)
    taken: int = attrs.field(init=False, default=0)
    _acceptors: list[Acceptor[R, A]] = attrs.field(init=False, factory=list)
    _timers: list[Timer] = attrs.field(init=False, factory=list)
    _cadence: Timer | None = attrs.field(init=False, default=None)
    _drain_until: float | None = attrs.field(init=False, default=None)
    draining: Drain[R, A] = attrs.field(init=False)
    _awaits_idle: bool = attrs.field(init=False, default=False)
    _late: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.draining = Drain(self.core, self.runner, self.loop)

    @property
    def in_own_thread(self) -> bool:
        """Whether the caller runs in the thread that serves, which cannot wait for itself."""
        return self.thread == threading.get_ident()

    def enter(self) -> None:
        """Begin to accept, here or in the processes of a supervisor."""
        if isinstance(self.runner, Supervisor):
            self.runner.begin(self.loop.wake)
            return
        # Called for each request: where none are counted, without a detour.
        counts = self.limit is not None
        runner = self.core.admission.enter(self.loop, self.runner)
        accepting = Acceptor if self.yields is None else functools.partial(SharedAcceptor, yields=self.yields)
        if self.core.timekeeper is not None:
            self.core.timekeeper.enter(self.loop, self.runner)
        for listener in self.core.listeners:
            acceptor = accepting(
                loop=self.loop,
                core=self.core,
                listener=listener,
                runner=runner,
                admit=self._admit if counts else self.core.admit,
                refused=self.core.turned_away,
                before_batch=self.core.ask_observer,
                after_batch=self.service_actions,
            )
            acceptor.attach()
            self._acceptors.append(acceptor)
        if self.service_actions is not None:
            self._repeat(self.service_actions)
        if self.deadline is not None:
            self._timers.append(self.loop.call_at(self.deadline, self._pass_deadline))

    def _pass_deadline(self) -> None:
        """A timer runs after a look at the listener: also with no time at all, who waits is served."""
        self._late = True

    def _repeat(self, service_actions: Callable[[], object]) -> None:
        """Call *service_actions* in ``poll_interval`` seconds, and again."""

        def tick() -> None:
            self._repeat(service_actions)
            service_actions()

        self._cadence = self.loop.call_at(self.loop.time() + self.poll_interval, tick)

    def _admit(self, runner: Runner, arrival: Arrival[R, A]) -> None:
        self.taken += 1
        self.core.admit(runner, arrival)
        if self.taken == self.limit:
            self.loop.wake()  # ends the batch, and lets the loop ask whether it is done

    def done(self) -> bool:
        """Whether the server is to be left now. Asked at first, after every wake-up call and every timer."""
        wish = self.wish(self.number)
        if wish is None:
            return self._over()
        if wish.grace is None:
            return True
        self._drain(wish.grace, wish.until)
        return self._drained()

    def _over(self) -> bool:
        if self.taken != self.limit:
            return self._late
        if not isinstance(self.runner, LoopRunner):
            return True
        self.stop_accepting()
        self._call_when_idle()
        return not self.core.active

    def _call_when_idle(self) -> None:
        """Let the loop ask whether it is done when the last request in flight has ended."""
        if not self._awaits_idle:
            self._awaits_idle = True
            self.core.call_at_ends(self._wake_if_idle)

    def _wake_if_idle(self, _arrival: AnyArrival) -> None:
        if not self.core.active:
            self.loop.wake()

    def _drain(self, grace: float, until: float) -> None:
        """Accept nothing more, and wait until *until* at the latest."""
        if self._drain_until is None:
            self.stop_accepting(last=True)
            self._call_when_idle()
            if not isinstance(self.runner, Supervisor):
                self.draining.begin()
            if self.core.wants(Draining):
                event = Draining(server_address=self.core.address, active=self._active(), grace=grace)
                self.core.emit(event)
        elif until >= self._drain_until:
            return
        self._drain_until = until
        if isinstance(self.runner, Supervisor):
            self.runner.drain(until)
        self._timers.append(self.loop.call_at(until, _nothing))

    def _drained(self) -> bool:
        assert self._drain_until is not None
        left = self._left()
        if left and self.loop.time() < self._drain_until:
            return False
        self.expired = left
        aborted = self._active()
        self._abort()
        if self.core.wants(Drained):
            self.core.emit(Drained(server_address=self.core.address, aborted=aborted))
        return True

    def _active(self) -> int:
        return self.core.stats().active if isinstance(self.runner, Supervisor) else self.core.active

    def _left(self) -> bool:
        """Whether something is to be waited for."""
        return not self.runner.over if isinstance(self.runner, Supervisor) else bool(self.core.active)

    def _abort(self) -> None:
        if isinstance(self.runner, Supervisor):
            self.runner.abort()
        else:
            self.core.abort_all()

    def stop_accepting(self, *, last: bool = False) -> None:
        """Accept nothing more; the kernel goes on queueing. *last*: see `Acceptor.detach`."""
        for acceptor in self._acceptors:
            acceptor.detach(last=last)

    def leave(self) -> None:
        """Let go of the loop, and tell who waits for it. Again: no effect."""
        if self.left.is_set():
            return
        self.stop_accepting()
        try:
            if isinstance(self.runner, LoopRunner):
                self.runner.leave()
            elif isinstance(self.runner, Supervisor):
                self.runner.end()
        finally:
            self.core.leave_in_child = ()
            self.core.leave_in_worker = None
            self.core.forget_at_ends()
            self.core.admission.leave()
            self.draining.end()
            for timer in (*self._timers, self._cadence):
                if timer is not None:
                    timer.cancel()
            self.on_left()
            self.left.set()
            if self.core.timekeeper is not None:
                self.core.timekeeper.leave()  # after it: an observer in its thread may be waiting in `shutdown`


@attrs.define(eq=False)
class Period:
    """
    Serves until all services have been left.

    Args:
        loop: Where.
        services: Of each server one.
        entered: Called once all accept.
    """

    loop: EventLoop
    services: Sequence[Service[object, object]]
    entered: Callable[[], object] = _nothing
    _served: list[Service[object, object]] = attrs.field(init=False, factory=list)

    def run(self) -> None:
        """
        Serve, in this thread.

        Raises:
            KeyboardInterrupt: Ctrl-C, once or twice (see `signals`).
            OSError: A listener is of no use any more.
            BaseException: What ``service_actions`` raised.
        """
        with (
            self._left_at_the_end(),
            handled(signals_of(self.loop, self.services)),
            self.loop.opened(),
            wake_on_signals(self.loop),  # let go of before the loop closes what signals are written to
        ):
            leave_in_child, leave_in_worker = ways_to_leave(self.loop, [each.core for each in self.services])
            for service in self.services:
                service.core.leave_in_child, service.core.leave_in_worker = leave_in_child, leave_in_worker
                service.enter()
                self._served.append(service)
            self.entered()
            self.loop.turn(self._done)

    def _done(self) -> bool:
        """Leave the services that are done, if others remain."""
        done = [service for service in self._served if service.done()]
        if all(service.attendant for service in self._served if service not in done):
            return True  # the last are left when the loop is closed: then they can be served again at once
        for service in done:
            self._served.remove(service)
            service.leave()
        return False

    @contextlib.contextmanager
    def _left_at_the_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            for service in self.services:
                service.leave()
