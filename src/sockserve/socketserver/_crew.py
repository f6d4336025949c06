"""The processes that serve for an inheritable server: what their supervisor, and each of them, sees of it."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import cast

import attrs

from .._loop.loop import EventLoop
from .._serving.hearing import hear
from .._signals import signals
from .._typing import override
from .._workers.turns import Turns
from ..abc import Arrival, Order, Strategy, Supervisor, Tally, Workplace
from ..events import Event, WorkerDied, WorkerFailed
from ..observers import log_events
from ..stats import Stats
from ..transports._ready import readable
from ._host import close_host, host_of
from ._job import Face
from ._looping import serve_with
from ._row import Row
from ._state import state_of
from ._types import ClientAddress, Polled

__all__ = ("Crew",)

#: Besides what is logged of requests: whatever else happens to workers goes on by itself.
_LOGGED = (WorkerDied, WorkerFailed)


@attrs.define(eq=False)
class _Endpoint:
    """The server's socket, which its own methods accept from. Implements `sockserve.abc.Listener`."""

    server: "weakref.ref[object]"
    stream = True
    address: object = None

    def fileno(self) -> int:
        """Return its descriptor."""
        server = self.server()
        return -1 if server is None else cast("Polled", server).fileno()

    def accept(self) -> Arrival[object, object]:
        """The server's methods do."""
        raise NotImplementedError

    def close(self) -> None:
        """The server's methods do."""

    def close_copy(self) -> None:
        """It is the worker's, too."""


class Crew(Face):
    """
    Implements `sockserve.abc.WorkerCore`.

    Args:
        server: With ``PreforkMixIn``.
        loop: What its supervisor waits by.
        poll_interval: Of ``serve_forever``.
    """

    def __init__(self, server: object, loop: EventLoop, poll_interval: float | None) -> None:
        super().__init__(server)
        self._loop = loop
        self._poll_interval = poll_interval
        self.listeners = (_Endpoint(weakref.ref(server)),)
        self.runner: Supervisor | None = None
        self._tally: Tally | None = None
        # Any number of workers wait for one socket, whose flags are the program's.
        self._turns = Turns()
        self._leaves = False

    @override
    def wants(self, kind: type[Event], /) -> bool:
        """See `sockserve.abc.Core.wants`."""
        return super().wants(kind) or (kind in _LOGGED and log_events.wants(kind))

    def count_in(
        self, tally: Tally | None, totals: Callable[[], Stats], measured: Callable[[], Sequence[int]], /
    ) -> None:
        """See `sockserve.abc.WorkerCore.count_in`. These servers tell no counts."""

    def close(self, deadline: float | None) -> None:
        """In the parent: let the workers end, and wait for them."""
        if self.runner is not None:
            self.runner.close(deadline)
        self._turns.close()

    # In a worker.

    def serve(self, inner: Strategy, workplace: Workplace, /) -> None:
        """See `sockserve.abc.WorkerCore.serve`."""
        server = self._server()
        assert server is not None
        signals.set_wakeup_fd(-1)  # a descriptor of the loop's, whose number a client's connection would have next
        self._loop.close()
        state = state_of(server)  # a new one: this is another process
        state.crew, state.relay = self, workplace.overseer.ask_to_stop
        state.inner = Row(inner, fixed=True)
        self._tally = workplace.tally
        hear(workplace.overseer, lambda: self._obey(workplace), lambda abort: self._told(workplace, abort))
        self._obey(workplace)  # what came before that rings no more
        host_of(server, state.inner)  # what cannot be started is to fail before it is said that it was
        workplace.overseer.serving()
        serve_with(state.inner, server, self._poll_interval)
        close_host(server)

    def accept(
        self, get_request: Callable[[], tuple[ClientAddress, ClientAddress]]
    ) -> tuple[ClientAddress, ClientAddress]:
        """
        Get a request, in turns with the other workers.

        Raises:
            BlockingIOError: Another has got it.
        """
        server = cast("Polled", self._server())
        self._turns.take()
        try:
            if not readable(server.socket):
                raise BlockingIOError
            found = get_request()
        finally:
            self._turns.give()
        if self._tally is not None:
            self._tally.accepted()
        return found

    def _told(self, workplace: Workplace, abort: bool) -> None:
        if abort:
            os._exit(0)
        if not self._leaves:
            workplace.overseer.leaving()
            self._leave()

    def _obey(self, workplace: Workplace) -> None:
        for order, grace in workplace.overseer.orders():
            if order is Order.ABORT:
                os._exit(0)
            if order is Order.ORPHAN:
                self._orphaned(grace)
            self._leave()

    def _leave(self) -> None:
        self._leaves = True
        self.request_stop()

    def _orphaned(self, grace: float) -> None:
        """Let go of the socket, so that a successor of the parent's can have it; end within *grace*."""
        server = cast("Polled", self._server())
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, server.fileno(), inheritable=False)  # at once, whatever is being done with it
        os.close(null)
        threading.Thread(target=_end_after, args=(grace,), name="sockserve-orphan", daemon=True).start()


def _end_after(grace: float) -> None:
    threading.Event().wait(grace)
    os._exit(1)
