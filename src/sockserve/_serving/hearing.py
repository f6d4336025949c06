"""How a worker hears its overseer, and signals."""

import os
import signal
import sys
from collections.abc import Callable

from .._signals import SIG_IGN, SIG_SETMASK, signals
from ..abc import Overseer

__all__ = ("hear",)


def hear(overseer: Overseer, called: Callable[[], object], told: Callable[[bool], object]) -> None:
    """
    Listen, in the main thread of a worker's process.

    Signals of the parent's that mean something else there are replaced, and get through also where the program has
    blocked them. SIGINT and SIGHUP are for the parent, whoever sent them to the whole group.

    Args:
        overseer: The kernel sends SIGIO for whatever comes from it, its death included (fcntl(2), F_SETOWN).
        called: Called then, between any two steps of the main thread.
        told: Called with False at SIGTERM, with True at SIGQUIT.
    """
    if sys.platform == "win32":
        raise NotImplementedError
    import fcntl  # noqa: PLC0415 - Windows has none

    pid = os.getpid()

    def on_call(number: int, frame: object) -> None:
        if os.getpid() == pid:
            called()

    def on_signal(number: int, frame: object) -> None:
        if os.getpid() != pid:  # a process that a handler has forked: it means what it usually does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        else:
            told(number == signal.SIGQUIT)

    for number in (signal.SIGINT, signal.SIGHUP):
        signals.signal(int(number), SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signals.signal(int(number), on_signal)
    signals.signal(int(signal.SIGIO), on_call)
    fd = overseer.fileno()
    fcntl.fcntl(fd, fcntl.F_SETOWN, pid)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    ours = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGIO)
    signals.pthread_sigmask(SIG_SETMASK, overseer.mask - {int(number) for number in ours})
