"""Deadlines of connections: idle and total, over every way to serve. (The handshake's are in test_tls.py.)"""

import contextlib
import mmap
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from kinds import MESSAGE_STRATEGIES, STRATEGIES, TRANSPORTS, EchoLines, EchoMessages, Kind, give_way, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    Chunks,
    Deadlines,
    MessageHandler,
    Server,
    StreamRequestHandler,
    _pulse,
    _pulse_tls,
    alongside,
)
from sockserve._loop import pollers
from sockserve._serving import timekeeping
from sockserve._table import stamping, tls
from sockserve._traffic import Traffic, traffic_of
from sockserve.abc import Strategy
from sockserve.events import ChildDied, DeadlinePassed, Finished
from sockserve.testing import Gate

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

KINDS = {kind.name: kind for kind in TRANSPORTS}

#: What can tell one way of keeping time from another: who knows of the waits (a socket, another process, a row
#: with a stack, one without), and who of the traffic (the system, or the socket).
CASES = (
    *(("sync", "tcp"), ("sync", "unix-stream")),
    *(("thread", "tcp"), ("thread", "unix-stream"), ("thread", "tls-tcp"), ("thread", "tls-unix")),
    *(("pool", "tcp"), ("fork", "tcp"), ("fork", "unix-stream"), ("fork", "tls-tcp")),
    *(("selector", "tcp"), ("selector", "unix-stream"), ("selector", "tls-tcp"), ("selector", "tls-unix")),
    *(("selector-level", "tcp"), ("messages", "tcp"), ("messages", "unix-stream"), ("messages", "tls-tcp")),
)

HOUR = 3600.0


class Clock:
    """The system's, which the test puts forward, for forked children too."""

    def __init__(self) -> None:
        self._ahead = memoryview(mmap.mmap(-1, 8)).cast("d")
        self._seen: dict[int, tuple[tuple[int, int], float]] = {}

    def __call__(self) -> float:
        return time.monotonic() + self._ahead[0]

    def advance(self, seconds: float) -> None:
        self._ahead[0] += seconds

    def traffic_of(self, sock: socket.socket) -> Traffic | None:
        """Ask the system, whose clock goes on as ever: what has not moved since the last time has got older."""
        told = traffic_of(sock)
        if told is None:
            return None
        moved = told.received, told.acknowledged
        known, ahead = self._seen.get(sock.fileno(), (None, 0.0))
        if moved != known:
            ahead = self._ahead[0]
            self._seen[sock.fileno()] = moved, ahead
        older = self._ahead[0] - ahead
        return attrs.evolve(
            told,
            since_received=told.since_received + older,
            since_sent=told.since_sent + older,
            since_acknowledged=told.since_acknowledged + older,
        )


@attrs.define(eq=False)
class Way:
    """One way to serve, and to talk to it, on a clock of its own."""

    strategy: Strategy
    kind: Kind
    folder: Path
    recorder: Recorder
    clock: Clock
    messages: bool

    @contextlib.contextmanager
    def serving(self, handler: Any = None, **deadlines: float) -> Iterator[Server[Any, Any]]:
        handler = handler or (EchoMessages if self.messages else EchoLines)
        with self.kind.transport(self.folder) as transport:
            made = Server(
                transport,
                self.strategy,
                handler,
                deadlines=Deadlines(**deadlines),
                observer=self.recorder,
            )
            made._life.loop.time = self.clock
            with made.running() as server:
                yield server

    def client(self, server: Server[Any, Any]) -> socket.socket:
        return self.kind.client(server.address, self.folder)

    def pass_time(
        self, server: Server[Any, Any], seconds: float, *, waits: bool = True, taken: bool = True
    ) -> None:
        """
        Put the clock forward, and wait until the server has looked at it; at first wait until each handler *waits*
        for its client, and that has *taken* everything.
        """
        timekeeper = server._core.timekeeper
        assert timekeeper is not None
        self._turned(server)
        self._look(server, waits=waits, taken=taken)
        self.clock.advance(seconds)
        self._turned(server)

    def _look(self, server: Server[Any, Any], *, waits: bool, taken: bool) -> None:
        """Know how far each connection has got."""
        assert server._core.timekeeper is not None
        for job in server._core.jobs():
            while waits and not _waits_to_read(*server._core.timekeeper._pulse_of(job)):
                give_way()
            while isinstance(job.request, socket.socket):
                told = self.clock.traffic_of(job.request)
                if not taken or told is None or not told.stalled:
                    break

    def wait_for_job(self, server: Server[Any, Any]) -> None:
        """Wait until a connection is in flight."""
        while not server._core.active:
            give_way()

    def _turned(self, server: Server[Any, Any]) -> None:
        """Wait until whoever keeps the time has seen what had come before."""
        assert server._core.timekeeper is not None
        watchman, seen = server._core.timekeeper._watchman, threading.Event()
        if watchman is not None:
            watchman.call_at(0.0, seen.set)
        else:
            server._life.loop.call_soon_threadsafe(seen.set)
        assert seen.wait(FAILSAFE)


