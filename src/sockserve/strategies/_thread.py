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

    def start(self, loop: Loop, core: Core, /) -> "_ThreadRunner":
        """Make the runner of one server."""
        return _ThreadRunner(self, loop)


@attrs.define(eq=False)
class _ThreadRunner:
    options: ThreadStrategy
    loop: Loop
    _awaited: set[threading.Thread] = attrs.field(init=False, factory=set)

    full = False

    def submit(self, job: Job, /) -> None:
        if self.options.daemon or not self.options.block_on_close:
            threading.Thread(target=job.run, name=_NAME, daemon=self.options.daemon).start()
            return
        thread = threading.Thread(target=self._run, args=(job,), name=_NAME, daemon=False)
        self._awaited.add(thread)
        try:
            thread.start()
        except BaseException:  # "can't start new thread": the request is refused, and nobody may wait for this
            self._awaited.discard(thread)
            raise

    def _run(self, job: Job) -> None:
        try:
            job.run()
        finally:
            self._awaited.discard(threading.current_thread())

    def move(self, loop: Loop, /) -> None:
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        join_all(tuple(self._awaited), deadline, self.loop.time)


_NAME = "sockserve-request"
