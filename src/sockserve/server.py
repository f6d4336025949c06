"""A server: a transport, a strategy and a handler, with a life."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

import attrs

from ._serving.background import Background
from ._serving.composition import check_bounds, check_composition
from ._serving.core import ServerCore
from ._serving.lifecycle import Lifecycle
from ._serving.together import serve, serve_on
from ._serving.worker import serve_as_worker
from ._validators import callable_or_none, optional_seconds, seconds
from .abc import Handler, Strategy, Transport, Workplace
from .deadlines import Deadlines
from .limits import Limits
from .observers import Emitter, Observer, log_events
from .stats import Measurements, RowInfo, ServerState, Stats, WorkerInfo

__all__ = ("Server", "serve")

R = TypeVar("R")
A = TypeVar("A")


def _optional_timeout(owner: object, attribute: "attrs.Attribute[float | None]", value: object) -> None:
    optional_seconds(owner, attribute.name, value)


@attrs.define(eq=False)
class Server(Generic[R, A]):
    """
    Serve what arrives by *transport*, where *strategy* says, with *handler*.

    Composing opens nothing. ``with``, `listen`, `serve_forever`, `handle_request` or `running` open the socket;
    when they have, the kernel queues clients. `server_close`, and the end of ``with``, release everything, for
    good.

    Args:
        transport: How requests arrive.
        strategy: Where they run.
        handler: What answers them: called with (request, client_address, server).
        limits: How many requests are taken at a time, and what happens to more: all, unless told otherwise.
        deadlines: How long a connection may take: 10 seconds for a TLS handshake, unless told otherwise.
        verify: Called in the loop's thread with (request, client_address); false refuses the request. None: all
            are served. Behind a proxy (`ProxyProtocolTransport`) it is called where the request runs, once the
            client's address is known.
        observer: Told of events, where they happen. `log_events` by default: the logger ``sockserve``.
        timeout: Seconds that `handle_request` waits for a request; None: without a limit.
        service_actions: Called in the loop's thread every ``poll_interval`` seconds and after each batch of
            requests. What it raises ends `serve_forever`. None: the loop wakes for nothing.

    Raises:
        CompositionError: The parts do not fit together; nothing was opened.
        OptionError: An option has a value that cannot work.

    Resource handling:
        A server that was opened has to be closed. Requests are closed by the server, whatever their handler did.

    Error handling:
        What a handler raises, SystemExit included, ends its request alone and is an event. Errors of accept are
        retried, waited out or raised from `serve_forever`, by one table (docs/design/0004-accept-errors.md).
    """

    transport: Transport[R, A] = attrs.field(on_setattr=attrs.setters.frozen)
    strategy: Strategy = attrs.field(on_setattr=attrs.setters.frozen)
    handler: Handler[R, A] = attrs.field(on_setattr=attrs.setters.frozen)
    limits: Limits = attrs.field(default=Limits(), kw_only=True, on_setattr=attrs.setters.frozen)
    deadlines: Deadlines = attrs.field(default=Deadlines(), kw_only=True, on_setattr=attrs.setters.frozen)
    _verify: Callable[[R, A], bool] | None = attrs.field(
        alias="verify", default=None, kw_only=True, validator=callable_or_none
    )
    _observer: Observer = attrs.field(alias="observer", default=log_events, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True, validator=_optional_timeout)
    _service_actions: Callable[[], object] | None = attrs.field(
        alias="service_actions", default=None, kw_only=True, validator=callable_or_none
    )
    _core: ServerCore[R, A] = attrs.field(init=False, repr=False)
    _life: Lifecycle[R, A] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_composition(self.transport, self.strategy, self.handler, self._observer)
        check_bounds(self.limits, self.deadlines)
        self._core = ServerCore(
            self, self.handler, Emitter(self._observer), self.limits, self.deadlines, self._verify
        )
        self._life = Lifecycle(self.__repr__, self.transport, self.strategy, self._core)

    def _serve_as_worker(self, inner: Strategy, workplace: Workplace) -> None:
        serve_as_worker(self._life, inner, workplace)

    # Life.

    def __enter__(self) -> Self:
        """Open the socket."""
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release everything."""
        self.server_close()

    def listen(self) -> None:
        """
        Open the socket; when this returns, the kernel queues clients. Again: no effect.

        Raises:
            ListenError: The system refused.
            ServerStateError: The server is closed.
        """
        self._life.open()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """
        Serve in this thread until a stop is asked for; opens the socket if need be.

        Args:
            poll_interval: Seconds between two calls of ``service_actions``; nothing else is polled.

        Raises:
            KeyboardInterrupt: In the main thread, with Python's own SIGINT handler: the first Ctrl-C asks to stop
                and this is raised at the end; a second raises it at once.
            ListenError: The socket cannot be opened.
            OSError: The listener is of no use any more.
            ServerStateError: The server is closed, or is being served.
        """
        seconds(self, "poll_interval", poll_interval, zero=False)
        self.listen()
        serve_on(self._life.loop, [self], poll_interval)

    def handle_request(self) -> bool:
        """
        Accept one request; opens the socket if need be.

        Returns:
            True when it has finished (`SyncStrategy`) or the strategy has taken it (the others), or was refused:
            one is accepted, whatever becomes of it. False when ``timeout`` seconds have passed without one, or a
            stop was asked for.

        Raises:
            ServerStateError: The server is closed, or is being served.
        """
        self.listen()
        return serve_on(self._life.loop, [self], limit=1, timeout=self.timeout) == 1

    def running(self, grace: float = 5.0) -> contextlib.AbstractContextManager[Self]:
        """
        Serve in a background thread during a ``with`` block, which gets the server.

        At its end the server is shut down with *grace*, and closed.

        Args:
            grace: Seconds that requests in flight have left then. 5 is enough for most.

        Raises:
            BaseException: At the end, what `serve_forever` raised in the thread.
        """
        seconds(self, "grace", grace)
        return Background(self, grace)

    def request_stop(self, grace: float | None = None) -> None:
        """
        Ask to stop serving. Never blocks and takes no lock: from anywhere, signal handlers included.

        A stop asked of a server that listens and is not served yet is kept: the next `serve_forever` leaves
        at once. A new or closed server ignores it.

        Args:
            grace: Seconds for the requests in flight, during which nothing is accepted; then their sockets are
                shut. None: `serve_forever` leaves at once, and what is in flight belongs to `server_close`.
        """
        optional_seconds(self, "grace", grace)
        self._life.request_stop(grace)

    def shutdown(self, grace: float | None = None) -> None:
        """
        Ask to stop, as `request_stop` does, and wait until `serve_forever` has left.

        Called by a request of the same server, by its loop's thread, or when nothing serves: ask only, since
        waiting would never end.
        """
        optional_seconds(self, "grace", grace)
        self._life.shutdown(grace)

    def replace_workers(self) -> None:
        """
        Replace all processes of `PreforkStrategy`, one by one: nobody is refused meanwhile.

        Each goes on accepting until its successor does, and then has the strategy's ``grace`` for what it has in
        flight. Successors are copies of the process that serves, as it is by then. Never blocks: any thread, and
        signal handlers. SIGHUP does it, too, where the program does not handle it.

        Raises:
            CompositionError: The strategy has no processes of its own.
            ServerStateError: The server is not being served.
        """
        self._life.replace_workers()

    def server_close(self) -> None:
        """
        Close the socket, end the input of the connections in flight, and wait for them as the strategy says.

        While the server is served, `serve_forever` is left first. Again: no effect. After a grace that expired
        the wait is bounded, and what is left is reported.
        """
        self._life.close()

    # Looking at it.

    def fileno(self) -> int:
        """
        Return the listening socket's descriptor.

        Raises:
            ServerStateError: The server does not listen.
        """
        return self._life.listener().fileno()

    @property
    def address(self) -> A:
        """
        Where the server listens, as the kernel says: with the port that it chose for port 0.

        Raises:
            ServerStateError: The server does not listen.
        """
        return self._life.listener().address

    @property
    def stats(self) -> Stats:
        """The counts of this moment."""
        return self._core.stats()

    def rows(self, most: int | None = None) -> list[RowInfo]:
        """
        Return the requests in flight at this moment: of whom, and what each waits for.

        Under `SelectorStrategy` these are the rows of its table; under the others it is known who is served, and
        no more. Any thread may ask. It costs a look at every request.

        Args:
            most: Return so many at most, the oldest first: under `SelectorStrategy` those that have waited for
                longest, else those that were accepted first. None: all, in no order.
        """
        return self._life.work.rows(self._core, most)

    def workers(self) -> list[WorkerInfo]:
        """
        Return the processes that serve, under `PreforkStrategy`; none under the others, and in a worker itself.

        They are in the order of their places; one that drains comes before its successor. Any thread may ask.
        """
        return self._life.work.workers()

    @property
    def state(self) -> ServerState:
        """
        Where it is in its life: "new", "listening", "serving", "draining" (a stop was asked for) or "closed".

        Between two times of serving it is "listening" again. A closed server may still be finishing what it has.
        """
        return self._life.state

    def measure(self) -> Measurements:
        """
        Return what was measured of the requests, and of their queue: from the first call on.

        From then on each request is timed, and events are counted, whatever the observer wants. That costs about a
        microsecond a request, and nothing where nobody asks. Any thread.
        """
        return self._life.measure()


AnyServer: TypeAlias = Server[Any, Any]  # type: ignore[explicit-any]  # of whatever request and address
