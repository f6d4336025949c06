"""Several processes that serve, by inheritance: the names for `sockserve.PreforkStrategy`."""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from .._loop.loop import EventLoop
from .._serving.signals import handled, wake_on_signals
from .._typing import override
from ..abc import Strategy, Supervisor
from ..errors import OptionError
from ..strategies._prefork import PreforkStrategy
from ._crew import Crew
from ._host import look_away, take_request
from ._polling import serve
from ._row import Row
from ._state import known_state, state_of
from ._strategy_mixin import StrategyMixIn
from ._types import ClientAddress, Polled, Request

assert sys.platform != "win32"  # imported only where there is fork

__all__ = ("PreforkMixIn",)


class _Server(Protocol):
    """What the mix-in asks of the class after it."""

    def get_request(self) -> tuple[ClientAddress, ClientAddress]: ...


class PreforkMixIn(StrategyMixIn, strategy=PreforkStrategy()):
    """
    Answer requests in several processes, which ``serve_forever`` supervises: `sockserve.PreforkStrategy`.

    To be named before the server class. The process that serves accepts nothing itself. ``handle_request`` starts
    no processes: it answers one request here.

    Attributes:
        inner: The strategy that runs the requests of each worker.
        workers: How many.
        max_requests: How many requests a worker accepts before it is replaced; None for any number.
        grace: Seconds for what workers have in flight when they are replaced, and in `server_close`.
        reuse_port: To be left False: the server has bound one socket.
    """

    inner: Strategy
    workers: int
    max_requests: int | None
    reuse_port: bool
    grace: float

    @override
    def process_request(self, request: Request, client_address: ClientAddress) -> None:
        """Hand the request to the inner strategy, in whichever process."""
        state = state_of(self)
        if state.inner is None or state.inner.strategy != self.inner:
            state.inner = Row(self.inner, fixed=True)
        take_request(self, state.inner, request, client_address)

    def get_request(self) -> tuple[ClientAddress, ClientAddress]:
        """Return the request that has arrived; in a worker, in turns with the others."""
        get_request = cast("_Server", super()).get_request
        state = state_of(self)
        return state.crew.accept(get_request) if state.crew is not None and state.works else get_request()

    @override
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """
        Let the workers serve until ``shutdown``.

        In the main thread, and where the program does not handle them, SIGTERM does the same, and SIGHUP replaces
        the workers, one by one.
        """
        serve(self, poll_interval, self._sockserve_supervise)

    @override
    def shutdown(self) -> None:
        """Let ``serve_forever`` return, and wait until it has; in a worker, ask the process that supervises."""
        state = known_state(self)
        if state is not None and state.relay is not None:
            state.relay(None)
        else:
            super().shutdown()

    @override
    def server_close(self) -> None:
        """Close the server, then wait for the workers, for at most `grace` seconds."""
        look_away(self)
        state = known_state(self)
        super().server_close()
        if state is not None and state.crew is not None and not state.works:
            crew, state.crew = state.crew, None
            crew.close(time.monotonic() + self.grace)

    def _sockserve_supervise(self, polled: Polled, poll_interval: float | None) -> None:
        if self.reuse_port:
            raise OptionError(f"{type(self).__name__}.reuse_port: the server has bound one socket; leave it False")
        state, loop = state_of(self), EventLoop()
        if state.crew is not None:
            state.crew.close(time.monotonic() + self.grace)  # of the time before
        state.crew = crew = Crew(self, loop, poll_interval)
        strategy = cast("PreforkStrategy", self._sockserve_row_of().strategy_for(self))
        crew.runner = runner = strategy.start(loop, crew)
        with (
            state.polling_here(),
            loop.opened(),
            state.woken_by(loop),
            wake_on_signals(loop),
            handled(_signals(polled, loop, runner)),
        ):
            _look_every(loop, poll_interval)
            try:
                runner.begin(loop.wake)
                loop.turn(lambda: bool(polled._BaseServer__shutdown_request))
            finally:
                runner.end()


def _look_every(loop: EventLoop, poll_interval: float | None) -> None:
    """Look at the private flag every so many seconds: programs set it by hand."""
    if poll_interval is not None:

        def tick() -> None:
            _look_every(loop, poll_interval)

        loop.call_at(loop.time() + poll_interval, tick)


def _signals(polled: Polled, loop: EventLoop, runner: Supervisor) -> Mapping[int, Callable[[], object]]:
    def terminate() -> None:
        polled._BaseServer__shutdown_request = True
        loop.wake()

    return {signal.SIGTERM: terminate, signal.SIGHUP: lambda: loop.call_soon_threadsafe(runner.renew)}
