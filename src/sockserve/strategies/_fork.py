"""A process for each request (socketserver: ``ForkingMixIn``)."""

import math
import mmap
import os
import signal
import struct
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import attrs

from .._signals import SIG_BLOCK, SIG_SETMASK, signals
from .._validators import boolean, count
from ..abc import Arrival, Core, Job, Loop
from ..errors import CompositionError
from ..events import ChildDied
from ._children import Child, Children, Pipe
from ._forks import ThreadsReport, flush, may_have_threads

if TYPE_CHECKING:
    from .._silence import Silence
    from ._cells import Cells

__all__ = ("ForkStrategy",)


@attrs.frozen(kw_only=True)
class ForkStrategy:
    """
    Run every request in a process of its own, a copy of this one.

    Children are reaped as they end, each by its own descriptor; no other child of the process is touched. A child
    ignores SIGINT, SIGTERM ends the input of its request, and SIGQUIT its connection, no more. It leaves with
    `os._exit`: neither atexit functions nor ``finally`` clauses further out run, stdout and stderr are flushed.

    Args:
        max_children: The most processes at a time; 40, as in socketserver. At the limit nothing is accepted, and
            the kernel's backlog holds the clients.
        block_on_close: Let ``server_close`` wait for the children. True, as in socketserver. Children left behind
            stay zombies after their end, until this process ends.

    Raises:
        OptionError: ``max_children`` is below 1.
        OptionTypeError: An option is of the wrong type.
        CompositionError: The platform has no fork.
    """

    max_children: int = attrs.field(default=40, validator=count(1))
    block_on_close: bool = attrs.field(default=True, validator=boolean)

    def __attrs_post_init__(self) -> None:
        if not hasattr(os, "fork"):
            raise CompositionError("ForkStrategy: this platform has no os.fork; use ThreadStrategy")

    def start(self, loop: Loop, core: Core, /) -> "ForkRunner":
        """Make the runner of one server."""
        return ForkRunner(self, loop, core)


@attrs.define(eq=False)
class ForkRunner:
    """
    A process for each job. `enter_child` is to be overridden by who keeps signals in a way of his own (the
    inheritable servers).
    """

    options: ForkStrategy
    loop: Loop
    core: Core
    full: bool = attrs.field(init=False, default=False)
    _children: Children[Job] = attrs.field(init=False)
    _relay: "_StopRelay" = attrs.field(init=False)
    # Whether SIGTERM only ends the input of children whose clients are silent.
    _drains: mmap.mmap = attrs.field(init=False)
    # Since when children wait; None where nobody wants to know.
    cells: "Cells | None" = attrs.field(init=False, default=None)
    _report_threads: ThreadsReport = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._children = Children(self.loop, self._ended)
        self._report_threads = ThreadsReport(self.core)
        self._relay = _StopRelay(self.loop, self.core)  # now: when it is needed descriptors may be exhausted
        self._drains = mmap.mmap(-1, 1)  # of no file, and shared (mmap(2)); not touched before it is needed
        if self.core.deadlines.idle is not None:
            from ._cells import Cells  # noqa: PLC0415 - few have such a deadline

            self.cells = Cells(self.options.max_children)

    def submit(self, job: Job, /) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        if not self._report_threads.said and may_have_threads():
            self._report_threads()
        children = self._children
        pipe = None if children.pidfd else children.prepare()
        if self.cells is not None:
            self.cells.begin(job)
        # What is in the buffers would otherwise be written twice.
        flush()
        mask = signals.pthread_sigmask(SIG_BLOCK, ())
        try:
            # A signal must neither meet the handlers of the parent in the child, nor interrupt the parent by one
            # that raises before it has taken note of the child.
            signals.pthread_sigmask(SIG_BLOCK, _FOR_CHILDREN)
            pid = self._fork(job, mask, pipe)
            children.adopt(pid, job, pipe)
        finally:
            self.full = len(children.by_pid) >= self.options.max_children
            signals.pthread_sigmask(SIG_SETMASK, mask)

    def _fork(self, job: Job, mask: set[int], pipe: Pipe) -> int:
        """Fork, and return the child's process id."""
        if sys.platform == "win32":
            raise NotImplementedError
        try:
            pid = os.fork()
        except OSError:
            self._children.cancel(pipe)
            if self.cells is not None:
                self.cells.end(job)
            raise
        if pid == 0:
            _serve_in_child(self, job, mask)
        return pid

    def enter_child(self, job: Job, mask: set[int]) -> None:
        """Get ready to run *job*, in the child. *mask* is what the parent had blocked."""
        self.core.enter_child(self._relay.send)
        to_request = _ToRequest(job, os.getpid(), self._drains)
        signals.signal(_SIGTERM, to_request)
        signals.signal(_SIGQUIT, to_request)
        # Also where the program has blocked them, to wait for them in a thread that the child does not have.
        signals.pthread_sigmask(SIG_SETMASK, mask - _FOR_CHILDREN)

    def drain(self) -> None:
        """See `sockserve.abc.DrainingRunner.drain`: children know best, and look when they are told to."""
        self._drains[0] = 1
        for child in tuple(self._children.by_pid.values()):
            child.send(_SIGTERM)

    def drained(self) -> None:
        """See `sockserve.abc.DrainingRunner.drained`."""
        self._drains[0] = 0

    def pulse(self, job: Job, /) -> tuple[float, float]:
        """See `sockserve.abc.PulseRunner.pulse`."""
        return (0.0, 0.0) if self.cells is None else self.cells.read(job)

    def _ended(self, child: Child[Job], status: int | None) -> None:
        """Take note of a child's end: its exit status, minus the signal's number, or None where unknown."""
        if status not in _REPORTED and self.core.wants(ChildDied):
            self.core.emit(
                ChildDied(
                    server_address=self.core.address,
                    client_address=child.job.client_address,
                    pid=child.pid,
                    status=status,
                )
            )
        if self.cells is not None:
            self.cells.end(child.job)
        child.job.settle(ok=status in _SUCCESS)
        if self.full:
            self.full = False
            self.loop.resume()

    def move(self, loop: Loop, /) -> None:
        self.loop = loop
        self._children.move(loop)
        self._relay.move(loop)

    def close(self, deadline: float | None, /) -> None:
        if self.options.block_on_close or deadline is not None:
            self._children.wait(deadline)
        self._children.forget()
        self._relay.close()
        self._drains.close()
        if self.cells is not None:
            self.cells.close()


