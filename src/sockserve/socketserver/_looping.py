"""
Serving where a strategy's requests live in the loop's thread: their loop waits, for them and for arrivals alike.

The server is left alone between two requests, as where it is polled: nothing is accepted ahead of time, every hook
is looked up anew, and its socket may be replaced at any time.
"""

import contextlib

from .._loop.accept_errors import PAUSE_SECONDS, AcceptAction
from .._loop.acceptor import RETRIES
from .._loop.loop import EventLoop
from .._serving.signals import wake_on_signals
from ..abc import Timer
from ._host import Host, host_of
from ._polling import poll_server, serve
from ._row import Row
from ._state import State, state_of
from ._types import Polled

__all__ = ("serve_with",)


def serve_with(row: Row, server: object, poll_interval: float | None) -> None:
    """Do what ``serve_forever`` promises, where the strategy of *row* runs the requests."""

    def wait(polled: Polled, interval: float | None) -> None:
        # Options that were changed since the last request hold from the next on.
        host = state_of(polled).host or host_of(polled, row)
        with host.seat() as mine:
            if mine and host.in_loop:
                _loop(polled, host, interval)
                return
        poll_server(polled, interval)  # as beside another thread's loop, which has the runner

    serve(server, poll_interval, wait)


def _loop(server: Polled, host: Host, poll_interval: float | None) -> None:
    state, loop = state_of(server), EventLoop()
    with (
        state.polling_here(),
        host.served_by(loop),
        loop.opened(),
        state.woken_by(loop),
        _woken_by_signals(state, loop),
    ):
        door = Door(server, state, host, loop)
        host.door = door.shut
        door.look()
        if poll_interval is not None:
            door.repeat(poll_interval)
        try:
            loop.turn(lambda: bool(server._BaseServer__shutdown_request))
        finally:
            door.close()


def _woken_by_signals(state: State, loop: EventLoop) -> contextlib.AbstractContextManager[None]:
    """In a worker: it hears by signals."""
    return wake_on_signals(loop) if state.works else contextlib.nullcontext()


_TICK, _PAUSE = "tick", "pause"


class Door:
    """Watches for arrivals at one server, on the loop of its requests."""

    def __init__(self, server: Polled, state: State, host: Host, loop: EventLoop) -> None:
        self._server, self._state, self._host, self._loop = server, state, host, loop
        self._fd = -1
        self._socket: object = None
        self._failures = 0
        self._timers: dict[str, Timer] = {}

    def close(self) -> None:
        """Let go of the loop, which would keep the server."""
        self.shut()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def look(self) -> None:
        """Watch the server's present descriptor, if an arrival can be taken now."""
        found: object = getattr(self._server, "socket", None)
        if found is not self._socket:  # another one, that may have the number of the one before
            self._socket = found
            self.shut()
        if _PAUSE in self._timers:
            return
        if self._host.full:
            self.shut()
            self._loop.pause(self.look)
            if self._host.full:  # asked once more, when it is known that we wait
                return
        self._watch(self._server.fileno())

    def shut(self) -> None:
        """Look away. Any thread: also before the socket is closed, whose number may be a client's then."""
        self._watch(-1)

    def _watch(self, fd: int) -> None:
        before = self._fd
        if fd == before:
            return
        self._fd = fd
        # What has been closed by hand is not watched any more, and its number may be another's.
        if before >= 0 and self._loop.callback_of(before) == self._arrived:
            self._loop.unwatch(before)
        if fd >= 0:
            self._loop.watch(fd, self._arrived)

    def _arrived(self, _mask: int) -> None:
        if self._server._BaseServer__shutdown_request:
            self._loop.calling = True
            return
        host = self._host
        host.at_door = True
        try:
            self._receive()
        finally:
            host.at_door = False

    def _receive(self) -> None:
        self._server._handle_request_noblock()
        self._host.raise_what_ended_a_request()
        if self._state.lost is None:
            self._failures = 0
        else:
            self._failed()
        self._after()

    def _after(self) -> None:
        """Do what is due after each request and each ``poll_interval`` without one."""
        server = self._server
        server.service_actions()
        if server._BaseServer__shutdown_request:
            self._loop.calling = True
        if getattr(server, "socket", None) is not self._socket or self._host.full:
            self.look()

    def repeat(self, poll_interval: float) -> None:
        """Every so many seconds, see what programs have changed by hand: the loop looks at the flag then, too."""

        def tick() -> None:
            self.repeat(poll_interval)
            self._host.at_door = True
            try:
                self._after()
            finally:
                self._host.at_door = False
            self.look()

        self._timers[_TICK] = self._loop.call_at(self._loop.time() + poll_interval, tick)

    def _failed(self) -> None:
        """Look away for a while if there is nothing to accept with, or if it fails again and again."""
        action, self._state.lost = self._state.lost, None
        self._failures += 1
        if action is AcceptAction.PAUSE or self._failures > RETRIES:
            self._failures = 0
            self.shut()
            self._timers[_PAUSE] = self._loop.call_at(self._loop.time() + PAUSE_SECONDS, self._resume)
        elif action is AcceptAction.STOP:
            self.look()

    def _resume(self) -> None:
        del self._timers[_PAUSE]
        self.look()
