"""Ctrl-C and SIGTERM: the first drains, the second ends at once; both are bounded, whatever handlers do."""

import _thread
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import attrs

from .._serving.lifecycle import LAST_WAIT
from ..server import AnyServer

__all__ = ("Stopper",)

#: SIGBREAK is what Windows sends for Ctrl-Break, and to a process group.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@attrs.define(eq=False)
class Stopper:
    """
    Asks servers to stop when a signal comes, and makes sure that they do.

    A handler that has the loop's thread (`SyncStrategy`), or that ignores the end of its connection, cannot hold
    the process for longer than the grace and a little: a thread is started by the signal, and not before, since a
    process that forks should have none.

    Args:
        servers: What is served.
        grace: Seconds for the requests in flight, at the first signal.
        log: Where it says what was asked for; in a thread, since a signal comes between any two steps of this one.
        leave: Ends the process as it is, when nothing else helps.
    """

    servers: Sequence[AnyServer]
    grace: float
    log: logging.Logger
    leave: Callable[[], object]
    count: int = attrs.field(init=False, default=0)
    _pid: int = attrs.field(init=False, factory=os.getpid)
    _over: threading.Event = attrs.field(init=False, factory=threading.Event)
    _insisting: list[threading.Event] = attrs.field(init=False, factory=list)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals for the time of the block; those that are ignored, as by nohup, stay so."""
        former = {number: signal.getsignal(number) for number in _SIGNALS}
        mine = [number for number, handler in former.items() if handler is not signal.SIG_IGN]
        for number in mine:
            signal.signal(number, self.on_signal)
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, former[number] or signal.SIG_DFL)
            self._over.set()
            for ended in self._insisting:
                ended.wait(LAST_WAIT)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Ask all servers to stop; takes no lock."""
        if os.getpid() != self._pid:  # a process that a handler has forked: it means what it usually does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.count += 1
        grace = self.grace if self.count == 1 else 0.0
        for server in self.servers:
            server.request_stop(grace)
        with contextlib.suppress(RuntimeError):  # no thread to be had: then nobody insists
            # Not by `threading`, whose lock this thread may hold at the moment.
            ended = threading.Event()
            _thread.start_new_thread(self._insist, (self._said(number), grace, ended))
            self._insisting.append(ended)

    def _said(self, number: int) -> str:
        name = signal.Signals(number).name
        if self.count > 1:
            return f"{name}: ending at once"
        return f"{name}: draining for at most {self.grace:g} s; again to end at once"

    def _insist(self, said: str, grace: float, ended: threading.Event) -> None:
        try:
            self.log.info(said)
            self._see_to_it(grace)
        finally:
            ended.set()

    def _see_to_it(self, grace: float) -> None:
        end = time.monotonic() + grace
        for server in self.servers:
            server.shutdown(max(0.0, end - time.monotonic()))  # shuts the connections when the time is over
        if not self._over.wait(max(0.0, end - time.monotonic()) + LAST_WAIT * (1 + len(self.servers))):
            self.log.warning("a handler does not end, and is abandoned")
            self.leave()
