"""What every fork of ours has in common."""

import _thread
import sys
import threading
from collections.abc import Callable

from ..abc import Core
from ..events import ForkedBesideThreads

__all__ = ("ThreadsReport", "flush", "may_have_threads")


def _always() -> int:
    return 1


#: Whether it is worth asking for other threads, at each fork. `threading.active_count` takes a lock and counts two
#: tables; CPython's own count has no public name, and costs nothing.
may_have_threads: Callable[[], int] = getattr(_thread, "_count", _always)


class ThreadsReport:
    """Tells, once, that this process has other threads while it forks: locks that they hold stay held."""

    __slots__ = ("_core", "said")

    def __init__(self, core: Core) -> None:
        self._core = core
        self.said = False

    def __call__(self) -> None:
        """Look, and tell."""
        # CPython's count is that of the parent in a process that was forked beside threads itself.
        others = threading.active_count() - 1
        if others:
            self.said = True
            if self._core.wants(ForkedBesideThreads):
                self._core.emit(ForkedBesideThreads(server_address=self._core.address, threads=others))


def flush() -> None:
    """Flush stdout and stderr: what is in the buffers when a process forks would be written twice."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # a daemon without them
                stream.flush()
        except Exception:  # noqa: BLE001, S110 - closed, its reader gone, replaced: nobody is left to tell
            pass
