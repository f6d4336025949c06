"""The processes of a supervisor: forking them, hearing them, seeing them off. Who is where is not known here."""

import os
import signal
import socket
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from .._signals import SIG_BLOCK, SIG_SETMASK, signals
from ..abc import Listener, Loop, Order, WorkerCore
from ..stats import Stats
from ..strategies._children import Child, Children, Pipe
from ..strategies._forks import ThreadsReport, flush, may_have_threads
from .board import Board
from .link import Link, WorkerLink
from .share import Share
from .turns import Turns, needs_turns
from .worker import FOR_WORKERS, Post, Worker, work

if TYPE_CHECKING:
    from ..strategies._prefork import PreforkStrategy

__all__ = ("Staff",)

#: Seconds, once its grace has ended, until a worker is told to abort, and from then until it is killed.
ABORT_AFTER, KILL_AFTER = 0.1, 1.0


@attrs.define(eq=False, init=False)
class Staff:
    """
    Everything happens in the loop's thread, or after the loop.

    Args:
        options: What workers serve under.
        loop: Where they are heard, and their ends noticed.
        core: What is served.
        heard: Called with each worker and each message of it.
        ended: Called with each that has ended, and its status: minus a signal's number, None where unknown.
    """

    options: "PreforkStrategy"
    loop: Loop
    core: WorkerCore
    heard: Callable[[Worker, bytes], object]
    ended: Callable[[Worker, int | None], object]
    _board: Board
    _children: Children[Worker]
    _report_threads: ThreadsReport
    _turns: Turns | None
    __weakref__: object

    def __init__(
        self,
        options: "PreforkStrategy",
        loop: Loop,
        core: WorkerCore,
        heard: Callable[[Worker, bytes], object],
        ended: Callable[[Worker, int | None], object],
    ) -> None:
        self.options, self.loop, self.core, self.heard, self.ended = options, loop, core, heard, ended
        # Those who leave and those who come, at a time.
        self._board = Board(2 * options.workers)
        self._children = Children(loop, self._ended)
        self._report_threads = ThreadsReport(core)
        self._turns = Turns() if any(map(needs_turns, core.listeners)) else None
        _all_staff.add(self)

    @property
    def workers(self) -> list[Worker]:
        """All that have not ended."""
        return [child.job for child in self._children.by_pid.values()]

    @property
    def totals(self) -> Callable[[], Stats]:
        """What all of them have counted."""
        return self._board.total

    @property
    def measured(self) -> Callable[[], Sequence[int]]:
        """The cells of all of them, added up."""
        return self._board.measured

    def hire(self, number: int, listener: Listener[object, object]) -> Worker | None:
        """
        Start a worker for the slot *number*.

        Returns:
            None where there are too many already, that drain.

        Raises:
            OSError: There are no descriptors or processes to be had.
        """
        record = self._board.take()
        if record is None:
            return None
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            self._board.give_back(record)
            raise
        worker = Worker(number=number, link=Link(ours), theirs=theirs, record=record)
        try:
            self._fork(worker, listener)
        except OSError:
            worker.close()
            self._board.give_back(record)
            raise
        self._listen_to(worker)
        return worker

    def _fork(self, worker: Worker, listener: Listener[object, object]) -> None:
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
                worker.record.limit(self.options.max_requests, link.retiring)
                work(self.core, self.options.inner, self._post(worker, listener, link), link)
            self._children.adopt(worker.pid, worker, pipe)
        finally:
            signals.pthread_sigmask(SIG_SETMASK, mask)

    def _post(self, worker: Worker, listener: Listener[object, object], link: WorkerLink) -> Post:
        return Post(
            listener=listener,
            entrance=listener if self._turns is None else self._turns.at(listener),
            tally=worker.record,
            totals=self.totals,
            yields=None if self.options.reuse_port else Share(worker.record).yields,
            measured=self.measured,
            overseer=link,
        )

    def _leave_parent(self, worker: Worker, pipe: Pipe, mask: set[int]) -> WorkerLink:
        """In the worker: close what is the supervisor's, and keep one's own end."""
        worker.link.close()
        if pipe is not None:
            os.close(pipe[0])
        for each in tuple(_all_staff):
            each.close_copies(mine=each is self)
        return WorkerLink(worker.theirs, self.options.grace, mask)

    def close_copies(self, *, mine: bool) -> None:
        """In a process forked from this one: a link is to end with its two processes."""
        if self._turns is not None and not mine:
            self._turns.close()
        for child in self._children.by_pid.values():
            child.job.link.close()
            if child.fd >= 0:
                os.close(child.fd)

    def _listen_to(self, worker: Worker) -> None:
        self.loop.watch(worker.link.fileno(), lambda _mask: self._hear(worker))

    def _hear(self, worker: Worker) -> None:
        fd = worker.link.fileno()
        for message in worker.link.receive():
            self.heard(worker, message)
        if worker.link.ended:
            self.loop.unwatch(fd)

    def _ended(self, child: Child[Worker], status: int | None) -> None:
        worker = child.job
        self._hear(worker)  # its last words
        self.loop.unwatch(worker.link.fileno())
        worker.close()
        self._board.give_back(worker.record)
        self.ended(worker, status)

    def see_off(self, worker: Worker, grace: float) -> None:
        """Let one that drains be ended by force, if it has not ended by itself when its grace is over."""

        def abort() -> None:
            worker.order(Order.ABORT)
            worker.timer = self.loop.call_at(self.loop.time() + KILL_AFTER, kill)

        def kill() -> None:
            if sys.platform == "win32":
                raise NotImplementedError
            os.kill(worker.pid, signal.SIGKILL)  # not reaped yet: else this had been forgotten

        worker.timer = self.loop.call_at(self.loop.time() + grace + ABORT_AFTER, abort)

    def move(self, loop: Loop) -> None:
        """Hear them on another loop."""
        for worker in self.workers:
            self.loop.unwatch(worker.link.fileno())
        self.loop = loop
        self._children.move(loop)
        for worker in self.workers:
            self._listen_to(worker)

    def close(self, deadline: float | None) -> None:
        """Let all end, and wait for them; what is left at *deadline* is killed."""
        for child in self._children.by_pid.values():
            child.job.order(Order.CLOSE)
            child.asked_to_end = True  # what it has not heard is said again, by signals
        self._children.wait(deadline)
        self._children.forget()
        if self._turns is not None:
            self._turns.close()


#: Those of this process: a worker of one has copies of the links of all.
_all_staff: "weakref.WeakSet[Staff]" = weakref.WeakSet()