#: Plain numbers, as all that a child touches: see `_signals`.
_SIGINT, _SIGTERM, _SIGQUIT = (int(getattr(signal, name, 0)) for name in ("SIGINT", "SIGTERM", "SIGQUIT"))

#: What a child must not get before it has its own handlers.
_FOR_CHILDREN = frozenset((_SIGINT, _SIGTERM, _SIGQUIT))

#: The child has reported a failure itself; somebody else has taken the status: neither is news.
_REPORTED = (0, 1, None)
_SUCCESS = (0, None)


def _serve_in_child(runner: ForkRunner, job: Job, mask: set[int]) -> NoReturn:
    status = 1
    try:
        runner.enter_child(job, mask)
        if runner.cells is not None:
            runner.cells.write(job)
        status = 0 if job.run() else 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        raise  # goes no further than the next lines
    finally:
        try:
            flush()
        finally:
            os._exit(status)


class _ToRequest:
    """What a child does with signals that are meant for its request: any number of them is one."""

    __slots__ = ("drains", "job", "pid", "silence")

    def __init__(self, job: Job, pid: int, drains: mmap.mmap) -> None:
        self.job = job
        self.pid = pid
        self.drains = drains
        self.silence: Silence | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # a process that the handler has forked: it means what it usually does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == _SIGTERM:
            if not self.drains[0] or self._is_silent():
                self.job.end_input()
        else:
            self.job.abort()

    def _is_silent(self) -> bool:
        from .._silence import Silence  # noqa: PLC0415 - few children are told to end, and pages are copied

        self.silence = self.silence or Silence(time.monotonic)
        return isinstance(self.job, Arrival) and self.silence.of(self.job)


_GRACE = struct.Struct("=d")  # below PIPE_BUF: written whole or not at all (pipe(7))


@attrs.define(eq=False, init=False)
class _StopRelay:
    """The pipe by which a child asks the server to stop."""

    loop: Loop
    core: Core
    _reader: int
    _writer: int
    _closed: bool

    def __init__(self, loop: Loop, core: Core) -> None:
        self.loop, self.core, self._closed = loop, core, False
        if sys.platform == "win32":
            raise NotImplementedError
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        loop.watch(self._reader, self._receive)

    def move(self, loop: Loop) -> None:
        self.loop.unwatch(self._reader)
        self.loop = loop
        loop.watch(self._reader, self._receive)

    def send(self, grace: float | None) -> None:
        """Ask, in the child. A full pipe holds enough requests to stop already; a closed one nobody to ask."""
        try:
            os.write(self._writer, _GRACE.pack(math.nan if grace is None else grace))
        except (BlockingIOError, BrokenPipeError):
            pass

    def _receive(self, _mask: int) -> None:
        try:
            wishes = os.read(self._reader, _GRACE.size * 64)
        except BlockingIOError:  # another copy of this process has taken them
            return
        for (grace,) in _GRACE.iter_unpack(wishes):
            self.core.request_stop(None if math.isnan(grace) else grace)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.loop.unwatch(self._reader)
        os.close(self._reader)
        os.close(self._writer)
