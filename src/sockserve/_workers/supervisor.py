"""The supervisor: the runner of `PreforkStrategy`, in the parent of its workers."""

import os
import signal
import socket
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from .._signals import SIG_BLOCK, SIG_SETMASK, signals
from ..abc import Job, Listener, Loop, Order, Timer, WorkerCore
from ..errors import WorkerError
from ..events import WorkerDied, WorkerEnded, WorkerFailed, WorkerReplaced, WorkerStarted
from ..strategies._children import Child, Children, Pipe
from ..strategies._forks import ThreadsReport, flush, may_have_threads
from .backoff import BUDGET, Backoff
from .board import Board
from .link import ASKED, FAILED, LEAVING, SERVING, Link, WorkerLink, unpack_grace
from .worker import FOR_WORKERS, Post, Worker, work

if TYPE_CHECKING:
    from ..strategies._prefork import PreforkStrategy

__all__ = ("SupervisingRunner",)

#: Seconds, once its grace has ended, until a worker is told to abort, and from then until it is killed.
ABORT_AFTER, KILL_AFTER = 0.1, 1.0


@attrs.define(eq=False)
class Slot:
    """One of the places that are to be filled."""

    number: int
    listener: Listener[object, object]
    #: Who serves there, or is about to.
    worker: Worker | None = None
    #: Until when nobody is started, after one that ended soon.
    pause: Timer | None = None
    backoff: Backoff = attrs.field(factory=Backoff)
    #: The process that was here before, if it has gone.
    before: int = 0


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
    _board: Board
    _children: Children[Worker]
    _slots: list[Slot]
    _report_threads: ThreadsReport
    _told: Callable[[], object]
    _wanted: bool
    _failures: int
    __weakref__: object

    def __init__(self, options: "PreforkStrategy", loop: Loop, core: WorkerCore) -> None:
        self.options, self.loop, self.core = options, loop, core
        # Those who leave and those who come, at a time.
        self._board = Board(2 * options.workers)
        core.count_in(None, self._board.total)
        self._children = Children(loop, self._ended)
        self._slots = [Slot(number, core.listeners[0]) for number in range(options.workers)]
        self._report_threads = ThreadsReport(core)
        self._told = _nobody
        self._wanted = False
        self._failures = 0
        _supervisors.add(self)

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
        return not self._children.by_pid

    def _workers(self) -> list[Worker]:
        return [child.job for child in self._children.by_pid.values()]

    # The life of a period.

    def begin(self, ended: Callable[[], object], /) -> None:
        """Fill all slots."""
        self._told, self._wanted, self._failures = ended, True, 0
        self._fill()

    def drain(self, until: float, /) -> None:
        """See `sockserve.abc.Supervisor.drain`."""
        self._want_no_more()
        for worker in self._workers():
            worker.order(Order.DRAIN, max(0.0, until - self.loop.time()))

    def abort(self) -> None:
        """See `sockserve.abc.Supervisor.abort`."""
        for worker in self._workers():
            worker.order(Order.ABORT)

    def end(self) -> None:
        """See `sockserve.abc.Supervisor.end`."""
        self._want_no_more()
        for worker in self._workers():
            if not worker.leaving:
                worker.order(Order.STOP)

    def _want_no_more(self) -> None:
        self._wanted = False
        for slot in self._slots:
            slot.worker = None
            slot.before = 0
            if slot.pause is not None:
                slot.pause.cancel()
                slot.pause = None

    def move(self, loop: Loop, /) -> None:
        """See `sockserve.abc.Runner.move`."""
        for worker in self._workers():
            self.loop.unwatch(worker.link.fileno())
        self.loop = loop
        self._children.move(loop)
        for worker in self._workers():
            self._watch(worker)

    def close(self, deadline: float | None, /) -> None:
        """See `sockserve.abc.Runner.close`."""
        for child in self._children.by_pid.values():
            child.job.order(Order.CLOSE)
            child.asked_to_end = True  # what it has not heard is said again, by signals
        self._children.wait(deadline)
        self._children.forget()

    # Filling slots.

    def _fill(self) -> None:
        for slot in self._slots:
            if self._wanted and slot.worker is None and slot.pause is None:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        record = self._board.take()
        if record is None:
            return  # all are taken by workers that drain: the next that ends makes room
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            self._board.give_back(record)
            self._failed(slot, None, repr(error))
            return
        worker = Worker(number=slot.number, link=Link(ours), theirs=theirs, record=record)
        try:
            self._fork(slot, worker)
        except OSError as error:
            worker.close()
            self._board.give_back(record)
            self._failed(slot, None, repr(error))
        else:
            slot.worker = worker
            self._watch(worker)

    def _watch(self, worker: Worker) -> None:
        self.loop.watch(worker.link.fileno(), lambda _mask: self._hear(worker))

    def _fork(self, slot: Slot, worker: Worker) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        if not self._report_threads.said and may_have_threads():
            self._report_threads()
        pipe = self._children.prepare()
        flush()
        mask = signals.pthread_sigmask(SIG_BLOCK, ())
        try:
            # A signal must neither meet the handlers of the parent in the worker, nor interrupt the parent by one
            # that raises before it has taken note of the worker.
            signals.pthread_sigmask(SIG_BLOCK, FOR_WORKERS)
            try:
                worker.pid = os.fork()
            except OSError:
                self._children.cancel(pipe)
                raise
            if worker.pid == 0:
                link = self._leave_parent(worker, pipe, mask)
                post = Post(listener=slot.listener, tally=worker.record, totals=self._board.total, overseer=link)
                work(self.core, self.options.inner, post, link)
            self._children.adopt(worker.pid, worker, pipe)
        finally:
            signals.pthread_sigmask(SIG_SETMASK, mask)

    def _leave_parent(self, worker: Worker, pipe: Pipe, mask: set[int]) -> WorkerLink:
        """In the worker: close what is the supervisor's, and keep one's own end."""
        worker.link.close()
        if pipe is not None:
            os.close(pipe[0])
        for each in tuple(_supervisors):
            each.close_copies()
        return WorkerLink(worker.theirs, self.options.grace, mask)

    def close_copies(self) -> None:
        """In a process forked from this one: a link is to end with its two processes."""
        for child in self._children.by_pid.values():
            child.job.link.close()
            if child.fd >= 0:
                os.close(child.fd)

    # What workers say.

    def _hear(self, worker: Worker) -> None:
        fd = worker.link.fileno()
        for message in worker.link.receive():
            kind, body = message[:1], message[1:]
            if kind == SERVING:
                self._serves(worker)
            elif kind == LEAVING:
                self._leaves(worker)
            elif kind == ASKED:
                self.core.request_stop(unpack_grace(body))
            elif kind == FAILED:
                worker.error = body.decode(errors="replace")
        if worker.link.ended:
            self.loop.unwatch(fd)

    def _serves(self, worker: Worker) -> None:
        worker.since = self.loop.time()
        self._failures = 0
        slot = self._slots[worker.number]
        address = self.core.address
        if self.core.wants(WorkerStarted):
            self.core.emit(WorkerStarted(server_address=address, number=slot.number, pid=worker.pid))
        if slot.worker is worker and slot.before and self.core.wants(WorkerReplaced):
            self.core.emit(
                WorkerReplaced(server_address=address, number=slot.number, pid=slot.before, by=worker.pid)
            )
        slot.before = 0

    def _leaves(self, worker: Worker) -> None:
        """Somebody has told it to end, and not us: it is not waited for, nor for ever."""
        if worker.leaving:
            return
        worker.leaving = True
        self._see_off(worker, self.options.grace)
        slot = self._slots[worker.number]
        if slot.worker is worker:
            slot.worker, slot.before = None, worker.pid
            self._fill()

    def _see_off(self, worker: Worker, grace: float) -> None:
        """Let a worker that drains be ended by force, if it has not ended by itself when its grace is over."""

        def abort() -> None:
            worker.order(Order.ABORT)
            worker.timer = self.loop.call_at(self.loop.time() + KILL_AFTER, kill)

        def kill() -> None:
            if sys.platform == "win32":
                raise NotImplementedError
            if worker.pid in self._children.by_pid:
                self._children.by_pid[worker.pid].send(signal.SIGKILL)

        worker.timer = self.loop.call_at(self.loop.time() + grace + ABORT_AFTER, abort)

    # How workers end.

    def _ended(self, child: Child[Worker], status: int | None) -> None:
        worker = child.job
        self._hear(worker)  # its last words
        self.loop.unwatch(worker.link.fileno())
        worker.close()
        self._board.give_back(worker.record)
        slot = self._slots[worker.number]
        was_here = slot.worker is worker
        if was_here:
            slot.worker, slot.before = None, worker.pid
        try:
            if worker.leaving or not was_here:
                self._emit_ended(worker, status)
            elif worker.since is None:
                self._failed(slot, worker, worker.error or f"it ended with status {status}")
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

    def _failed(self, slot: Slot, worker: Worker | None, error: str) -> None:
        """One could not be started, or ended before it served."""
        self._failures += 1
        delay = self._pause(slot, None)
        if self.core.wants(WorkerFailed):
            self.core.emit(
                WorkerFailed(
                    server_address=self.core.address,
                    number=slot.number,
                    pid=0 if worker is None else worker.pid,
                    error=error,
                    delay=delay,
                )
            )
        if self._failures >= BUDGET:
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


#: Those of this process: a worker of one of them has copies of the links of all.
_supervisors: "weakref.WeakSet[SupervisingRunner]" = weakref.WeakSet()
