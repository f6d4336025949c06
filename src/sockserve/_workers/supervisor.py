"""The supervisor: the runner of `PreforkStrategy`, in the parent of its workers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ..abc import Job, Listener, Loop, Order, Timer, WorkerCore
from ..errors import WorkerError
from ..events import WorkerDied, WorkerEnded, WorkerFailed, WorkerReplaced, WorkerStarted
from ..stats import WorkerInfo
from .backoff import BUDGET, Backoff
from .link import ASKED, FAILED, LEAVING, RENEW, RETIRING, SERVING, unpack_grace
from .staff import Staff
from .worker import Worker

if TYPE_CHECKING:
    from ..strategies._prefork import PreforkStrategy

__all__ = ("SupervisingRunner",)


@attrs.define(eq=False)
class Slot:
    """One of the places that are to be filled."""

    number: int
    listener: Listener[object, object]
    #: Who serves there, or is about to.
    worker: Worker | None = None
    #: Who is to take its place, and has not begun to serve.
    successor: Worker | None = None
    #: Until when nobody is started, after one that ended soon.
    pause: Timer | None = None
    backoff: Backoff = attrs.field(factory=Backoff)
    #: The process that was here before, if it has gone.
    before: int = 0

    @property
    def served(self) -> bool:
        """Whether somebody accepts there."""
        return self.worker is not None and self.worker.since is not None

    def vacate(self, worker: Worker) -> None:
        """Take note that *worker* is not here any more. Who was to succeed it anyway does so."""
        if self.successor is worker:
            self.successor = None
        elif self.worker is worker:
            self.worker, self.successor, self.before = self.successor, None, worker.pid


@attrs.define(eq=False, init=False)
class SupervisingRunner:
    """
    Keeps a worker in every slot, while it is wanted. Implements `sockserve.abc.Supervisor`.

    Args:
        options: How many, and of what.
        loop: Where the workers' ends and words are noticed.
        core: What is served; told of events.
    """

    full = True

    options: "PreforkStrategy"
    loop: Loop
    core: WorkerCore
    _staff: Staff
    _slots: list[Slot]
    _told: Callable[[], object]
    _wanted: bool
    _failures: int

    def __init__(self, options: "PreforkStrategy", loop: Loop, core: WorkerCore) -> None:
        self.options, self.loop, self.core = options, loop, core
        self._staff = Staff(options, loop, core, self._heard, self._ended)
        core.count_in(None, self._staff.totals, self._staff.measured)
        # One for each, or one for all.
        several = len(core.listeners) > 1
        self._slots = [Slot(number, core.listeners[number * several]) for number in range(options.workers)]
        self._told = _nobody
        self._wanted = False
        self._failures = 0

    def submit(self, job: Job, /) -> None:
        """Nothing is accepted here."""
        raise NotImplementedError

    @property
    def grace(self) -> float:
        """See `sockserve.abc.Supervisor.grace`."""
        return self.options.grace

    @property
    def over(self) -> bool:
        """See `sockserve.abc.Supervisor.over`."""
        return not self._staff.workers

    # The life of a period.

    def begin(self, ended: Callable[[], object], /) -> None:
        """Fill all slots."""
        self._told, self._wanted, self._failures = ended, True, 0
        self._fill()

    def renew(self) -> None:
        """See `sockserve.abc.Supervisor.renew`."""
        for worker in self._staff.workers:
            worker.stale = True
        self._fill()

    def drain(self, until: float, /) -> None:
        """See `sockserve.abc.Supervisor.drain`."""
        self._want_no_more()
        for worker in self._staff.workers:
            worker.order(Order.DRAIN, max(0.0, until - self.loop.time()))

    def abort(self) -> None:
        """See `sockserve.abc.Supervisor.abort`."""
        for worker in self._staff.workers:
            worker.order(Order.ABORT)

    def end(self) -> None:
        """See `sockserve.abc.Supervisor.end`."""
        self._want_no_more()
        for worker in self._staff.workers:
            if not worker.leaving:
                worker.order(Order.STOP)

    def _want_no_more(self) -> None:
        self._wanted = False
        for slot in self._slots:
            slot.worker = slot.successor = None
            slot.before = 0
            if slot.pause is not None:
                slot.pause.cancel()
                slot.pause = None

    def move(self, loop: Loop, /) -> None:
        """See `sockserve.abc.Runner.move`."""
        self.loop = loop
        self._staff.move(loop)

    def close(self, deadline: float | None, /) -> None:
        """See `sockserve.abc.Runner.close`."""
        self._staff.close(deadline)

    def workers(self) -> list[WorkerInfo]:
        """See `sockserve.abc.StaffedRunner.workers`."""
        return [worker.info() for worker in sorted(self._staff.workers, key=lambda worker: worker.number)]

    # Filling slots.

    def _fill(self) -> None:
        """Start who is missing, and the successor of one that is to be replaced: one at a time."""
        for slot in self._slots:
            if self._wanted and slot.worker is None and slot.pause is None:
                slot.worker = self._hire(slot)
        if self._wanted and all(slot.successor is None for slot in self._slots):
            for slot in self._slots:
                if slot.served and slot.worker is not None and slot.worker.stale and slot.pause is None:
                    slot.successor = self._hire(slot)
                    return

    def _hire(self, slot: Slot) -> Worker | None:
        try:
            return self._staff.hire(slot.number, slot.listener)
        except OSError as error:
            self._failed(slot, 0, repr(error))
            return None

    # What workers say.

    def _heard(self, worker: Worker, message: bytes) -> None:
        kind, body = message[:1], message[1:]
        if kind == SERVING:
            self._serves(worker)
        elif kind == RETIRING:
            worker.stale = True
            self._fill()
        elif kind == LEAVING:
            self._leaves(worker)
        elif kind == RENEW:
            self.renew()
        elif kind == ASKED:
            self.core.request_stop(unpack_grace(body))
        elif kind == FAILED:
            worker.error = body.decode(errors="replace")

    def _serves(self, worker: Worker) -> None:
        worker.since = self.loop.time()
        worker.record.open(accepts=not worker.leaving)
        self._failures = 0
        slot = self._slots[worker.number]
        if self.core.wants(WorkerStarted):
            self.core.emit(WorkerStarted(server_address=self.core.address, number=slot.number, pid=worker.pid))
        before, slot.before = slot.before, 0
        if slot.successor is worker and slot.worker is not None:
            before = self._succeed(slot, slot.worker)
        if before and self._wanted and self.core.wants(WorkerReplaced):
            self.core.emit(
                WorkerReplaced(server_address=self.core.address, number=slot.number, pid=before, by=worker.pid)
            )
        self._fill()

    def _succeed(self, slot: Slot, old: Worker) -> int:
        """Let *old* drain, now that its successor accepts; return its process."""
        slot.worker, slot.successor = slot.successor, None
        old.order(Order.DRAIN, self.options.grace)
        self._staff.see_off(old, self.options.grace)
        return old.pid

    def _leaves(self, worker: Worker) -> None:
        """Somebody has told it to end, and not us: its place is filled at once."""
        if not worker.leaving:
            worker.leaving = True
            worker.record.open(accepts=False)
            self._staff.see_off(worker, self.options.grace)
            self._slots[worker.number].vacate(worker)
            self._fill()

    # How workers end.

    def _ended(self, worker: Worker, status: int | None) -> None:
        slot = self._slots[worker.number]
        slot.vacate(worker)
        try:
            if worker.leaving:
                self._emit_ended(worker, status)
            elif worker.since is None:
                self._failed(slot, worker.pid, worker.error or f"it ended with status {status}")
            else:
                self._died(slot, worker, worker.since, status)
            self._fill()
        finally:
            self._told()

    def _emit_ended(self, worker: Worker, status: int | None) -> None:
        if self.core.wants(WorkerEnded):
            self.core.emit(
                WorkerEnded(
                    server_address=self.core.address, number=worker.number, pid=worker.pid, status=status or 0
                )
            )

    def _died(self, slot: Slot, worker: Worker, since: float, status: int | None) -> None:
        delay = self._pause(slot, self.loop.time() - since)
        if self.core.wants(WorkerDied):
            self.core.emit(
                WorkerDied(
                    server_address=self.core.address,
                    number=slot.number,
                    pid=worker.pid,
                    status=status or 0,
                    error=worker.error,
                    delay=delay,
                )
            )

    def _failed(self, slot: Slot, pid: int, error: str) -> None:
        """One could not be started, or ended before it served. Where all slots are served, that can wait."""
        self._failures += 1
        delay = self._pause(slot, None)
        if self.core.wants(WorkerFailed):
            self.core.emit(
                WorkerFailed(
                    server_address=self.core.address, number=slot.number, pid=pid, error=error, delay=delay
                )
            )
        if self._failures >= BUDGET and not all(each.served for each in self._slots):
            raise WorkerError(self._failures, error)

    def _pause(self, slot: Slot, lived: float | None) -> float:
        """Let the slot be empty for as long as it has to."""
        delay = slot.backoff.after(lived)
        if delay and self._wanted:

            def over() -> None:
                slot.pause = None
                self._fill()

            slot.pause = self.loop.call_at(self.loop.time() + delay, over)
        return delay


def _nobody() -> None:
    """Nobody waits for the end of a worker."""
