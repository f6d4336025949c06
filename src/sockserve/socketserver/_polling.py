"""
The loop of the inheritable servers: it polls, since programs stop it by a private flag, and can be woken besides.

Whatever serves through here is left alone between two requests: nothing is derived from its socket beforehand,
nothing is accepted ahead of time, and every hook is looked up anew.
"""

import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from .. import socketserver as names
from .._loop.accept_errors import PAUSE_SECONDS, AcceptAction
from .._loop.acceptor import RETRIES
from .._loop.wakeup import Wakeup
from ._bare_poll import POLLIN, BarePoll, bare_poll_of, is_as_it_was
from ._state import State, state_of
from ._types import Polled

__all__ = ("poll_server", "serve", "serve_one")

#: Serves until the server's private flag is set.
Wait: TypeAlias = Callable[[Polled, float | None], None]


def serve(server: object, poll_interval: float | None, wait: Wait | None = None) -> None:
    """
    Do what ``serve_forever`` promises, for this module's servers and the standard library's.

    Args:
        server: Of this module or the standard library's.
        poll_interval: As of ``serve_forever``.
        wait: What serves meanwhile; `poll_server` if not given.
    """
    polled = cast("Polled", server)
    polled._BaseServer__is_shut_down.clear()
    try:
        # Asked for before it began: then there is nothing to do, and perhaps no socket any more.
        if not polled._BaseServer__shutdown_request:
            (wait or poll_server)(polled, poll_interval)
    finally:
        polled._BaseServer__shutdown_request = False
        polled._BaseServer__is_shut_down.set()


def poll_server(server: Polled, poll_interval: float | None) -> None:
    """Poll, until the server's private flag is set."""
    state = state_of(server)
    with names._ServerSelector() as selector, _woken(state) as wakeup:
        watch = Watch(server, state, selector, wakeup)
        while not server._BaseServer__shutdown_request:
            ready = watch.wait(poll_interval)
            if server._BaseServer__shutdown_request:
                return
            if ready:
                server._handle_request_noblock()
                if state.lost is None:
                    watch.failures = 0
                else:
                    watch.failed()
            server.service_actions()


@contextlib.contextmanager
def _woken(state: State) -> Iterator[Wakeup | None]:
    """Be the thread that polls, and be heard; without the latter where no descriptor is to be had."""
    try:
        wakeup = Wakeup()
    except OSError:
        wakeup = None
    before, state.wakeup = state.wakeup, wakeup
    try:
        with state.polling_here(), _woken_by_signals(state, wakeup):
            yield wakeup
    finally:
        state.wakeup = before
        if wakeup is not None:
            wakeup.close()


@contextlib.contextmanager
def _woken_by_signals(state: State, wakeup: Wakeup | None) -> Iterator[None]:
    """In a worker: it hears by signals, which between Python's last look and a wait would not end that."""
    if not state.works or wakeup is None:
        yield
        return
    signal.set_wakeup_fd(wakeup.sender_fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)


