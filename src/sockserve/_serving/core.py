"""The part of a server that its strategy and its jobs see: counting, reporting, what is in flight."""

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ..abc import Arrival, Handler, Listener, Runner
from ..errors import DatagramTruncated
from ..events import (
    Accepted,
    Event,
    Finished,
    HandlerFailed,
    NotStarted,
    PeerGone,
    Refused,
    VerifyFailed,
)
from ..handlers import handler_name
from ..observers import Emitter
from ..stats import Stats
from .job import RequestJob

if TYPE_CHECKING:
    from ..server import Server

__all__ = ("ServerCore",)

R = TypeVar("R")
A = TypeVar("A")


@attrs.define(eq=False)
class ServerCore(Generic[R, A]):
    """Implements `sockserve.abc.Core`, and keeps the requests in flight."""

    server: "Server[R, A]"
    handler: Handler[R, A]
    verify: Callable[[R, A], bool] | None
    emitter: Emitter
    listeners: tuple[Listener[R, A], ...] = ()
    address: A | None = None
    #: Called, in any thread, when the last request in flight has ended.
    on_idle: Callable[[], object] | None = None
    #: What a forked child lets go of; set while a loop serves.
    leave_loop: Callable[[], object] | None = None
    #: Where a forked child sends its wish to stop.
    relay: Callable[[float | None], None] | None = None
    #: The process that serves. One that a handler has forked is not to go on in its place.
    pid: int = 0
    # Reentrant: a signal handler may ask for the stats while this thread counts.
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)
    _jobs: set[RequestJob[R, A]] = attrs.field(init=False, factory=set)
    _finished: int = 0
    _failed: int = 0
    _refused: int = 0
    # What the observer wants of the two events that every request has.
    _tells_accepted: bool = False
    tells_finished: bool = False

    def ask_observer(self) -> None:
        """Ask what the observer wants: once for a batch of requests, since it may change its mind."""
        self._tells_accepted = self.emitter.wants(Accepted)
        self.tells_finished = self.emitter.wants(Finished)

    def wants(self, kind: type[Event], /) -> bool:
        """See `sockserve.abc.Core.wants`."""
        return self.emitter.wants(kind)

    def emit(self, event: Event, /) -> None:
        """See `sockserve.abc.Core.emit`."""
        self.emitter.emit(event)

    def request_stop(self, grace: float | None = None, /) -> None:
        """See `sockserve.abc.Core.request_stop`."""
        self.server.request_stop(grace)

    def forget_jobs(self) -> None:
        """In a forked process: the requests in flight are the parent's."""
        self._lock = threading.RLock()
        self._jobs = set()

    @property
    def active(self) -> int:
        """How many requests are in flight."""
        return len(self._jobs)

    def jobs(self) -> list[RequestJob[R, A]]:
        """Return the requests in flight."""
        with self._lock:
            return list(self._jobs)

    def stats(self) -> Stats:
        """Return the counts of one moment."""
        with self._lock:
            active = len(self._jobs)
            accepted = active + self._finished + self._failed
            return Stats(accepted, active, self._finished, self._failed, self._refused)

    def admit(self, runner: Runner, arrival: Arrival[R, A]) -> None:
        """Verify an arrival and hand it to *runner*."""
        if self.verify is not None and not self._verified(self.verify, arrival):
            return
        job = RequestJob(self, arrival)
        self._jobs.add(job)  # atomic; from here on it counts as accepted
        if self._tells_accepted:
            self.emit(Accepted(server_address=self.address, client_address=arrival.client_address))
        if not self.listeners:  # verify, or the observer just now, has closed the server
            job.reject()
            return
        try:
            runner.submit(job)
        except Exception as error:  # noqa: BLE001 - reported, and the server goes on
            job.reject()
            if self.wants(NotStarted):
                self.emit(
                    NotStarted(server_address=self.address, client_address=arrival.client_address, error=error)
                )

    def _verified(self, verify: Callable[[R, A], bool], arrival: Arrival[R, A]) -> bool:
        try:
            if verify(arrival.request, arrival.client_address):
                return True
        except Exception as error:  # noqa: BLE001 - reported, and the server goes on
            self._refuse(
                arrival,
                VerifyFailed(server_address=self.address, client_address=arrival.client_address, error=error),
            )
            return False
        self._refuse(
            arrival,
            Refused(server_address=self.address, client_address=arrival.client_address, reason="verify"),
        )
        return False

    def _refuse(self, arrival: Arrival[R, A], event: Event) -> None:
        arrival.finish()
        self._count_refused(event)

    def truncated(self, error: DatagramTruncated) -> None:
        """Count and report a datagram that was too long."""
        self._count_refused(
            Refused(server_address=self.address, client_address=error.client_address, reason=str(error))
        )

    def _count_refused(self, event: Event) -> None:
        with self._lock:
            self._refused += 1
        if self.wants(type(event)):
            self.emit(event)

    def finished(self, job: RequestJob[R, A], *, ok: bool, duration: float) -> None:
        """Report a request that has ended in this process."""
        self.emit(
            Finished(server_address=self.address, client_address=job.client_address, duration=duration, ok=ok)
        )

    def settled(self, job: RequestJob[R, A], ok: bool) -> None:
        """Count a request that has ended, here or in another process."""
        with self._lock:
            self._jobs.discard(job)
            if ok:
                self._finished += 1
            else:
                self._failed += 1
        on_idle = self.on_idle  # once: the loop may take it away at any time
        if on_idle is not None and not self._jobs:
            on_idle()

    def peer_gone(self, client_address: A, error: BaseException) -> None:
        """Report a peer that went away."""
        if self.wants(PeerGone):
            self.emit(PeerGone(server_address=self.address, client_address=client_address, error=error))

    def handler_failed(self, client_address: A, error: BaseException) -> None:
        """Report a handler's error."""
        if self.wants(HandlerFailed):
            self.emit(
                HandlerFailed(
                    server_address=self.address,
                    client_address=client_address,
                    handler=handler_name(self.handler),
                    error=error,
                )
            )

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """See `sockserve.abc.Core.enter_child`."""
        self._lock = threading.RLock()  # another thread of the parent may have held it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self.relay = relay
        self.pid = os.getpid()
        self.on_idle = None
        if self.leave_loop is not None:
            self.leave_loop()
