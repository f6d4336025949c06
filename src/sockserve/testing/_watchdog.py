"""Who holds the thread that serves: said while it does, with the stack."""

import sys
import threading
import time
import traceback
from collections.abc import Callable

import attrs

from ..server import AnyServer

__all__ = ("Watchdog",)

#: How often it looks, for each time that is too long: none is much longer than that without being seen.
LOOKS = 4


@attrs.define(eq=False)
class Watchdog:
    """
    A thread that asks the loop for a sign of life, and tells where it is stuck if there is none.

    Args:
        server: Whose loop.
        seconds: Without a sign, after which it is stuck.
        tell: Called with what the loop's thread does then, once each time.
    """

    server: AnyServer
    seconds: float
    tell: Callable[[str], object]
    _over: threading.Event = attrs.field(init=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._look, name="sockserve-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        alive = threading.Event()
        asked = time.monotonic()
        told = False
        self._ask(alive)
        while not self._over.wait(self.seconds / LOOKS):
            if alive.is_set():
                alive.clear()
                asked, told = time.monotonic(), False
                self._ask(alive)
            elif not told and time.monotonic() - asked >= self.seconds:
                told = True
                self.tell(self._where())

    def _ask(self, alive: threading.Event) -> None:
        service = self.server._life._service
        if service is not None:
            service.loop.call_soon_threadsafe(alive.set)

    def _where(self) -> str:
        service = self.server._life._service
        frame = None if service is None else sys._current_frames().get(service.thread)
        return "" if frame is None else "".join(traceback.format_stack(frame))
