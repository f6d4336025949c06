"""Servers under test: composed and started in one call, stopped and examined at the end."""

import contextlib
import functools
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import attrs

from .._named.parts import make_strategy, make_transport
from ..abc import Handler, Strategy, Transport
from ..deadlines import Deadlines
from ..events import Draining, Event
from ..handlers import serves_streams
from ..limits import Limits
from ..observers import Observer, SelectiveObserver, log_events
from ..server import AnyServer, Server
from ..strategies import ThreadStrategy
from ..transports import TlsTransport
from ._clients import Client, connect
from ._failures import FAILURES, Failure, Failures
from ._memory import MemoryTransport
from ._watchdog import Watchdog

if TYPE_CHECKING:
    import ssl

__all__ = ("ServeFailed", "Served", "Serving")

AnyTransport: TypeAlias = Transport[object, object]

# What a request and an address are depends on the transport, which may be only a name here: a handler of any kind
# has to pass, as one whose argument is `Never` would say. Composition checks it at run time.
AnyHandler: TypeAlias = "Callable[..., object]"  # type: ignore[explicit-any]  # see above


class ServeFailed(AssertionError):  # noqa: N818 - it says what happened
    """
    Something went wrong in a server under test.

    ``failures`` are all; the error of the first is its ``__cause__``, where it was raised in this process.
    """

    def __init__(self, failures: list[Failure]) -> None:
        first = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        trace = f"\n{first.traceback}" if first.error is None else ""
        super().__init__(f"{first.text}{more}{trace}")
        self.failures = failures


@attrs.define(eq=False)
class _Watcher:
    """The observer of a server under test: notes failures, and passes on what somebody else wants."""

    failures: Failures = attrs.field(repr=False)
    then: Observer
    drain: Callable[[], object] = attrs.field(default=lambda: None, repr=False)

    def wants(self, kind: type[Event], /) -> bool:
        return kind in FAILURES or kind is Draining or self._passes(kind)

    def _passes(self, kind: type[Event]) -> bool:
        return self.then.wants(kind) if isinstance(self.then, SelectiveObserver) else True

    def __call__(self, event: Event, /) -> None:
        if type(event) in FAILURES:
            self.failures.add(event)
        if isinstance(event, Draining):
            self.drain()
        if self._passes(type(event)):
            self.then(event)


