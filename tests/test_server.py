"""A server's life, its observers, its callbacks: what is not a matter of transport or strategy."""

import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import sockserve
from kinds import EchoLines, echo, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    ForkStrategy,
    LogEvents,
    Server,
    ServerStateError,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
    events,
    log_events,
)
from sockserve._loop import pollers
from sockserve._serving import lifecycle
from sockserve.abc import Core, Listener, Loop, Runner, Strategy, Transport
from sockserve.events import Accepted, Event, Finished, HandlerFailed, NotStarted, RequestsAbandoned
from sockserve.observers import _ROWS, Emitter, text_of
from sockserve.strategies import _children

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


def _serve(server: Server[Any, Any]) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return thread


def test_composing_opens_nothing() -> None:
    """No descriptor, no thread before `with`."""
    before = os.listdir("/proc/self/fd")
    server = Server(TCP, ThreadStrategy(), echo)
    assert os.listdir("/proc/self/fd") == before
    assert "TcpTransport" in repr(server)
    assert server.transport is TCP
    with pytest.raises(AttributeError):
        server.handler = print


def test_the_states_of_a_server() -> None:
    """New, listening, served, listening, closed: each call at the wrong moment says so."""
    server = Server(TCP, SyncStrategy(), echo)
    for look in (server.fileno, lambda: server.address):
        with pytest.raises(ServerStateError, match="does not listen yet"):
            look()
    server.request_stop()
    server.shutdown()  # of a new server: no effect, and not kept
    server.listen()
    server.listen()
    assert server.fileno() >= 0
    thread = _serve(server)
    with socket.create_connection(server.address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        with pytest.raises(ServerStateError, match="served already"):
            server.serve_forever()
        with pytest.raises(ServerStateError, match="served already"):
            sockserve.serve(server)
    server.server_close()  # leaves serve_forever first
    thread.join(FAILSAFE)
    server.server_close()
    server.shutdown()
    for call in (server.listen, server.serve_forever, server.handle_request, server.fileno):
        with pytest.raises(ServerStateError, match="is closed"):
            call()


def test_closing_a_server_that_was_never_opened() -> None:
    """Closed is final, whatever was before."""
    server = Server(TCP, SyncStrategy(), echo)
    server.server_close()
    with pytest.raises(ServerStateError, match="compose another"):
        server.listen()


@pytest.mark.parametrize("where", ["handler", "verify", "service_actions"])
@pytest.mark.parametrize("strategy", [SyncStrategy(), ThreadStrategy(), ThreadPoolStrategy()], ids=str)
def test_a_server_may_be_closed_from_within(where: str, strategy: Strategy) -> None:
    """By its handler or a callback in the loop's thread: serve_forever leaves, nothing hangs."""
    if where == "service_actions" and isinstance(strategy, SyncStrategy):
        strategy = SyncStrategy()

    def close(*_: object) -> bool:
        server.server_close()
        return True

    def handler(request: socket.socket, address: object, server: object) -> None:
        request.recv(1)
        if where == "handler":
            close()

    server = Server(
        TCP,
        strategy,
        handler,
        verify=close if where == "verify" else None,
        service_actions=close if where == "service_actions" else None,
        observer=lambda event: None,
    )
    server.listen()
    address = server.address
    thread = _serve(server)
    with socket.create_connection(address) as client:
        client.settimeout(FAILSAFE)
        try:
            client.sendall(b"x")
            client.recv(1)
        except OSError:
            pass  # closed while we were in the queue
        thread.join(FAILSAFE)
        assert not thread.is_alive()
    server.server_close()
    for other in threading.enumerate():
        if other.name.startswith("sockserve"):  # the one that closed, and could not wait for itself
            other.join(FAILSAFE)


def test_a_stop_in_many_threads_is_one_stop() -> None:
    """Any number of shutdowns returns; the server then serves again."""
    with Server(TCP, SyncStrategy(), echo) as server:
        thread = _serve(server)
        with socket.create_connection(server.address) as client:
            client.sendall(b"x")
            client.recv(1)
        stops = [threading.Thread(target=server.shutdown) for _ in range(8)]
        for stop in stops:
            stop.start()
        for stop in (*stops, thread):
            stop.join(FAILSAFE)
            assert not stop.is_alive()


def test_a_stop_is_never_lost() -> None:
    """Whether shutdown() comes before, while or after serve_forever begins, it ends that time of serving."""
    for _ in range(200):
        with Server(TCP, SyncStrategy(), echo) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            server.shutdown()
            thread.join(FAILSAFE)
            assert not thread.is_alive()


def test_an_earlier_stop_at_once_is_not_softened() -> None:
    """Of several wishes for a period the strictest counts, in whatever order they came."""
    for graces, strictest in (
        ((None, 100.0), None),
        ((100.0, None, 50.0), None),
        ((100.0, 0.0), 0.0),
        ((0.0, 100.0), 0.0),
        ((100.0, 50.0, 70.0), 50.0),
    ):
        with Server(TCP, SyncStrategy(), echo) as server:
            for grace in graces:
                server.request_stop(grace)
            wish = server._life._wishes.strictest(0)
            assert wish is not None
            assert wish.grace == strictest
            assert server._life._wishes.strictest(1) is None
            server.serve_forever()
            assert not server._life._wishes._kept


def test_wishes_for_a_stop_do_not_pile_up() -> None:
    """Of those that ask for the same the first counts."""
    with Server(TcpTransport(("127.0.0.1", 0)), SyncStrategy(), print) as server:
        for _ in range(100):
            server.request_stop(5.0)
            server.request_stop()
        assert len(server._life._wishes._kept) == 2
        server.serve_forever()


@pytest.mark.parametrize("strategy", [ThreadStrategy(), ThreadPoolStrategy(), ForkStrategy()], ids=repr)
def test_a_handler_that_is_aborted_has_not_failed(strategy: Strategy, recorder: Recorder) -> None:
    """Its client reads nothing; when the grace is over its writes end, by our doing."""

    def handler(request: socket.socket, client_address: object, server: object) -> None:
        recorder(Accepted(server_address=None, client_address=client_address))
        while True:
            request.sendall(bytes(65536))

    server = Server(TcpTransport(("127.0.0.1", 0)), strategy, handler, observer=recorder)
    with server.running(grace=0.05), socket.create_connection(server.address):
        recorder.wait_for(Accepted)
        recorder.wait_for(Accepted)
        server.shutdown(0.05)
    names = recorder.so_far()
    assert "PeerGone" in names
    assert "HandlerFailed" not in names
    assert server.stats.failed == 0


def test_shutdown_is_bounded_when_a_handler_holds_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under SyncStrategy the caller of shutdown(grace) ends the handler's waiting itself, or leaves it."""
    monkeypatch.setattr(lifecycle, "LAST_WAIT", 0.05)
    release = threading.Event()

    def stubborn(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"x")
        release.wait(FAILSAFE)

    server = Server(TCP, SyncStrategy(), stubborn)
    server.listen()
    thread = _serve(server)
    with socket.create_connection(server.address) as client:
        client.recv(1)
        server.shutdown(grace=0.01)
        assert thread.is_alive()
        server.server_close()  # bounded too: the grace has expired
        release.set()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_handlers_that_do_not_end_are_abandoned(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """server_close after an expired grace waits a bounded time, and says what is left."""
    monkeypatch.setattr(lifecycle, "LAST_WAIT", 0.05)
    release = threading.Event()

    def stubborn(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"x")
        release.wait(FAILSAFE)

    for strategy in (ThreadStrategy(), ThreadPoolStrategy()):
        with Server(TCP, strategy, stubborn, observer=recorder).running(grace=0.01) as server:
            with socket.create_connection(server.address) as client:
                client.recv(1)
                server.shutdown(grace=0.01)
        assert recorder.wait_for(RequestsAbandoned)["active"] == 1
        release.set()
        recorder.wait_for(Finished)
        for thread in threading.enumerate():
            if thread.name.startswith("sockserve"):
                thread.join(FAILSAFE)
        release.clear()


def test_a_forked_handler_that_does_not_end_is_killed(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends its input; what ignores that is killed in the end, and reaped."""
    monkeypatch.setattr(lifecycle, "LAST_WAIT", 0.05)

    def stubborn(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"x")
        while True:
            threading.Event().wait(FAILSAFE)

    with Server(TCP, ForkStrategy(), stubborn, observer=recorder).running(grace=0.01) as server:
        with socket.create_connection(server.address) as client:
            client.recv(1)
    assert recorder.wait_for(events.ChildDied)["status"] == -9
    assert server.stats.failed == 1


def test_running_raises_what_the_thread_died_of() -> None:
    """An error of service_actions ends serve_forever, and reaches who waits."""

    def fail() -> None:
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        with Server(TCP, SyncStrategy(), echo, service_actions=fail).running() as server:
            with socket.create_connection(server.address) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"


def test_running_without_a_thread_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread to be had: the error is raised, and nothing stays open."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    server = Server(TCP, SyncStrategy(), echo)
    with pytest.raises(RuntimeError, match="can't start"), server.running():
        pass
    with pytest.raises(ServerStateError, match="closed"):
        server.fileno()


def test_service_actions_after_each_batch_and_at_its_cadence() -> None:
    """Called in the loop's thread, with no request at all too."""
    called, names = threading.Semaphore(0), set()

    def act() -> None:
        names.add(threading.current_thread().name)
        called.release()

    with Server(TCP, SyncStrategy(), echo, service_actions=act) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.001,), name="loop")
        thread.start()
        for _ in range(5):
            assert called.acquire(timeout=FAILSAFE)
        server.shutdown()
        thread.join()
    assert names == {"loop"}
    called = threading.Semaphore(0)
    with Server(TCP, SyncStrategy(), echo, service_actions=called.release) as server:
        with socket.create_connection(server.address) as client:
            client.shutdown(socket.SHUT_WR)
            server.handle_request()
        assert called.acquire(blocking=False)


def test_handle_request_waits_as_long_as_told() -> None:
    """timeout=0 does not wait; None waits until somebody comes or a stop is asked for."""
    with Server(TCP, SyncStrategy(), echo, timeout=0.0) as server:
        assert server.handle_request() is False
        server.timeout = 0.01
        assert server.handle_request() is False
        server.timeout = None
        stopper = threading.Thread(target=server.shutdown)
        stopper.start()
        assert server.handle_request() is False
        stopper.join()


def test_an_idle_server_waits_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Composed, served and idle: one wait with no end, and no other system call."""
    waits: list[float | None] = []

    class Watched(pollers.SelectorsPoller):
        def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
            waits.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr(pollers, "default_poller", Watched)
    for strategy in (SyncStrategy(), ThreadStrategy(), ThreadPoolStrategy(), ForkStrategy()):
        with Server(TCP, strategy, EchoLines, observer=lambda event: None).running() as server:
            with socket.create_connection(server.address) as client:
                client.sendall(b"x\n")
                client.shutdown(socket.SHUT_WR)
                assert receive(client, 3) == b"x\n"
            assert set(waits) == {None}
        waits.clear()  # a drain has an end


@pytest.mark.parametrize(
    "strategy", [SyncStrategy(), ThreadStrategy(), ThreadPoolStrategy(), ForkStrategy()], ids=str
)
def test_the_portable_poller_serves_as_well(strategy: Strategy, monkeypatch: pytest.MonkeyPatch) -> None:
    """selectors.DefaultSelector in place of epoll."""
    monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
    for transport in (TCP, UdpTransport(("127.0.0.1", 0))):
        with Server(transport, strategy, echo, observer=lambda event: None).running() as server:
            kind = socket.SOCK_STREAM if transport is TCP else socket.SOCK_DGRAM
            with socket.socket(socket.AF_INET, kind) as client:
                client.connect(server.address)
                client.send(b"x")
                assert client.recv(1) == b"x"
                if kind == socket.SOCK_STREAM:
                    client.shutdown(socket.SHUT_RDWR)


def test_a_strategy_that_cannot_start_a_request(recorder: Recorder) -> None:
    """The client is closed, the event says why, the next one is served."""
    with Server(TCP, ThreadStrategy(), echo, observer=recorder).running() as server:
        real = threading.Thread.start
        try:
            threading.Thread.start = _fail_to_start  # type: ignore[method-assign]
            with socket.create_connection(server.address, timeout=FAILSAFE) as client:
                assert client.recv(1) == b""
            assert "on purpose" in recorder.wait_for(NotStarted)["error"]
        finally:
            threading.Thread.start = real  # type: ignore[method-assign]
        with socket.create_connection(server.address) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    assert (server.stats.failed, server.stats.finished) == (1, 1)


def _fail_to_start(self: threading.Thread) -> None:
    raise RuntimeError("on purpose")


# Observers.


def test_an_observer_that_fails_is_logged_once_and_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """Its exceptions never reach the server."""

    def observer(event: Event) -> None:
        raise LookupError("on purpose")

    with Server(TCP, SyncStrategy(), echo, observer=observer).running() as server:
        with socket.create_connection(server.address) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    assert [record.message for record in caplog.records if "observer" in record.message]
    assert len(caplog.records) == 1


def test_an_event_that_nobody_wants_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wants` is asked first."""
    seen = []

    class Picky:
        def wants(self, kind: type[Event]) -> bool:
            return kind is Accepted

        def __call__(self, event: Event) -> None:
            seen.append(event)

    monkeypatch.setattr("sockserve._serving.core.Finished", None)  # making one would be a TypeError
    with Server(TCP, SyncStrategy(), echo, observer=Picky()).running() as server:
        with socket.create_connection(server.address) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    assert [type(event) for event in seen] == [Accepted]


def test_every_event_has_a_row_in_the_log() -> None:
    """A new event cannot be forgotten: its level and its text, which can be written."""
    public = {getattr(events, name) for name in events.__all__} - {Event}
    assert set(_ROWS) == public
    for kind in public:
        record = kind(**{field.name: 1 for field in kind.__attrs_attrs__})
        assert text_of(record)


def test_the_default_observer_logs_at_fitting_levels(caplog: pytest.LogCaptureFixture) -> None:
    """A handler's bug is an error with its traceback; a request is a detail, shown when asked for."""
    caplog.set_level(logging.DEBUG, "sockserve")

    def handler(request: socket.socket, address: object, server: object) -> None:
        raise LookupError("on purpose")

    with Server(TCP, SyncStrategy(), handler) as server, socket.create_connection(server.address):
        server.handle_request()
    levels = {record.message.split(" ")[0]: record.levelname for record in caplog.records}
    assert levels["accepted"] == levels["finished"] == "DEBUG"
    assert levels["listening"] == levels["closed"] == "INFO"
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.exc_info
    assert error.exc_info[0] is LookupError
    assert "handler" in error.message


def test_the_default_observer_wants_what_its_logger_lets_through() -> None:
    """And knows events of others."""
    logger = logging.getLogger("sockserve.test")
    logger.setLevel(logging.WARNING)
    observer = LogEvents(logger.name)
    assert not observer.wants(Accepted)
    assert observer.wants(HandlerFailed)
    assert not observer.wants(Event)
    assert Emitter(print).wants(Event)
    assert log_events.name == "sockserve"


_WITHOUT_LOGGING = """
import sys
from sockserve import log_events
from sockserve.events import Accepted, HandlerFailed
assert "logging" not in sys.modules
assert log_events.wants(HandlerFailed) and not log_events.wants(Accepted)
failed = HandlerFailed(server_address="s", client_address="c", handler="h", error=LookupError("found"))
log_events(failed)
print("--", file=sys.stderr)
import logging
log_events(failed)
"""


def test_where_logging_is_not_imported_the_same_is_written() -> None:
    """The default observer wants what an untouched logger lets through, and writes what that does."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT_LOGGING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    without, with_logging = done.stderr.split("--\n")
    assert without == with_logging
    assert without.splitlines() == ["h failed for c: LookupError('found')", "LookupError: found"]


# The interfaces: a type checker's question, asked at run time as well for those who have none.


def test_the_parts_implement_their_interfaces() -> None:
    """Every name of each protocol is there."""
    wanted: dict[type, Callable[[], object]] = {
        Transport: lambda: TCP,
        Strategy: SyncStrategy,
        Listener: lambda: server._life.listener(),
        Core: lambda: server._core,
        Loop: lambda: server._life.loop,
        Runner: lambda: SyncStrategy().start(server._life.loop, server._core),
    }
    with Server(TCP, SyncStrategy(), echo) as server:
        for protocol, make in wanted.items():
            names = {name for name in vars(protocol) if not name.startswith("_")}
            assert names <= set(dir(make())), protocol


def test_a_server_that_is_dropped_says_so() -> None:
    """Python's own ResourceWarning of the listening socket: nothing hides it."""
    server = Server(TCP, SyncStrategy(), echo)
    server.listen()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del server
        import gc

        gc.collect()
    assert [w.category for w in caught] == [ResourceWarning]


def test_a_server_made_before_a_fork_serves_in_the_child() -> None:
    """Prefork by hand: nothing that the loop needs is shared."""
    with Server(TCP, ThreadPoolStrategy(), echo) as server:
        with socket.create_connection(server.address) as client:
            client.shutdown(socket.SHUT_WR)
            server.handle_request()  # the parent's pool has a thread now, which the child lacks
        pid = os.fork()
        if pid == 0:
            try:
                server.handle_request()
                server._life.work.runner.close(None)  # type: ignore[union-attr]
            finally:
                os._exit(0)
        with socket.create_connection(server.address, timeout=FAILSAFE) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            client.shutdown(socket.SHUT_WR)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("strategy", [ThreadStrategy(), ThreadPoolStrategy(), ForkStrategy()], ids=repr)
def test_serving_on_another_loop_keeps_what_is_in_flight(strategy: Strategy) -> None:
    """serve() after serve_forever() is on another loop; what is in flight moves there."""
    with Server(TCP, strategy, EchoLines) as server:
        with socket.create_connection(server.address) as first, socket.create_connection(server.address) as second:
            for client, serve in ((first, server.serve_forever), (second, lambda: sockserve.serve(server))):
                thread = threading.Thread(target=serve)
                thread.start()
                client.sendall(b"x\n")
                assert receive(client, 2) == b"x\n"
                server.shutdown()
                thread.join(FAILSAFE)
            first.sendall(b"y\n")
            assert receive(first, 2) == b"y\n"
    assert server.stats.finished == 2


@pytest.mark.parametrize("way", ["pidfd", "pipe"])
def test_a_child_is_noticed_by_the_loop_that_serves_next(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as active until its end, which a drain then waits for, and no longer."""
    if way == "pipe":
        monkeypatch.setattr(_children, "has_pidfd", lambda: False)
    other = Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), print)
    with other, Server(TCP, ForkStrategy(), EchoLines) as server:
        both = threading.Thread(target=sockserve.serve, args=(server, other))
        both.start()
        with socket.create_connection(server.address) as client:
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
            for each in (server, other):
                each.shutdown()
            both.join(FAILSAFE)
            assert server.stats.active == 1
            alone = threading.Thread(target=server.serve_forever)
            alone.start()
            client.shutdown(socket.SHUT_WR)  # not just closed: the child has a copy
            server.shutdown(FAILSAFE)
        alone.join(FAILSAFE)
        assert server.stats.active == 0


def test_serve_leaves_nothing_begun_when_one_cannot_be_served() -> None:
    """A server that is given twice is an error; the first is left, and can be served."""
    with Server(TCP, SyncStrategy(), echo) as server:
        with pytest.raises(ServerStateError, match="served already"):
            sockserve.serve(server, server)
        server.request_stop()
        server.serve_forever()