def _waits_to_read(since: float, moved: float) -> bool:
    """Whether it has come to that: a write that is not quite over waits since it has begun."""
    return since not in (0.0, moved)


@pytest.fixture(params=CASES, ids="-".join)
def way(request: pytest.FixtureRequest, make_way: Callable[..., Way]) -> Way:
    """Each of `CASES`."""
    return make_way(*request.param)


@pytest.fixture
def make_way(
    folder: Path, recorder: Recorder, tls_relay: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Way]]:
    """Make one of them."""
    stack = contextlib.ExitStack()

    def made(name: str, kind: str) -> Way:
        clock = Clock()
        for module in (_pulse, _pulse_tls, stamping, tls):
            monkeypatch.setattr(module, "monotonic", clock)
        monkeypatch.setattr(timekeeping, "monotonic", clock)
        monkeypatch.setattr(timekeeping, "traffic_of", clock.traffic_of)
        if name == "selector-level":
            monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
        messages = name == "messages"
        if name == "executor":
            strategy: Strategy = MESSAGE_STRATEGIES["executor-threads"](stack)
        else:
            strategy = STRATEGIES["selector" if messages else name]()
        return Way(strategy, KINDS[kind], folder, recorder, clock, messages)

    with stack:
        yield made


def test_a_silent_client_is_shown_out(way: Way) -> None:
    """
    After a request that was answered, and in the middle of one; the handler comes to its end, the event tells, and
    it counts as a client that has gone.
    """
    for last_words in (b"", b"half a li"):
        with way.serving(idle=HOUR) as server, way.client(server) as client:
            client.sendall(b"x\n" + last_words)
            assert receive(client, 2) == b"x\n"
            way.pass_time(server, HOUR)
            assert client.recv(10) == b""
            event = way.recorder.wait_for(DeadlinePassed)
            assert (event["deadline"], event["seconds"], event["ended"]) == ("idle", HOUR, True)
            assert way.recorder.wait_for(Finished)["ok"]
        assert (server.stats.finished, server.stats.failed) == (1, 0)


def test_a_client_that_was_silent_for_less_stays(way: Way) -> None:
    """Its deadline counts from its last word, not from a look at it."""
    with way.serving(idle=HOUR) as server, way.client(server) as client:
        for _ in range(3):
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
            way.pass_time(server, HOUR / 2)


def test_a_client_that_talks_is_shown_out_in_the_end(way: Way) -> None:
    """However much it has to say: the total deadline is that of a life."""
    with way.serving(idle=HOUR, total=2 * HOUR) as server, way.client(server) as client:
        for _ in range(3):
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
            way.pass_time(server, HOUR * 0.6)
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        way.pass_time(server, HOUR * 0.6)
        assert client.recv(2) == b""
        event = way.recorder.wait_for(DeadlinePassed)
        assert (event["deadline"], event["seconds"]) == ("total", 2 * HOUR)
    assert (server.stats.active, server.stats.failed) == (0, 0)


class Slow(StreamRequestHandler):
    """Has to do with something else, for as long as the test wants, in the middle of a reply."""

    gate: Gate

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"first, ")
        self.gate.reached()
        self.gate.wait()
        self.wfile.write(b"second\n")


