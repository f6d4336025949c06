"""A thread for each request, by inheritance: the documented names for `sockserve.ThreadStrategy`."""

import threading
import time
from typing import cast

import attrs

from .. import socketserver as names
from .._typing import override
from ..abc import Job, Loop, Runner, Strategy
from ..strategies._join import join_all
from ..strategies._thread import ThreadRunner, ThreadStrategy
from ._host import close_host, host_of
from ._job import Face, ServerJob, answer_in_thread
from ._mistakes import warn_if_shadowed
from ._row import Row
from ._types import ClientAddress, Request, ServerBase, Threaded

__all__ = ("ThreadingMixIn",)

#: Threads below this number are not worth a look at which of them have ended.
_FEW = 4


class _Threads(list[threading.Thread]):
    """
    The threads that ``server_close`` waits for.

    Those that have ended leave when the list has doubled since the last look: it is never longer than twice what
    runs, and a request does not pay for the number of the others.
    """

    _limit = _FEW

    @override
    def append(self, thread: threading.Thread, /) -> None:
        """Add a thread; nobody waits for a daemonic one."""
        if thread.daemon:
            return
        if len(self) >= self._limit:
            self.reap()
            self._limit = max(_FEW, 2 * len(self))
        super().append(thread)

    def reap(self) -> None:
        """Forget the threads that have ended, not those that have yet to start."""
        self[:] = [thread for thread in self if thread.is_alive() or thread.ident is None]

    def pop_all(self) -> list[threading.Thread]:
        """Return all threads, and forget them."""
        taken, self[:] = self[:], []
        return taken

    def join(self) -> None:
        """Wait for all, and forget them."""
        join_all(self.pop_all(), None, time.monotonic)


class _NoThreads:
    """What stands for `_Threads` where nobody waits."""

    def append(self, thread: threading.Thread) -> None:
        """Nothing."""

    def join(self) -> None:
        """Nothing."""


@attrs.define(eq=False)
class _DocumentedThreads(ThreadRunner):
    """Threads as programs know them: what runs in them, and where they are counted."""

    @override
    def thread_for(self, job: Job) -> threading.Thread:
        server = cast("Threaded", cast("ServerJob", job).server)
        thread = names.threading.Thread(
            target=server.process_request_thread, args=(job.request, job.client_address)
        )
        thread.daemon = self.options.daemon
        return thread

    @override
    def note(self, job: Job, thread: threading.Thread) -> None:
        cast("Threaded", cast("ServerJob", job).server)._threads.append(thread)

    @override
    def forget(self, job: Job, thread: threading.Thread) -> None:
        counted = cast("Threaded", cast("ServerJob", job).server)._threads
        if isinstance(counted, list) and thread in counted:
            counted.remove(thread)


def _start(strategy: Strategy, loop: Loop, face: Face, before: Runner | None) -> Runner:
    options = cast("ThreadStrategy", strategy)
    if isinstance(before, _DocumentedThreads):
        before.options = options
        return before
    return _DocumentedThreads(options, loop)


_ROW = Row(ThreadStrategy(), {"daemon": "daemon_threads"}, _start)


class ThreadingMixIn:
    """
    Answer each request in a new thread, without a limit. To be named before the server class.

    Attributes:
        daemon_threads: Whether the threads are daemonic: then neither the interpreter's exit nor `server_close`
            waits for them.
        block_on_close: Whether `server_close` waits for the other ones.
    """

    daemon_threads: bool = False
    block_on_close: bool = True
    _threads: "_NoThreads | _Threads" = _NoThreads()

    @override
    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        warn_if_shadowed(cls, ThreadingMixIn)

    def process_request(self, request: Request, client_address: ClientAddress) -> None:
        """Begin to answer, in a new thread."""
        if self.block_on_close and "_threads" not in vars(self):
            vars(self).setdefault("_threads", names._Threads())
        host_of(self, _ROW).submit(ServerJob(self, request, client_address))

    def process_request_thread(self, request: Request, client_address: ClientAddress) -> None:
        """Answer, in the thread made for it; the handler's errors end here."""
        answer_in_thread(self, request, client_address)

    def server_close(self) -> None:
        """Close the server, then wait for its threads as the attributes say."""
        cast("ServerBase", super()).server_close()
        self._threads.join()
        close_host(self)
