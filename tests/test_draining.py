"""Draining: who waits for nothing but a next request is let go at once, the others when theirs is answered."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fakes import FakeClock
from kinds import MESSAGE_STRATEGIES, STRATEGIES, TRANSPORTS, EchoLines, EchoMessages, Kind, give_way, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    Chunks,
    Deadlines,
    Delimited,
    LengthPrefixed,
    Lines,
    MessageHandler,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    _silence,
)
from sockserve._silence import NEW, QUIET, Silence
from sockserve._traffic import Traffic, traffic_of
from sockserve.abc import Framing, PartialDecoder
from sockserve.events import Drained
from sockserve.testing import Gate
from table_kit import unix_pair
from tls_kit import NAME, client_context, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

KINDS = {kind.name: kind for kind in TRANSPORTS}
HOUR = 3600.0

#: Who knows whether a client is silent: the kernel of TCP, a child of its own connection, a row of its messages;
#: and over Unix sockets nobody but a row of messages.
CASES = (
    *(("sync", "tcp"), ("thread", "tcp"), ("thread", "unix-stream"), ("thread", "tls-tcp"), ("pool", "tcp")),
    *(("fork", "tcp"), ("fork", "unix-stream"), ("fork", "tls-tcp")),
    *(("selector", "tcp"), ("selector", "unix-stream"), ("selector", "tls-tcp"), ("selector-level", "tcp")),
    *(("messages", "tcp"), ("messages", "unix-stream"), ("executor", "tcp")),
)
#: Where it is known how a client stands without waiting whether something comes.
EXACT = [(name, kind) for name, kind in CASES if kind != "unix-stream" or name == "messages"]


@attrs.define(eq=False)
class Way:
    """One way to serve, and to talk to it."""

    name: str
    kind: Kind
    folder: Path
    recorder: Recorder
    stack: contextlib.ExitStack

    def server(self, handler: Any = None, **options: Any) -> Server[Any, Any]:
        messages = self.name in {"messages", "executor"}
        if self.name == "executor":
            strategy = MESSAGE_STRATEGIES["executor-threads"](self.stack)
        else:
            strategy = STRATEGIES["selector" if messages else self.name]()
        transport = self.stack.enter_context(self.kind.transport(self.folder))
        handler = handler or (EchoMessages if messages else EchoLines)
        made: Server[Any, Any] = Server(transport, strategy, handler, observer=self.recorder, **options)
        return self.stack.enter_context(made)

    def begin(
        self, handler: Any = None, **options: Any
    ) -> tuple[Server[Any, Any], threading.Thread, socket.socket]:
        """Serve, with a client."""
        server = self.server(handler, **options)
        return server, self.serve(server), self.client(server)

    def serve(self, server: Server[Any, Any]) -> threading.Thread:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        return thread

    def client(self, server: Server[Any, Any]) -> socket.socket:
        return self.stack.enter_context(self.kind.client(server.address, self.folder))


@pytest.fixture
def make_way(folder: Path, recorder: Recorder, tls_relay: None) -> Iterator[Callable[[str, str], Way]]:
    """Make one of `CASES`."""
    with contextlib.ExitStack() as stack:
        yield lambda name, kind: Way(name, KINDS[kind], folder, recorder, stack)


def ask(client: socket.socket) -> None:
    client.sendall(b"x\n")
    assert receive(client, 2) == b"x\n"


#: Seconds, more than one of the kernel's ticks.
TICK = 0.02


def tick(server: Server[Any, Any], seconds: float = TICK) -> None:
    """Let the kernel's clock go on, so that what follows is not at the same time as what was before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        give_way()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_who_waits_for_a_next_request_is_let_go_at_once(
    name: str, kind: str, make_way: Callable[[str, str], Way]
) -> None:
    """However long the grace."""
    way = make_way(name, kind)
    server, thread, client = way.begin()
    ask(client)
    server.shutdown(grace=HOUR)
    thread.join(FAILSAFE)
    assert not thread.is_alive()
    assert client.recv(10) == b""
    assert way.recorder.wait_for(Drained)["aborted"] == 0
    assert (server.stats.finished, server.stats.failed) == (1, 0)


class Slow(StreamRequestHandler):
    """Needs its time for a reply."""

    gate: Gate

    def handle(self) -> None:
        for line in self.rfile:
            self.gate.pass_through()
            self.wfile.write(line)


@pytest.mark.parametrize(("name", "kind"), [each for each in CASES if each[0] not in {"messages", "executor"}])
def test_a_request_at_hand_is_answered_and_then_it_is_over(
    name: str, kind: str, make_way: Callable[[str, str], Way], gate: Gate
) -> None:
    """The connection does not wait for another one."""
    way = make_way(name, kind)
    server, thread, client = way.begin(type("Slow", (Slow,), {"gate": gate}))
    client.sendall(b"x\n")
    gate.wait_until_reached()
    stopper = threading.Thread(target=server.shutdown, args=(HOUR,))
    stopper.start()
    gate.open()
    assert receive(client, 2) == b"x\n"
    assert client.recv(10) == b""
    stopper.join(FAILSAFE)
    thread.join(FAILSAFE)
    assert not thread.is_alive()