@pytest.mark.parametrize(("name", "kind"), [each for each in CASES if each[0] not in {"sync", "messages"}])
def test_a_reply_in_progress_is_no_silence(name: str, kind: str, make_way: Callable[..., Way], gate: Gate) -> None:
    """It is the server that is waited for, however long it needs."""
    way = make_way(name, kind)
    handler = type("Slow", (Slow,), {"gate": gate})
    with way.serving(handler, idle=HOUR) as server, way.client(server) as client:
        client.sendall(b"x\n")
        gate.wait_until_reached()
        for _ in range(3):
            way.pass_time(server, HOUR, waits=False)
        gate.open()
        assert receive(client, 14) == b"first, second\n"


class Flood(StreamRequestHandler):
    """Sends without an end."""

    def handle(self) -> None:
        self.rfile.readline()
        while True:
            self.wfile.write(bytes(1_000_000))


class FloodMessages(MessageHandler):
    """The same."""

    framing = Chunks()

    def respond(self, message: bytes) -> Iterator[bytes]:
        while True:
            yield bytes(1_000_000)


@pytest.mark.parametrize(("name", "kind"), [each for each in CASES if each[1] in {"tcp", "unix-stream"}])
def test_a_client_that_takes_nothing_is_shown_out(name: str, kind: str, make_way: Callable[..., Way]) -> None:
    """It is as silent as one that says nothing; what it has not taken is lost."""
    way = make_way(name, kind)
    handler = FloodMessages if way.messages else Flood
    with way.serving(handler, idle=HOUR) as server, way.client(server) as client:
        client.sendall(b"x\n")
        assert client.recv(1)
        way.pass_time(server, HOUR, waits=False, taken=False)
        while "DeadlinePassed" not in way.recorder.so_far():  # its system takes some, until its buffers are full
            way.pass_time(server, HOUR, waits=False, taken=False)
        while server.stats.active:
            give_way()
        with contextlib.suppress(ConnectionError):
            while client.recv(1 << 20):
                pass
    assert server.stats.failed == 0


def test_a_handshake_that_is_not_gone_on_with_is_silence(make_way: Callable[..., Way]) -> None:
    """Where the idle deadline is the shorter one: in a thread as in the table."""
    for name in ("thread", "selector"):
        way = make_way(name, "tls-tcp")
        with way.serving(idle=HOUR, handshake=2 * HOUR) as server, socket.create_connection(server.address) as raw:
            raw.settimeout(FAILSAFE)
            way.wait_for_job(server)
            way.pass_time(server, HOUR)
            assert raw.recv(1) == b""
            assert way.recorder.wait_for(DeadlinePassed)["deadline"] == "idle"
        assert server.stats.failed == 0


def test_what_others_send_it_keeps_a_connection(make_way: Callable[..., Way], gate: Gate) -> None:
    """A client that only listens is not silent while there is something to hear: from another thread or row."""

    class Relay(StreamRequestHandler):
        def handle(self) -> None:
            with alongside(self.push):
                self.request.recv(1)
                gate.open()

        def push(self) -> None:
            for _ in range(3):
                gate.wait()
                self.request.sendall(b"!")

    for name, kind in (
        ("thread", "tcp"),
        ("thread", "unix-stream"),
        ("selector", "tcp"),
        ("selector", "unix-stream"),
    ):
        way = make_way(name, kind)
        with way.serving(Relay, idle=HOUR) as server, way.client(server) as client:
            way.wait_for_job(server)
            for _ in range(2):
                way.pass_time(server, 0.9 * HOUR)
                gate.open()
                assert client.recv(1) == b"!"
            way.pass_time(server, 0.9 * HOUR)
            client.sendall(b".")
            assert client.recv(1) == b"!"
            assert "DeadlinePassed" not in way.recorder.so_far()


