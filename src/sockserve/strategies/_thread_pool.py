"""A bounded number of threads, reused."""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

import attrs

from .._validators import boolean, count
from ..abc import Core, Job, Loop
from ._join import join_all

__all__ = ("ThreadPoolStrategy",)


def _default_workers() -> int:
    return min(32, (os.cpu_count() or 1) + 4)


@attrs.frozen(kw_only=True)
class ThreadPoolStrategy:
    """
    Run requests in at most ``workers`` threads, which are started when needed and reused.

    The thread that has been idle for the shortest time takes the next request: its stack is still in the cache.
    While all are busy nothing is accepted, and the kernel's backlog holds the clients.

    Args:
        workers: The most threads; ``min(32, cpus + 4)``, as `concurrent.futures.ThreadPoolExecutor` has it: enough
            to overlap waiting, few enough not to fight for the interpreter. A handler that keeps its connection
            open keeps its thread.
        daemon: Make daemonic threads: neither the interpreter's exit nor ``server_close`` waits for their
            requests. Idle threads are never waited for.

    Raises:
        OptionError: ``workers`` is below 1.
        OptionTypeError: An option is of the wrong type.
    """

    workers: int = attrs.field(factory=_default_workers, validator=count(1))
    daemon: bool = attrs.field(default=False, validator=boolean)

    def start(self, loop: Loop, core: Core, /) -> "_PoolRunner":
        """Make the runner of one server; it has no thread yet."""
        runner = _PoolRunner(self, loop)
        _release_at_exit(runner)
        return runner


class _Worker:
    """One thread, and how a job gets there: put into ``job``, then ``wake`` is released."""

    __slots__ = ("job", "thread", "wake")

    def __init__(self, job: Job, target: "Callable[[_Worker], None]", *, daemon: bool) -> None:
        self.job: Job | None = job
        self.wake: Final = threading.Lock()
        self.wake.acquire()
        self.thread: Final = threading.Thread(target=target, args=(self,), name="sockserve-pool", daemon=daemon)

    def hand(self, job: Job | None) -> None:
        self.job = job
        self.wake.release()


@attrs.define(eq=False)
class _PoolRunner:
    options: ThreadPoolStrategy
    loop: Loop
    # Plain list and set operations, each atomic: `_idle` is a stack that workers push on and the loop pops from.
    _idle: list[_Worker] = attrs.field(init=False, factory=list)
    _workers: set[_Worker] = attrs.field(init=False, factory=set)
    _closed: bool = attrs.field(init=False, default=False)

    @property
    def full(self) -> bool:
        return not self._idle and len(self._workers) >= self.options.workers

    def submit(self, job: Job, /) -> None:
        try:
            worker = self._idle.pop()
        except IndexError:
            self._grow(job)
        else:
            worker.hand(job)

    def _grow(self, job: Job) -> None:
        worker = _Worker(job, self._work, daemon=self.options.daemon)
        self._workers.add(worker)
        try:
            worker.thread.start()
        except BaseException:  # "can't start new thread": that request is refused, the others go on
            self._workers.discard(worker)
            raise

    def _work(self, worker: _Worker) -> None:
        try:
            while (job := worker.job) is not None:
                worker.job = None  # an idle thread keeps no request alive
                job.run()
                del job
                self._idle.append(worker)
                if self._closed:
                    self.release_idle()
                self.loop.resume()
                worker.wake.acquire()
        finally:  # also where a handler raised what job.run() lets through: then the pool has room again
            self._workers.discard(worker)
            self.loop.resume()

    def release_idle(self) -> None:
        """Let the idle threads end, and each of the others when its request has ended."""
        self._closed = True
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return
            worker.hand(None)

    def move(self, loop: Loop, /) -> None:
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        workers = tuple(self._workers)
        idle = set(self._idle)
        self.release_idle()
        awaited = idle if self.options.daemon else workers
        join_all([worker.thread for worker in awaited], deadline, self.loop.time)


_runners: "weakref.WeakSet[_PoolRunner]" = weakref.WeakSet()
_registered = False


def _release_at_exit(runner: _PoolRunner) -> None:
    """
    Make sure that idle threads do not hold the interpreter when it exits with the server not closed.

    Threads that are not daemonic are joined before any atexit function runs (Py_FinalizeEx), so what is needed is
    the hook before that, which concurrent.futures.thread uses too (CPython 3.9+; it has no public name).
    """
    global _registered  # noqa: PLW0603 - one hook a process, installed with the first thread
    _runners.add(runner)
    if not _registered:
        _registered = True
        register: Callable[[Callable[[], None]], None] | None = getattr(threading, "_register_atexit", None)
        if register is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter is at its end already
                register(_release_all)


def _release_all() -> None:
    for runner in tuple(_runners):
        runner.release_idle()