@pytest.mark.parametrize(("name", "kind"), [each for each in EXACT if each[0] != "sync"])
def test_a_request_that_has_begun_to_come_may_come(
    name: str, kind: str, make_way: Callable[[str, str], Way]
) -> None:
    """And is answered; then it is over."""
    way = make_way(name, kind)
    server, thread, client = way.begin()
    ask(client)
    tick(server)
    client.sendall(b"half a ")
    tick(server)
    server.request_stop(grace=HOUR)
    tick(server)
    tick(server)
    client.sendall(b"line\n")
    assert receive(client, 12) == b"half a line\n"
    assert client.recv(10) == b""
    thread.join(FAILSAFE)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("name", "kind"), [each for each in EXACT if each[0] != "sync" and each[1] != "unix-stream"]
)
def test_whoever_has_just_come_may_ask(name: str, kind: str, make_way: Callable[[str, str], Way]) -> None:
    """Its request may be on its way: a restart loses none. A handshake is no request."""
    way = make_way(name, kind)
    server, thread, client = way.begin()
    while not server.stats.active:
        give_way()
    server.request_stop(grace=HOUR)
    tick(server)
    tick(server)
    ask(client)
    assert client.recv(10) == b""
    thread.join(FAILSAFE)
    assert not thread.is_alive()


def test_a_drain_may_be_asked_of_a_loop_that_a_request_holds(recorder: Recorder) -> None:
    """By a signal handler, in the same thread: who is silent then holds it no longer."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: server.request_stop(HOUR))

    def talk() -> None:
        with socket.create_connection(server.address, FAILSAFE) as client:
            ask(client)
            tick(server, QUIET)
            heard.append(_end_of(client))

    def _end_of(client: socket.socket) -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        return client.recv(1)

    heard: list[bytes] = []
    try:
        with Server(TcpTransport(("127.0.0.1", 0)), SyncStrategy(), EchoLines, observer=recorder) as server:
            thread = threading.Thread(target=talk)
            thread.start()
            server.serve_forever()
            thread.join(FAILSAFE)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [b""]


def test_when_it_is_over_children_are_told_to_end_whatever_they_do(
    make_way: Callable[[str, str], Way], gate: Gate
) -> None:
    """What draining asks of them, an end that is not to wait demands."""
    way = make_way("fork", "tcp")
    server, thread, client = way.begin()
    ask(client)
    tick(server)
    client.sendall(b"half a ")
    server.request_stop(grace=HOUR)
    server.request_stop()  # after all
    thread.join(FAILSAFE)
    server.server_close()
    assert client.makefile("rb").read() == b"half a "


# What is told from what.


@attrs.define(eq=False)
class Connection:
    """A connection, as far as it matters here."""

    request: object
    greeted: tuple[int, int] | None = (0, 0)


def _told(**what: Any) -> Traffic:
    known = Traffic(
        received=10,
        segments=1,
        acknowledged=0,
        stalled=False,
        since_received=2.0,
        since_sent=1.0,
        since_acknowledged=0.0,
    )
    return attrs.evolve(known, **what)


@pytest.mark.parametrize(
    ("told", "greeted", "unread", "silent"),
    [
        (_told(), 0, 0, True),
        (_told(), 0, 1, False),
        (_told(), 0, None, True),
        (_told(since_sent=3.0), 0, 0, False),
        (_told(segments=0), 0, 0, False),
        (_told(), 10, 0, False),
        (_told(), None, 0, False),
        (_told(since_received=NEW), 10, 0, True),
        (_told(received=0, since_received=NEW - 0.1), 0, 0, False),
        (_told(received=0, since_received=NEW), 0, 0, True),
        (_told(since_received=QUIET / 2, since_sent=QUIET / 2), 0, 0, False),
        (_told(since_received=QUIET, since_sent=QUIET), 0, 0, True),
    ],
)
def test_who_is_silent_over_tcp(
    told: Traffic, greeted: int | None, unread: int | None, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was answered last, or has said nothing for long since it came."""
    monkeypatch.setattr(_silence, "traffic_of", lambda sock: told)
    monkeypatch.setattr(_silence, "unread", lambda sock: unread)
    left, right = unix_pair()
    with left, right:
        assert Silence(FakeClock()).of(Connection(right, None if greeted is None else (greeted, 0))) is silent