def test_messages_that_nobody_asked_for_keep_a_connection(make_way: Callable[..., Way]) -> None:
    """`send` from another thread, to a row without a stack."""
    handlers: list[EchoMessages] = []

    class Told(EchoMessages):
        def connected(self) -> None:
            handlers.append(self)

    for kind in ("tcp", "unix-stream"):
        way = make_way("selector", kind)
        with way.serving(Told, idle=HOUR) as server, way.client(server) as client:
            way.wait_for_job(server)
            for _ in range(3):
                way.pass_time(server, 0.9 * HOUR)
                assert handlers[-1].send(b"news")
                assert receive(client, 5) == b"news\n"
            way.pass_time(server, HOUR)
            assert client.recv(1) == b""


def test_a_child_that_does_not_listen_is_killed(make_way: Callable[..., Way], gate: Gate) -> None:
    """Its connection has to end within its total; a second later so has the process."""

    def deaf(request: Any, address: Any, server: Any) -> None:
        gate.reached()
        while True:
            gate.wait()

    way = make_way("fork", "tcp")
    with way.serving(deaf, total=HOUR) as server, way.client(server) as client:
        gate.wait_until_reached()
        way.pass_time(server, HOUR, waits=False)
        assert client.recv(1) == b""
        way.pass_time(server, timekeeping.LAST_RESORT, waits=False)
        assert way.recorder.wait_for(ChildDied)["status"] == -9
    assert server.stats.failed == 1


def test_a_connection_that_a_handler_has_taken_away_is_told_of(make_way: Callable[..., Way], gate: Gate) -> None:
    """There is nothing to end any more; the handler goes on."""
    taken: list[socket.socket] = []

    def handler(request: Any, address: Any, server: Any) -> None:
        taken.append(socket.socket(fileno=request.detach()))
        gate.reached()
        gate.wait()

    way = make_way("thread", "tcp")
    with way.serving(handler, total=HOUR) as server, way.client(server) as client:
        gate.wait_until_reached()
        way.pass_time(server, HOUR, waits=False)
        assert way.recorder.wait_for(DeadlinePassed)["ended"] is False
        with taken.pop() as mine:
            mine.sendall(b"!")
        assert client.recv(10) == b"!"
        gate.open()
    assert (server.stats.finished, server.stats.failed) == (1, 0)


def test_connections_of_an_earlier_time_of_serving_have_their_deadlines(make_way: Callable[..., Way]) -> None:
    """They are looked at when there is a loop again."""
    way = make_way("thread", "tcp")
    with contextlib.ExitStack() as stack:
        server = Server(
            stack.enter_context(way.kind.transport(way.folder)),
            STRATEGIES["thread"](),
            EchoLines,
            deadlines=Deadlines(idle=HOUR),
            observer=way.recorder,
        )
        server._life.loop.time = way.clock
        stack.enter_context(server)
        clients = [stack.enter_context(way.client(server)) for _ in range(2)]
        for number, client in enumerate(clients):  # the first one has been looked at by then, the other has not
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
            way.pass_time(server, HOUR * 0.6)
            clients[0].sendall(b"y\n" if number == 0 else b"z\n")
            assert receive(clients[0], 2) in {b"y\n", b"z\n"}
            server.shutdown()
            thread.join(FAILSAFE)
        way._look(server, waits=True, taken=True)
        way.clock.advance(2 * HOUR)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert [client.recv(1) for client in clients] == [b"", b""]
        server.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_while_an_executor_answers_nobody_waits_for_the_client(make_way: Callable[..., Way], gate: Gate) -> None:
    """Before and after that the client is as silent as elsewhere."""

    class Asked(EchoMessages):
        def respond(self, message: bytes) -> bytes:
            gate.reached()
            gate.wait()
            return message

    way = make_way("executor", "tcp")
    with way.serving(Asked, idle=HOUR) as server, way.client(server) as client:
        client.sendall(b"x\n")
        gate.wait_until_reached()
        for _ in range(3):
            way.pass_time(server, HOUR, waits=False)
        gate.open()
        assert receive(client, 2) == b"x\n"
        way.pass_time(server, HOUR)
        assert client.recv(1) == b""
        assert way.recorder.wait_for(DeadlinePassed)["deadline"] == "idle"
