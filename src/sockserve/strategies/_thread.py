"""A thread for each request (socketserver: ``ThreadingMixIn``)."""

import threading

import attrs

from .._validators import boolean
from ..abc import Core, Job, Loop
from ._join import join_all

__all__ = ("ThreadStrategy",)


@attrs.frozen(kw_only=True)
class ThreadStrategy:
    """
    Run every request in a new thread of its own, without a limit.

    Args:
        daemon: Make daemonic threads: the interpreter does not wait for them when it exits, nor does
            ``server_close``. False: a request should not be cut by the end of the program.
        block_on_close: Let ``server_close`` wait for the threads that are not daemonic. True, as in socketserver.

    Raises:
        OptionTypeError: An option is not a bool.
    """

    daemon: bool = attrs.field(default=False, validator=boolean)
    block_on_close: bool = attrs.field(default=True, validator=boolean)

    def start(self, loop: Loop, core: Core, /) -> "ThreadRunner":
        """Make the runner of one server."""
        return ThreadRunner(self, loop)


@attrs.define(eq=False)
class ThreadRunner:
    """
    A thread for each job. `thread_for`, `note` and `forget` are to be overridden by who names, makes or counts
    threads in a way of his own (the inheritable servers).
    """

    options: ThreadStrategy
    loop: Loop
    _awaited: set[threading.Thread] = attrs.field(init=False, factory=set)

    full = False

    def submit(self, job: Job, /) -> None:
        """See `sockserve.abc.Runner.submit`."""
        thread = self.thread_for(job)
        self.note(job, thread)
        try:
            thread.start()
        except BaseException:  # "can't start new thread": the request is refused, and nobody may wait for this
            self.forget(job, thread)
            raise

    def thread_for(self, job: Job) -> threading.Thread:
        """Make the thread that will run *job*."""
        target, args = (self._run, (job,)) if self._awaits() else (job.run, ())
        return threading.Thread(target=target, args=args, name=_NAME, daemon=self.options.daemon)

    def note(self, job: Job, thread: threading.Thread) -> None:
        """Take note of a thread that is about to start."""
        if self._awaits():
            self._awaited.add(thread)

    def forget(self, job: Job, thread: threading.Thread) -> None:
        """Take note that a thread could not be started."""
        self._awaited.discard(thread)

    def _awaits(self) -> bool:
        return self.options.block_on_close and not self.options.daemon

    def _run(self, job: Job) -> None:
        try:
            job.run()
        finally:
            self._awaited.discard(threading.current_thread())

    def move(self, loop: Loop, /) -> None:
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        """See `sockserve.abc.Runner.close`."""
        join_all(tuple(self._awaited), deadline, self.loop.time)


_NAME = "sockserve-request"
