"""What nobody asked for, sent to a peer that does not read: who says it does not wait, and there is a bound."""

import contextlib
import itertools
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

import proxy_kit
from kinds import receive, until
from recorder import FAILSAFE, Recorder
from sockserve import (
    Deadlines,
    Event,
    ExecutorStrategy,
    Lines,
    MessageHandler,
    ProxyProtocolTransport,
    SelectorStrategy,
    Server,
    TcpTransport,
    TlsTransport,
    serve,
)
from sockserve._loop import pollers
from sockserve._table.unsent import MOST_UNSENT
from sockserve.abc import Strategy
from sockserve.events import HandlerFailed
from tls_kit import NAME, client_context, connect_raw, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

#: Pieces that no two sockets hold: whoever has sent so many would go on for ever.
ENDLESS = 500
PIECE = b"x" * 99_999
LENGTH = len(PIECE) + 1


def _plain(server: Any) -> socket.socket:
    return connect_raw(server.address)


def _secure(server: Any) -> socket.socket:
    return client_context().wrap_socket(connect_raw(server.address), server_hostname=NAME)


def _proxied(server: Any) -> socket.socket:
    sock = connect_raw(server.address)
    sock.sendall(proxy_kit.line())
    return sock


@attrs.frozen
class Way:
    """How a connection begins."""

    transport: Callable[[], Any]
    client: Callable[[Any], socket.socket]


def _tcp() -> TcpTransport:
    return TcpTransport(("127.0.0.1", 0))


WAYS = {
    "clear": Way(_tcp, _plain),
    "tls": Way(lambda: TlsTransport(_tcp(), server_context()), _secure),
    "proxied": Way(lambda: ProxyProtocolTransport(_tcp(), ["127.0.0.0/8"]), _proxied),
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    """Each way."""
    return WAYS[request.param]


@pytest.fixture(params=["selector", "selector-level", "executor"])
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Strategy]:
    """Each strategy whose connections share a thread."""
    with contextlib.ExitStack() as stack:
        if request.param == "selector-level":
            monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
        if request.param == "executor":
            yield ExecutorStrategy(stack.enter_context(ThreadPoolExecutor(2)))
        else:
            yield SelectorStrategy()


class Listening(MessageHandler):
    """Has its place in a list of its class, so that others can send to it."""

    framing = Lines(max_length=MOST_UNSENT * 4)
    all: "list[Listening]"
    came: threading.Semaphore

    def connected(self) -> None:
        self.all.append(self)
        self.came.release()

    def respond(self, message: bytes) -> bytes:
        return message


@pytest.fixture
def listening() -> Any:
    return type("Fresh", (Listening,), {"all": [], "came": threading.Semaphore(0)})


def _made(transport: Any, strategy: Strategy, handler: Any, observer: Any = lambda event: None) -> Any:
    return Server(transport, strategy, handler, observer=observer)


@contextlib.contextmanager
def _deaf(way: Way, strategy: Strategy, handler: Any) -> Iterator[tuple[Any, socket.socket, Any]]:
    """Serve, with a client that has said nothing and reads nothing: the server, the client and its handler."""
    with _made(way.transport(), strategy, handler).running() as server:
        with way.client(server) as client:
            assert handler.came.acquire(timeout=FAILSAFE)
            yield server, client, handler.all[0]


def _is_waited_for(server: Any) -> bool:
    """Whether the client, the only one, has been sent what it does not take."""
    return any((row.state, row.waiting_for) == ("WRITING", "writable") for row in server.rows())


def _fill(server: Any, handler: MessageHandler) -> int:
    """Send until nothing more is taken, because the client does not read; say how often it was."""
    taken = 0
    # What the loop has not got yet is bounded, too: not each refusal means that the peer does not read.
    while (sent := handler.send(PIECE)) or not _is_waited_for(server):
        taken += sent
        assert taken < ENDLESS
    return taken


def test_what_other_threads_send_is_kept_up_to_a_bound(way: Way, strategy: Strategy, listening: Any) -> None:
    """And no further; nobody waits, and what was taken arrives when the peer reads after all."""
    with _deaf(way, strategy, listening) as (server, client, handler):
        taken = _fill(server, handler)
        assert len(receive(client, taken * LENGTH)) == taken * LENGTH
        until(lambda: not _is_waited_for(server))
        assert handler.send(b"more")
        assert receive(client, 5) == b"more\n"


