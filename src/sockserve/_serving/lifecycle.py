"""The life of a server: new, listening, served, listening again, closed."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs

from .._loop.loop import EventLoop
from ..abc import (
    Listener,
    OpeningStrategy,
    Strategy,
    Supervisor,
    Transport,
    Workplace,
)
from ..abc._arrival import current_job
from ..errors import CompositionError, ServerStateError
from ..events import Closed, Listening, RequestsAbandoned
from ..stats import Measurements, ServerState
from .core import ServerCore
from .period import Service
from .wishes import Wish, Wishes
from .work import Work

__all__ = ("Lifecycle",)

R = TypeVar("R")
A = TypeVar("A")

#: Seconds still waited, once a grace has expired and the sockets of what is in flight were shut: handlers that
#: wait for their client end within microseconds, the others are abandoned.
LAST_WAIT = 1.0

#: Seconds after the end of a grace, until who waits in `shutdown` shuts the sockets himself: the loop does it at
#: once, unless a handler holds its thread (`SyncStrategy`).
HELP_AFTER = 0.05


@attrs.define(eq=False)
class Lifecycle(Generic[R, A]):
    """
    What a server has opened and started, and who serves it.

    Args:
        name: Says which server is meant, in errors.
        transport: Opened by `open`.
        strategy: Started when the server is first served.
        core: The server's.
    """

    name: Callable[[], str]
    transport: Transport[R, A]
    strategy: Strategy
    core: ServerCore[R, A]
    loop: EventLoop = attrs.field(init=False, factory=EventLoop)
    _listeners: Sequence[Listener[R, A]] = attrs.field(init=False, default=())
    _closed: bool = attrs.field(init=False, default=False)
    work: Work = attrs.field(init=False, factory=Work)
    _service: Service[R, A] | None = attrs.field(init=False, default=None)
    _periods: int = attrs.field(init=False, default=0)
    _wishes: Wishes = attrs.field(init=False, factory=Wishes)
    _release_when_left: bool = attrs.field(init=False, default=False)
    #: Whether what is in flight has been told to end, and is not waited for much longer.
    expired: bool = attrs.field(init=False, default=False)
    _pid: int = attrs.field(init=False, factory=os.getpid)
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)

    @property
    def is_open(self) -> bool:
        """Whether the kernel queues clients."""
        return bool(self._listeners) and not self._closed

    @property
    def state(self) -> ServerState:
        """See `Server.state`."""
        service = self._service
        if self._closed:
            return "closed"
        if service is not None:
            return "serving" if service.wish(service.number) is None else "draining"
        return "listening" if self._listeners else "new"

    def measure(self) -> Measurements:
        """See `Server.measure`."""
        core, listeners = self.core, self._listeners if self.is_open else ()
        return core.measure().taken_with(
            self.work.runner, listeners, at_limit=core.admission.at_limit, elsewhere=core.measured
        )

    def open(self) -> None:
        """See `Server.listen`."""
        self._disinherit()
        with self._lock:
            if self._closed:
                raise ServerStateError(f"{self.name()} is closed, for good; compose another")
            if self._listeners:
                return
            self._listeners = self.core.listeners = listeners = self._opened()
            self.core.address = listeners[0].address
        if self.core.wants(Listening):
            self.core.emit(Listening(server_address=self.core.address))

    def _opened(self) -> Sequence[Listener[R, A]]:
        if isinstance(self.strategy, OpeningStrategy):
            return self.strategy.listen(self.transport)
        return (self.transport.listen(),)

    def listener(self) -> Listener[R, A]:
        """Return the open listener, or say why there is none."""
        if not self.is_open:
            why = "is closed" if self._closed else "does not listen yet; use `with`, or call listen()"
            raise ServerStateError(f"{self.name()} {why}")
        return self._listeners[0]

    def _disinherit(self) -> None:
        """In a process that the program has forked: what was served, started and in flight is the parent's."""
        if self._pid == os.getpid():
            return
        with self._lock:
            self._pid = os.getpid()
            self._service = None
            self.work = Work()
            self.loop = EventLoop()  # the old one watches what is the parent's
            self.core.forget_jobs()

    def become_worker(self, inner: Strategy, workplace: Workplace) -> Service[R, A]:
        """
        In a process forked by who serves: be a server of its own, under *inner*.

        Returns:
            The period in which it was forked, which is the parent's.
        """
        assert self._service is not None
        parent = self._service
        self._lock = threading.RLock()  # another thread of the parent may have held it
        self._disinherit()
        self.core.become_worker(workplace)
        self._wishes = Wishes()
        self.strategy = inner
        self._listeners = self.core.listeners
        return parent

    # Being served.

    def begin(
        self,
        loop: EventLoop,
        *,
        service_actions: Callable[[], object] | None,
        poll_interval: float,
        attendant: bool = False,
        limit: int | None = None,
        deadline: float | None = None,
        yields: Callable[[], bool] | None = None,
    ) -> Service[R, A]:
        """Begin a period on *loop*; `Service.leave` ends it."""
        with self._lock:
            self._disinherit()
            self.listener()
            if self._service is not None:
                raise ServerStateError(f"{self.name()} is being served already, by another call")
            self.expired = False
            self.core.pid = self._pid
            runner = self.work.go_on(self.strategy, self.core, loop)
            if limit is not None and isinstance(runner, Supervisor):
                raise CompositionError(
                    f"{self.name()}: handle_request() accepts one request here, where workers accept theirs "
                    "in processes of their own; use serve_forever()"
                )
            self._service = service = Service(
                number=self._periods,
                core=self.core,
                runner=runner,
                loop=loop,
                wish=self._wishes.strictest,
                on_left=self._left,
                service_actions=service_actions,
                poll_interval=poll_interval,
                attendant=attendant,
                limit=limit,
                deadline=deadline,
                yields=yields,
            )
            return service

    def _left(self) -> None:
        with self._lock:
            if self._service is None:
                return  # in a process that a handler has forked: the service is the parent's
            self.expired = self.expired or self._service.expired
            # In this order, for `request_stop`, which takes no lock: a wish is for a period that can still hear.
            self._service = None
            self._periods += 1
            release, self._release_when_left = self._release_when_left, False
            self._wishes.forget_before(self._periods)
        if release:
            self._release()

    # Being stopped.

    def request_stop(self, grace: float | None) -> None:
        """See `Server.request_stop`."""
        if self.core.relay is not None:
            self.core.relay(grace)
        else:
            self.wish(grace)

    def wish(self, grace: float | None) -> None:
        """Have this process stop serving. Takes no lock."""
        if self.is_open or self._service is not None:
            # In this order: who begins to serve looks for a wish once it can be woken.
            service = self._service
            number = self._periods if service is None else service.number
            self._wishes.add(Wish(number, grace, self.loop.time() + (grace or 0.0)))
            service = self._service
            if service is not None:
                service.loop.wake()
                if grace is not None and service.in_own_thread:
                    service.draining.help()  # a signal handler, while a request holds the loop

    def replace_workers(self) -> None:
        """See `Server.replace_workers`."""
        service, overseer = self._service, self.core.overseer
        if overseer is not None:
            overseer.ask_to_renew()
        elif service is None:
            raise ServerStateError(f"{self.name()} is not being served: it has no workers to replace")
        elif isinstance(service.runner, Supervisor):
            service.loop.call_soon_threadsafe(service.runner.renew)
        else:
            raise CompositionError(f"{self.name()} has no workers to replace; PreforkStrategy has")

    def shutdown(self, grace: float | None) -> None:
        """See `Server.shutdown`."""
        self._disinherit()
        service = self._service
        self.request_stop(grace)
        if service is not None and not service.in_own_thread and not self._in_worker():
            self._await(service, grace)

    def _in_worker(self) -> bool:
        """Whether a request of this server called: it would wait for itself."""
        job = current_job.get()
        return self.core.relay is not None or (job is not None and job.serving is self.core)

    def _await(self, service: Service[R, A], grace: float | None) -> None:
        """Wait until *service* has been left. A loop that a handler holds cannot end the grace: then we do."""
        if service.draining.wait(service.left, None if grace is None else grace + HELP_AFTER):
            return
        self.expired = True
        self.core.abort_all()
        service.left.wait(LAST_WAIT)

    def close(self) -> None:
        """See `Server.server_close`."""
        if self.core.relay is not None:
            self.request_stop(None)
        else:
            self.close_here()

    def close_here(self) -> None:
        """Release everything that this process has."""
        self._disinherit()
        with self._lock:  # from here on no period begins
            was_open, self._closed = self.is_open, True
            service = self._service
            # Called by what the loop's thread runs, at any point of it: the loop forgets the listener first.
            self._release_when_left = was_open and service is not None and service.in_own_thread
        if service is not None:
            self.wish(None)
            if not service.in_own_thread:
                service.left.wait(LAST_WAIT if self.expired else None)
        if was_open and not self._release_when_left:
            self._release()

    def _release(self) -> None:
        """Close the listeners, and end and await what is in flight."""
        self.core.listeners = ()
        for listener in self._listeners:
            if listener.stream:
                listener.close()
        self.core.end_all_input()
        self._close_runners()
        for listener in self._listeners:
            listener.close()  # of datagrams: their replies go through it
        if self.core.relay is None and self.core.wants(Closed):  # a worker's end is not the server's
            self.core.emit(Closed(server_address=self.core.address))

    def _close_runners(self) -> None:
        deadline = self.loop.time() + LAST_WAIT if self.expired else None
        self.work.close(deadline)
        if self.expired and self.core.active and self.core.wants(RequestsAbandoned):
            self.core.emit(RequestsAbandoned(server_address=self.core.address, active=self.core.active))
