"""
What a strategy sees of these servers: a request on its way, and the server's face.

Whatever the core's interfaces ask for is here and nowhere else in this package.
"""

import contextlib
import os
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from ..abc import Keeper, Listener, Reply
from ..deadlines import Deadlines
from ..errors import RequestAborted
from ..events import Event, HandlerSlow, RequestAbandoned
from ..handlers import handler_name
from ..observers import log_events
from ._in_flight import InFlight
from ._state import state_of
from ._types import Answerer, Polled

__all__ = (
    "Face",
    "Run",
    "ServerJob",
    "answer",
    "answer_in_child",
    "answer_in_row",
    "answer_in_thread",
)

#: How a request is answered: whether that went well.
Run: TypeAlias = Callable[[object, object, object], bool]


def answer(server: object, request: object, client_address: object) -> bool:
    """Answer in a thread, by the method that programs override for that."""
    cast("Answerer", server).process_request_thread(request, client_address)
    return True


def answer_in_row(server: object, request: object, client_address: object) -> bool:
    """Answer in the loop's thread, which goes on after SystemExit as it does beside threads."""
    pid = os.getpid()
    try:
        return answer(server, request, client_address)
    except SystemExit:
        if os.getpid() != pid:
            raise  # of a process that the handler has forked: it is to end
        return False


def answer_in_thread(server: object, request: object, client_address: object) -> None:
    """Answer, all of it; what the handler raises is reported."""
    answerer = cast("Answerer", server)
    try:
        answerer.finish_request(request, client_address)
    except RequestAborted:
        pass  # the server has stopped: nothing has gone wrong
    except Exception:  # noqa: BLE001 - whoever overrides handle_error reports it
        answerer.handle_error(request, client_address)
    finally:
        answerer.shutdown_request(request)


def answer_in_child(server: object, request: object, client_address: object) -> bool:
    """Answer in a process of its own, whose exit status is the result."""
    answerer = cast("Answerer", server)
    ok = False
    try:
        answerer.finish_request(request, client_address)
        ok = True
    except Exception:  # noqa: BLE001 - whoever overrides handle_error reports it
        answerer.handle_error(request, client_address)
    except BaseException:  # noqa: BLE001, S110 - SystemExit, for example: this process is at its end anyway
        pass
    finally:
        answerer.shutdown_request(request)
    return ok


class ServerJob:
    """
    Implements `sockserve.abc.Job` by the server's documented methods.

    Args:
        server: Whose methods.
        request: What it has accepted.
        client_address: Where that came from.
        run: How it is answered.
        in_flight: Where it is noted until it has ended.
    """

    __slots__ = ("_in_flight", "_keeper", "_run", "client_address", "over", "request", "server")

    def __init__(
        self,
        server: object,
        request: object,
        client_address: object,
        run: Run = answer,
        in_flight: InFlight | None = None,
    ) -> None:
        self.server: object = server
        self.request: object = request
        self.client_address: object = client_address
        self._run = run
        self._in_flight = in_flight
        if in_flight is not None:
            in_flight.add(self)
        self._keeper: Keeper | None = None
        #: Whether `run` has ended, in whatever way.
        self.over = False

    @property
    def stream(self) -> bool:
        """See `sockserve.abc.Job.stream`."""
        return isinstance(self.request, socket.socket)

    def replace(self, request: object, /) -> None:
        """See `sockserve.abc.Job.replace`."""
        self.request = request

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """See `sockserve.abc.Job.respond_by`. No effect: the server's methods answer."""

    def run(self) -> bool:
        """See `sockserve.abc.Job.run`."""
        in_flight = self._in_flight
        outermost = in_flight is not None and in_flight.enter()
        try:
            return self._run(self.server, self.request, self.client_address)
        finally:
            self.over = True
            if in_flight is not None:
                in_flight.leave(self, outermost=outermost)

    def forget(self) -> None:
        """Be in flight no more."""
        if self._in_flight is not None:
            self._in_flight.discard(self)

    def conversation(self) -> None:
        """See `sockserve.abc.Job.conversation`. The server's methods answer, which may be overridden."""

    def conclude(self, error: BaseException | None, /) -> bool:
        """See `sockserve.abc.Job.conclude`."""
        raise RuntimeError("a request without a conversation has none to conclude")

    def disown(self, keeper: Keeper, /) -> None:
        """See `sockserve.abc.Job.disown`. What is not needed any more is not kept while the other process runs."""
        self._keeper = keeper
        server, request = self.server, self.request
        self.server = self.request = None
        cast("Answerer", server).close_request(request)

    def settle(self, *, ok: bool) -> None:
        """See `sockserve.abc.Job.settle`; nothing is counted here."""
        self._keeper = None
        self.forget()

    def end_input(self) -> None:
        """See `sockserve.abc.Job.end_input`."""
        if self._keeper is not None:
            self._keeper.end_input()
        else:
            self._shut(socket.SHUT_RD)

    def abort(self) -> None:
        """See `sockserve.abc.Job.abort`."""
        if self._keeper is not None:
            self._keeper.abort()
        else:
            self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        if isinstance(self.request, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.request, how)


#: Of a request that goes on, and of one that will not end: ``handle_error`` is for those that have failed.
_LOGGED = (HandlerSlow, RequestAbandoned)


class Face:
    """
    Implements `sockserve.abc.Core` for a server that reports by its own methods.

    What those have no name for is logged; no other event is wanted. It does not keep the server alive, which has
    it.
    """

    listeners: "Sequence[Listener[object, object]]" = ()

    def __init__(self, server: object) -> None:
        self._server = weakref.ref(server)

    @property
    def address(self) -> object:
        """See `sockserve.abc.Core.address`."""
        return getattr(self._server(), "server_address", None)

    @property
    def deadlines(self) -> Deadlines:
        """See `sockserve.abc.Core.deadlines`. These servers have none: their handlers set a ``timeout``."""
        return Deadlines()

    @property
    def answers_messages(self) -> bool:
        """No: the server's own methods answer, whatever the handler is."""
        return False

    @property
    def handler(self) -> object:
        """See `sockserve.abc.Core.handler`."""
        return getattr(self._server(), "RequestHandlerClass", None)

    @property
    def handler_name(self) -> str:
        """See `sockserve.abc.Core.handler_name`."""
        return handler_name(self.handler)

    def wants(self, kind: type[Event], /) -> bool:
        """See `sockserve.abc.Core.wants`."""
        return kind in _LOGGED and log_events.wants(kind)

    def emit(self, event: Event, /) -> None:
        """See `sockserve.abc.Core.emit`."""
        log_events(event)

    def request_stop(self, grace: float | None = None, /) -> None:
        """See `sockserve.abc.Core.request_stop`. No grace: what is in flight belongs to ``server_close``."""
        server = self._server()
        if server is not None:
            cast("Polled", server)._BaseServer__shutdown_request = True
            state_of(server).wake()

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """See `sockserve.abc.Core.enter_child`. The listener stays open, as the standard library leaves it."""
        server = self._server()
        assert server is not None
        state_of(server).relay = relay  # a new state: this is another process
        assert state_of(server).pid == os.getpid()