@pytest.mark.parametrize("beside", [False, True], ids=["row", "loop"])
def test_what_the_loop_sends_is_kept_up_to_a_bound(
    beside: bool, way: Way, strategy: Strategy, listening: Any
) -> None:
    """By a row like the peer's own, or by a plain one, that of another server, which is the loop: none waits."""
    taken: list[int] = []

    def connected(self: MessageHandler) -> None:
        target = listening.all[0]
        taken.append(sum(1 for _ in itertools.takewhile(target.send, itertools.repeat(PIECE, ENDLESS))))

    class Pushing(listening):  # type: ignore[misc]
        def connected(self) -> None:
            super().connected()
            if len(self.all) == 2:
                connected(self)

    server = _made(way.transport(), strategy, Pushing)
    other = _made(_tcp(), strategy, Pushing)
    with server, other:
        thread = threading.Thread(target=serve, args=(server, other))
        thread.start()
        with way.client(server) as client:
            assert listening.came.acquire(timeout=FAILSAFE)
            with _plain(other) if beside else way.client(server) as pushing:
                pushing.sendall(b"hello\n")
                assert receive(pushing, 6) == b"hello\n"
                assert 0 < taken[0] < ENDLESS
                assert len(receive(client, taken[0] * LENGTH)) == taken[0] * LENGTH
        server.shutdown()
        other.shutdown()
        thread.join()


def test_a_message_that_is_longer_than_the_bound_is_taken_alone(
    way: Way, strategy: Strategy, listening: Any
) -> None:
    """Of any length where nothing waits, as under other strategies; none beside it."""
    long = b"y" * (MOST_UNSENT * 8)
    with _deaf(way, strategy, listening) as (server, client, handler):
        assert handler.send(long)
        until(lambda: _is_waited_for(server))
        assert not handler.send(long)
        assert receive(client, len(long) + 1) == long + b"\n"


def test_what_a_handler_sends_comes_before_its_reply(way: Way, strategy: Strategy, listening: Any) -> None:
    """And after the reply before that, whether the message came with others or alone."""

    class Counting(listening):  # type: ignore[misc]
        def connected(self) -> None:
            self.send(b"welcome")

        def respond(self, message: bytes) -> bytes:
            self.send(b"for " + message)
            return message

    with _made(way.transport(), strategy, Counting).running() as server:
        with way.client(server) as client, client.makefile("rb") as lines:
            assert next(lines) == b"welcome\n"
            for _ in range(2):
                client.sendall(b"1\n2\n3\n")
                expected = b"".join(b"for %d\n%d\n" % (number, number) for number in (1, 2, 3))
                assert lines.read(len(expected)) == expected


def test_replies_arrive_although_what_is_sent_between_them_is_refused(
    way: Way, strategy: Strategy, listening: Any
) -> None:
    """In their order: those before it, too, that were to go out together with it."""

    class Filling(listening):  # type: ignore[misc]
        def respond(self, message: bytes) -> bytes:
            if message == b"fill":
                for _ in itertools.takewhile(self.send, itertools.repeat(PIECE, 100)):
                    pass
            return message

    with _deaf(way, strategy, Filling) as (_, client, _), client.makefile("rb") as lines:
        said = b"1 fill 2 fill 3 fill 4".split()
        client.sendall(b"\n".join(said) + b"\n")
        heard = (line.rstrip() for line in lines if len(line) < LENGTH)
        assert list(itertools.islice(heard, len(said))) == said


@pytest.mark.parametrize("where", ["connected", "respond"])
def test_what_was_sent_before_an_error_arrives(
    where: str, way: Way, strategy: Strategy, listening: Any, recorder: Recorder
) -> None:
    """Although the peer reads it later."""
    long = b"z" * (MOST_UNSENT * 8)
    error = ValueError("by intent")

    class Failing(listening):  # type: ignore[misc]
        def connected(self) -> None:
            super().connected()
            if where == "connected":
                self.send(long)
                raise error

        def respond(self, message: bytes) -> bytes:
            self.send(long)
            raise error

    with _made(way.transport(), strategy, Failing, recorder).running() as server:
        with way.client(server) as client:
            if where == "respond":
                client.sendall(b"x\n")
            until(lambda: _is_waited_for(server))
            assert receive(client, len(long) + 1) == long + b"\n"
            assert client.recv(1) == b""
            assert recorder.wait_for(HandlerFailed)["error"] == repr(error)


def test_a_connection_that_is_closed_has_sent_it_before(way: Way, strategy: Strategy, listening: Any) -> None:
    """By its handler, from another thread; what comes after that is not taken."""
    long = b"v" * (MOST_UNSENT * 8)
    with _deaf(way, strategy, listening) as (server, client, handler):
        assert handler.send(long)
        until(lambda: _is_waited_for(server))
        handler.close()
        assert receive(client, len(long) + 1) == long + b"\n"
        assert client.recv(1) == b""
        assert not handler.send(b"late")


def _elsewhere(handler: MessageHandler, message: bytes) -> None:
    """Send from another thread, which has ended then."""
    thread = threading.Thread(target=handler.send, args=(message,))
    thread.start()
    thread.join()