class Watch:
    """Waits for one server by a selector that the program may have replaced."""

    def __init__(
        self, server: Polled, state: State, selector: selectors.BaseSelector, wakeup: Wakeup | None
    ) -> None:
        self._server, self._state, self._selector, self._wakeup = server, state, selector, wakeup
        self._poll: BarePoll | None = bare_poll_of(selector)
        self._arrival: object = None
        self._bare_arrival: object = None
        self._register()
        # A program's own kind of selector may know `register` and `select` only, and return what it likes.
        self._real = isinstance(selector, selectors.BaseSelector)
        #: What a call looks like, in the results of either way to wait.
        self._calls: tuple[object, ...] = ()
        if self._real and wakeup is not None:
            key = selector.register(wakeup, names.selectors.EVENT_READ)
            self._calls = (key, key.fd)
        self._fd = server.fileno() if self._real else -1
        self._socket: object = getattr(server, "socket", None)
        # Whether the descriptor is to be asked for before the next wait. A server of the standard library does not
        # say that it failed to accept.
        self._always_in_doubt = self._in_doubt = not isinstance(server, names.BaseServer)
        self.failures = 0
        self._paused_until: float | None = None

    def wait(self, timeout: float | None) -> bool:
        """Whether something has arrived, within *timeout* seconds and before anybody calls."""
        host = self._state.host
        if host is not None and host.must_wait:
            host.wait_for_room(timeout)
            return False
        if self._in_doubt or getattr(self._server, "socket", None) is not self._socket:
            timeout = self._look_again(timeout)
        if self._poll is not None and is_as_it_was():
            ready: object = self._poll.wait(timeout)
            if ready == self._bare_arrival:
                return True
        else:
            ready = self._selector.select(timeout)
            if ready == self._arrival:
                return True
        if not ready:
            self._in_doubt = True
            return False
        return self._has_arrived(ready)

    def _look_again(self, timeout: float | None) -> float | None:
        """Watch the server's present descriptor, if it is to be watched now; say for how long to wait."""
        self._socket = getattr(self._server, "socket", None)
        self._in_doubt = self._always_in_doubt
        if not self._real:
            return timeout
        if self._paused_until is not None:
            left = self._paused_until - names.time()
            if left > 0:
                self._in_doubt = True
                self._watch(-1)
                return left if timeout is None else min(left, timeout)
            self._paused_until = None
        self._watch(self._server.fileno())
        return timeout

    def _watch(self, fd: int) -> None:
        if fd == self._fd:
            return
        if self._fd >= 0:
            self._selector.unregister(self._server)
        self._fd = fd
        if fd >= 0:
            self._register()

    def _register(self) -> None:
        key = self._selector.register(self._server, names.selectors.EVENT_READ)
        # What either way to wait returns nearly always.
        self._arrival = [(key, names.selectors.EVENT_READ)]
        if self._poll is not None:
            self._bare_arrival = [(key.fd, POLLIN)]

    def _has_arrived(self, ready: object) -> bool:
        """Tell an arrival from a call; a patched ``select`` may return whatever is true or false."""
        if not self._calls or not isinstance(ready, list):
            return True
        arrived = False
        for found in ready:
            if isinstance(found, tuple) and found[0] in self._calls:
                assert self._wakeup is not None
                self._wakeup.drain()
            else:
                arrived = True
        return arrived

    def failed(self) -> None:
        """
        Look away for a while if there is nothing to accept with, or if it fails again and again.

        The socket stays readable: without a pause the loop would try, and fail, as fast as it can.
        """
        action, self._state.lost = self._state.lost, None
        self._in_doubt = True
        self.failures += 1
        if action is AcceptAction.PAUSE or self.failures > RETRIES:
            self.failures = 0
            self._paused_until = names.time() + PAUSE_SECONDS


def serve_one(server: object) -> None:
    """Do what ``handle_request`` promises, for this module's servers and the standard library's."""
    polled = cast("Polled", server)
    timeout = _shorter(polled.socket.gettimeout(), polled.timeout)
    deadline = None if timeout is None else names.time() + timeout
    state = state_of(server)
    with names._ServerSelector() as selector, state.polling_here():
        watch = Watch(polled, state, selector, None)
        while not watch.wait(timeout):
            if deadline is not None:
                timeout = deadline - names.time()
                if timeout < 0:
                    return polled.handle_timeout()
        try:
            return polled._handle_request_noblock()
        finally:
            _rest_if_exhausted(state, deadline)


def _rest_if_exhausted(state: State, deadline: float | None) -> None:
    """Do not come back at once for want of descriptors: who calls this in a loop would fail as fast as he can."""
    action, state.lost = state.lost, None
    if action is AcceptAction.PAUSE:
        time.sleep(PAUSE_SECONDS if deadline is None else max(0.0, min(PAUSE_SECONDS, deadline - names.time())))


def _shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two times, of which None is without end."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