@attrs.define(eq=False)
class Served:
    """
    A server that runs in a thread of its own, and its clients.

    Attributes:
        server: The server, listening.
    """

    server: AnyServer
    _failures: Failures
    _connect: Callable[[], Client]
    _stack: contextlib.ExitStack
    _client: Client | None = attrs.field(init=False, default=None)

    @property
    def address(self) -> object:
        """Where it listens."""
        return self.server.address

    @property
    def failures(self) -> list[Failure]:
        """What has gone wrong until now, such as a handler that raised: known before its client sees the end."""
        return self._failures.all()

    def connect(self) -> Client:
        """Return a new client, connected; it is closed at the end of the test, if not before."""
        client = self._connect()
        self._stack.callback(client.close)
        return client

    @property
    def client(self) -> Client:
        """The first client; connected when it is first asked for."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def ask(self, data: bytes) -> bytes:
        """By a new client: send *data* and the end, read all that is answered; or send and read one datagram."""
        with self.connect() as client:
            return client.ask(data)

    def stop(self) -> None:
        """
        Close the clients, let the requests in flight finish, stop the server. Again: no effect.

        Raises:
            BaseException: What `Server.serve_forever` has raised.
        """
        try:
            self._stack.close()
        finally:
            self._failures.close()


class Serving:
    r"""
    Serves handlers, for the time of a test. It is what the pytest fixture ``serve`` gives::

        def test_upper(serve: Serving) -> None:
            assert serve(Upper).ask(b"hello\n") == b"HELLO\n"

    Without pytest: call `finish` at the end.
    """

    def __init__(self) -> None:
        self._served: list[tuple[Served, bool]] = []

    def __call__(
        self,
        handler: AnyHandler,
        *,
        transport: AnyTransport | str | None = None,
        strategy: Strategy | str | None = None,
        fail: bool = True,
        grace: float = 5.0,
        limits: Limits = Limits(),  # noqa: B008 - a value
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - a value
        verify: Callable[[object, object], bool] | None = None,
        observer: Observer = log_events,
        watchdog: float | None = None,
        client_context: "ssl.SSLContext | None" = None,
    ) -> Served:
        """
        Serve *handler* until the end of the test.

        Args:
            handler: What answers.
            transport: How requests arrive: a transport, or a registered name, which listens on loopback or in a
                folder of its own ("tcp", "udp", "unix", "unix-datagram"), or "memory". None: "tcp", or "udp" for a
                handler of datagrams.
            strategy: Where they run: a strategy, or a registered name. None: "thread".
            fail: Whether the test fails if the handler raised. False for handlers that are to: see
                `Served.failures`.
            grace: Seconds that requests in flight have at the end of the test, when their input has ended.
            limits: As for `Server`.
            deadlines: As for `Server`.
            verify: As for `Server`.
            observer: As for `Server`.
            watchdog: Seconds after which it is a failure that somebody holds the thread that serves, told with the
                stack while it lasts: a handler under `SelectorStrategy` that waits for what does not park. None:
                nobody looks.
            client_context: By what clients of a `TlsTransport` secure their connection. None: by one that trusts
                every certificate.

        Raises:
            CompositionError: The parts do not fit together.
            OptionError: There is no transport or strategy of this name.
        """
        with contextlib.ExitStack() as stack:
            made = self._transport(transport, handler, stack)
            failures = Failures()
            stack.callback(failures.close)
            watcher = _Watcher(failures, observer)
            server = Server(
                made,
                _strategy(strategy),
                cast("Handler[object, object]", handler),
                limits=limits,
                deadlines=deadlines,
                verify=verify,
                observer=watcher,
            )
            # What still waits for its client then need not wait for the grace.
            watcher.drain = server._core.end_all_input
            stack.enter_context(server.running(grace))
            if watchdog is not None:
                dog = Watchdog(server, watchdog, functools.partial(failures.add_held, watchdog))
                dog.start()
                stack.callback(dog.stop)
            served = Served(
                server,
                failures,
                functools.partial(_client, server, client_context),
                stack.pop_all(),
            )
            self._served.append((served, fail))
            return served

    def _transport(
        self, given: AnyTransport | str | None, handler: object, stack: contextlib.ExitStack
    ) -> AnyTransport:
        if given is None:
            given = "udp" if serves_streams(handler) is False else "tcp"
        if not isinstance(given, str):
            return given
        if given == "memory":
            return MemoryTransport()
        if given in {"unix", "unix-datagram"}:
            folder = tempfile.mkdtemp(prefix="sockserve-")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            return make_transport(given, os.path.join(folder, "socket"))
        return make_transport(given, "127.0.0.1:0")

    def stop(self) -> list[Failure]:
        """
        Stop all servers; return what went wrong in those that are not to fail. Again: no more.

        Raises:
            BaseException: What `Server.serve_forever` has raised.
        """
        served, self._served = self._served, []
        found: list[Failure] = []
        with contextlib.ExitStack() as stack:
            for each, _ in served:
                stack.callback(each.stop)  # all are, whatever one of them raises
        for each, fail in served:
            found += each.failures if fail else []
        return found

    def finish(self) -> None:
        """
        Stop all servers, and fail if something went wrong in one.

        Raises:
            ServeFailed: It did.
        """
        failures = self.stop()
        if failures:
            raise ServeFailed(failures) from failures[0].error


def _strategy(given: Strategy | str | None) -> Strategy:
    if given is None:
        return ThreadStrategy()
    return make_strategy(given) if isinstance(given, str) else given


def _client(server: AnyServer, context: "ssl.SSLContext | None") -> Client:
    transport = server.transport
    sock = connect(server.address, stream=transport.stream)
    if isinstance(transport, TlsTransport):
        sock = _secured(sock, context)
    return Client(sock, transport.stream)


def _secured(sock: socket.socket, context: "ssl.SSLContext | None") -> socket.socket:
    import ssl  # noqa: PLC0415 - only who tests TLS is to load it

    if context is None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(sock, server_hostname="localhost" if context.check_hostname else None)
    except BaseException:
        sock.close()
        raise