@pytest.mark.parametrize("end", ["close", "raise", "half-close"])
def test_what_another_thread_has_sent_arrives_before_the_end(
    end: str, way: Way, strategy: Strategy, listening: Any
) -> None:
    """It was taken: although the loop has not looked at it yet."""

    class Ending(listening):  # type: ignore[misc]
        def connected(self) -> None:
            _elsewhere(self, b"news")
            if end == "close":
                self.close()
            elif end == "raise":
                raise ValueError("by intent")

    with _made(way.transport(), strategy, Ending).running() as server, way.client(server) as client:
        if end == "half-close":
            socket.socket.shutdown(client, socket.SHUT_WR)
        assert receive(client, 6) == b"news\n"


def test_what_threads_and_the_handler_send_arrives_in_the_order_in_which_it_was_taken(
    way: Way, strategy: Strategy, listening: Any
) -> None:
    """As where a message is sent at once."""

    class Both(listening):  # type: ignore[misc]
        def connected(self) -> None:
            for number in (b"1", b"3"):
                _elsewhere(self, number)
                self.send(b"%d" % (int(number) + 1))

    with _made(way.transport(), strategy, Both).running() as server, way.client(server) as client:
        assert receive(client, 8) == b"1\n2\n3\n4\n"


def test_who_does_not_read_is_silent_whatever_it_is_sent(way: Way, listening: Any) -> None:
    """The deadline passes: what is only kept is nothing that it has taken."""
    server = Server(
        way.transport(),
        SelectorStrategy(),
        listening,
        observer=lambda event: None,
        deadlines=Deadlines(idle=0.2),
    )
    with server.running(), way.client(server):
        assert listening.came.acquire(timeout=FAILSAFE)
        handler = listening.all[0]
        _fill(server, handler)
        until(lambda: not handler.send(b"t"))  # once each millisecond: there is room for longer than a test lasts
        until(lambda: server.stats.active == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", ["clear", "proxied"])  # two processes cannot go on with one TLS connection
def test_what_waits_when_a_handler_forks_is_sent_by_the_parent(name: str, listening: Any) -> None:
    """Once. The child sends what it says itself, ends, and leaves the connection as it is."""
    way, long = WAYS[name], b"x" * (MOST_UNSENT * 8)
    children: queue.Queue[int] = queue.Queue()

    class Forking(listening):  # type: ignore[misc]
        def respond(self, message: bytes) -> bytes:
            self.send(long)
            child = os.fork()
            if child == 0:
                return b"child"
            children.put(child)
            return b"parent"

    with _deaf(way, SelectorStrategy(), Forking) as (_, client, handler):
        client.sendall(b"fork\n")
        child = children.get(timeout=FAILSAFE)
        got = receive(client, len(long) + len(b"\nparent\nchild\n"))
        assert got.count(b"x") == len(long)
        assert sorted(got.replace(b"x", b"")) == sorted(b"\nparent\nchild\n")
        if name == "proxied":  # a row with a stack goes on to read, as a thread would
            client.shutdown(socket.SHUT_WR)
        assert os.waitpid(child, 0)[1] == 0
        if name == "clear":
            assert not os.get_blocking(handler.request.fileno())


@pytest.mark.parametrize("name", ["tls", "proxied"])
def test_a_generator_that_is_parked_ends_when_another_handler_closes_its_connection(
    name: str, listening: Any
) -> None:
    """After the message at hand, as when another thread does."""
    way, go_on = WAYS[name], Event()

    class Endless(listening):  # type: ignore[misc]
        def respond(self, message: bytes) -> Iterator[bytes] | bytes:
            if message == b"close":
                self.all[0].close()
                go_on.set()
                return b"closed"
            return self._without_an_end()

        def _without_an_end(self) -> Iterator[bytes]:
            yield b"first"
            go_on.wait()
            yield from itertools.repeat(b"next")

    with _deaf(way, SelectorStrategy(), Endless) as (server, client, _), way.client(server) as other:
        client.sendall(b"begin\n")
        assert receive(client, 6) == b"first\n"
        other.sendall(b"close\n")
        assert receive(other, 7) == b"closed\n"
        assert receive(client, 100) in {b"", b"next\n"}


def test_a_server_that_stops_with_a_grace_waits_for_who_reads_late(
    way: Way, strategy: Strategy, listening: Any
) -> None:
    """A connection with something still to be sent is not silent."""
    long = b"w" * (MOST_UNSENT * 8)
    with _deaf(way, strategy, listening) as (server, client, handler):
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        assert handler.send(long)
        until(lambda: _is_waited_for(server))
        stopping = threading.Thread(target=server.shutdown, args=(FAILSAFE,))
        stopping.start()
        assert receive(client, len(long) + 1) == long + b"\n"
        assert client.recv(1) == b""
        stopping.join()