@pytest.mark.parametrize(("segments", "silent"), [(3, False), (4, True)])
def test_the_end_of_a_handshake_is_no_answer(segments: int, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may say its first word with its last of the handshake: the server's last is younger."""
    monkeypatch.setattr(_silence, "traffic_of", lambda sock: _told(segments=segments))
    monkeypatch.setattr(_silence, "unread", lambda sock: 0)
    left, right = unix_pair()
    with left, right:
        assert Silence(FakeClock()).of(Connection(right, (5, 3))) is silent


def test_who_is_silent_where_the_system_tells_nothing() -> None:
    """Who has said nothing for a while, since somebody looked for the first time."""
    clock = FakeClock()
    silence = Silence(clock)
    left, right = unix_pair()
    with left, right:
        job = Connection(right)
        assert not silence.of(job)
        clock.advance(QUIET / 2)
        left.sendall(b"x")
        assert not silence.of(job)
        clock.advance(QUIET)
        assert not silence.of(job)
        right.recv(1)
        assert not silence.of(job)
        clock.advance(QUIET)
        assert silence.of(job)
        silence.forget(job)
        assert not silence.of(job)


def test_who_does_not_read_is_not_silent(make_way: Callable[[str, str], Way], gate: Gate) -> None:
    """Where there is an idle deadline the socket knows; and of what is no socket nobody knows anything."""
    assert not Silence(FakeClock()).of(Connection(None))
    way = make_way("thread", "tcp")
    server, thread, client = way.begin(type("Slow", (Slow,), {"gate": gate}), deadlines=Deadlines(idle=HOUR))
    client.sendall(b"x\n")
    gate.wait_until_reached()
    (job,) = server._core.jobs()
    assert not Silence(FakeClock()).of(job)
    gate.open()
    assert receive(client, 2) == b"x\n"
    server.shutdown(HOUR)
    thread.join(FAILSAFE)
    assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("framing", "begun", "rest"),
    [
        (Lines(), b"half", b" a line\n"),
        (Delimited(b"--"), b"half-", b"-"),
        (LengthPrefixed("!H"), b"\0", b"\x01x"),
        (LengthPrefixed("!H"), b"\0\x02x", b"x"),
    ],
)
def test_a_decoder_tells_whether_a_message_has_begun(framing: Framing, begun: bytes, rest: bytes) -> None:
    """Between two messages it holds nothing."""
    decoder = framing.decoder()
    assert isinstance(decoder, PartialDecoder)
    seen = [decoder.partial]
    for data, messages in ((begun, 0), (rest, 1)):
        assert len(list(decoder.feed(data))) == messages
        seen.append(decoder.partial)
    assert seen == [False, True, False]


@attrs.frozen
class OwnFraming:
    """Whose decoder tells nothing."""

    def decoder(self) -> Any:
        return OwnDecoder()

    def encode(self, message: bytes) -> bytes:
        return message


class OwnDecoder:
    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def eof(self) -> list[bytes]:
        return []


@pytest.mark.parametrize("framing_of_handler", [Chunks(), OwnFraming()])
def test_other_framings_are_between_messages_when_they_have_answered(
    framing_of_handler: Framing, make_way: Callable[[str, str], Way]
) -> None:
    """Pieces are messages; of a decoder that tells nothing the traffic does."""

    class Echo(MessageHandler):
        framing = framing_of_handler

        def respond(self, message: bytes) -> bytes:
            return message

    way = make_way("messages", "tcp")
    server, thread, client = way.begin(Echo)
    ask(client)
    server.shutdown(HOUR)
    thread.join(FAILSAFE)
    assert client.recv(1) == b""


class Upgrading(StreamRequestHandler):
    """Goes on with TLS, and gives back lines."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())
        self.start_tls(server_context())
        for line in self.rfile:
            self.wfile.write(line)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
@pytest.mark.parametrize("name", ["thread", "fork", "selector"])
def test_whoever_has_just_gone_on_with_tls_may_ask(
    name: str, make_way: Callable[[str, str], Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said in clear, and the handshake, are no request of what has begun there."""
    monkeypatch.setattr(_silence, "QUIET", 0.0)  # as if all had been long ago
    way = make_way(name, "tcp")
    server, thread, client = way.begin(Upgrading)
    ask(client)
    secured = client_context().wrap_socket(client, server_hostname=NAME)
    tick(server)
    server.request_stop(grace=HOUR)
    tick(server)
    tick(server)
    ask(secured)
    assert secured.recv(10) == b""
    secured.close()
    thread.join(FAILSAFE)
    assert not thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_the_kernel_tells_who_has_spoken_last() -> None:
    """What all of this relies on (Linux)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            silence, job = Silence(time.monotonic), Connection(server)
            assert not silence.of(job)
            client.sendall(b"ask")
            assert not silence.of(job)
            server.recv(10)
            assert not silence.of(job)
            until = time.monotonic() + TICK
            while time.monotonic() < until:
                give_way()
            server.sendall(b"answer")
            assert silence.of(job)
            told = traffic_of(server)
            assert told is not None
            assert told.since_sent < told.since_received
