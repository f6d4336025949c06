"""Messages that an executor answers: order, places, failures, ends. By an executor whose tasks the test runs."""

import array
import contextlib
import fcntl
import functools
import os
import queue
import socket
import ssl
import sys
import termios
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from kinds import EchoLines, receive, until
from recorder import FAILSAFE, Recorder
from sockserve import (
    Chunks,
    CompositionError,
    ExecutorStrategy,
    LengthPrefixed,
    Lines,
    MessageHandler,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    TlsTransport,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve._executing import parcels
from sockserve._executing.desk import Desk
from sockserve._executing.parcels import Parcel
from sockserve.events import Drained, Finished, HandlerFailed, HandlerSlow, PeerGone, TaskLost
from sockserve.socketserver import TCPServer, mixin_for
from sockserve.testing import FakeLoop
from table_kit import reset
from tls_kit import server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))
UDP = UdpTransport(("127.0.0.1", 0))


@attrs.frozen
class Task:
    """What was submitted, to be run when the test says so."""

    future: "Future[Any]"
    call: Callable[[], object]
    message: bytes

    def run(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(self.call())


class ByHand(Executor):
    """Runs nothing by itself."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        task = Task(Future(), functools.partial(fn, *args, **kwargs), args[-1])
        self.tasks.put(task)
        return task.future

    def next(self) -> Task:
        """Return the next task, once it is there."""
        return self.tasks.get(timeout=FAILSAFE)


class Shout(MessageHandler):
    framing = Lines()

    def respond(self, message: bytes) -> bytes:
        if message == b"bad":
            raise LookupError("on purpose")
        return message.upper()


@contextlib.contextmanager
def serving(
    executor: Executor,
    handler: Any = Shout,
    observer: Any = lambda event: None,
    transport: Any = TCP,
    outstanding: int = 1000,
) -> Iterator[Server[Any, Any]]:
    server = Server(transport, ExecutorStrategy(executor, outstanding=outstanding), handler, observer=observer)
    with server.running(grace=0):
        yield server


def client_of(server: Server[Any, Any]) -> socket.socket:
    return socket.create_connection(server.address, FAILSAFE)


def answering(respond: Callable[[Any, bytes], object], **more: Any) -> Any:
    return type("Answering", (MessageHandler,), {"framing": Lines(), "respond": respond, **more})


def ended(client: socket.socket) -> bool:
    """Whether the server has closed: by its end, or a reset where it had not read what was sent."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def states(server: Server[Any, Any]) -> list[tuple[str, str]]:
    return sorted((row.state, row.waiting_for) for row in server.rows())


# Order.


def test_messages_of_a_connection_are_answered_one_at_a_time_in_order() -> None:
    """The next is handed over when the reply to the one before has been sent; others do not wait for it."""
    executor = ByHand()
    with serving(executor) as server, client_of(server) as client, client_of(server) as other:
        client.sendall(b"one\ntwo\n")
        first = executor.next()
        client.sendall(b"three\n")  # another read, when those before are answered
        other.sendall(b"other\n")
        executor.next().run()
        assert receive(other, 6) == b"OTHER\n"
        assert executor.tasks.empty()
        first.run()
        assert receive(client, 4) == b"ONE\n"
        for word in (b"TWO\n", b"THREE\n"):
            executor.next().run()
            assert receive(client, len(word)) == word


def test_a_peer_that_does_not_read_its_reply_is_asked_for_no_further_message() -> None:
    """Until it has read: what is outstanding is bounded, and so is what is unsent."""
    executor = ByHand()
    size = 16_000_000  # more than the system keeps
    handler = answering(lambda self, message: bytes(size), framing=LengthPrefixed(max_length=size))
    with serving(executor, handler) as server, client_of(server) as client:
        client.sendall((b"\0\0\0\1x") * 2)
        executor.next().run()
        until(lambda: states(server) == [("WRITING", "writable")])
        assert executor.tasks.empty()
        assert len(receive(client, 4 + size)) == 4 + size
        executor.next().run()
        assert len(receive(client, 4 + size)) == 4 + size


def test_rows_say_what_they_wait_for() -> None:
    """Their client, a task, or their turn."""
    executor = ByHand()
    with serving(executor, outstanding=1) as server, client_of(server) as one, client_of(server) as two:
        until(lambda: states(server) == [("READING", "readable")] * 2)
        one.sendall(b"one\n")
        task = executor.next()
        two.sendall(b"two\n")
        until(lambda: states(server) == [("WAITING", "task"), ("WAITING", "turn")])
        task.run()
        executor.next().run()
        assert receive(one, 4) + receive(two, 4) == b"ONE\nTWO\n"
        until(lambda: states(server) == [("READING", "readable")] * 2)


# Places.


def test_no_more_tasks_than_outstanding_and_nobody_is_read_from_or_accepted_meanwhile() -> None:
    """What clients send stays with them; each gets its turn, in the order in which they came."""
    executor = ByHand()
    with serving(executor, outstanding=2) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_of(server)) for _ in range(4)]
        until(lambda: len(server.rows()) == 4)
        for turn, client in enumerate(clients):
            client.sendall(b"%d\n" % turn)
            until(lambda turn=turn: len([row for row in server.rows() if row.state == "WAITING"]) == turn + 1)  # type: ignore[misc]
        flood = stack.enter_context(client_of(server))
        flood.settimeout(0.05)
        with pytest.raises(TimeoutError):
            while True:  # until nobody takes more
                flood.sendall(b"x\n" * 100_000)
        assert server.stats.accepted == 4
        taken = [executor.next(), executor.next()]
        assert executor.tasks.empty()
        for turn, client in enumerate(clients):
            taken.pop(0).run()
            assert receive(client, 2) == b"%d\n" % turn
            if turn < 3:
                taken.append(executor.next())
        assert taken[0].message == b"x"  # of the flood: accepted, and read, in the end
        assert server.stats.accepted == 5


def test_what_waits_for_a_place_is_not_read(folder: Path) -> None:
    """It stays in the kernel, whose buffer a client fills and no more."""
    executor = ByHand()
    with serving(executor, transport=UnixStreamTransport(folder / "s"), outstanding=1) as server:
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for client in (first, second):
                client.settimeout(FAILSAFE)
                client.connect(str(server.address))
            first.sendall(b"1\n")
            task = executor.next()
            second.sendall(b"2\n")
            until(lambda: ("WAITING", "turn") in states(server))
            assert unread(second) > 0
            task.run()
            executor.next().run()
            assert receive(first, 2) + receive(second, 2) == b"1\n2\n"
            assert unread(second) == 0


def unread(client: socket.socket) -> int:
    """Return what the peer of a Unix socket has not read yet, as the kernel accounts for it."""
    return int(array.array("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))[0])


def test_requests_under_tls_take_places_too() -> None:
    """They wait for them with a stack; who has waited longest comes first."""
    executor = ByHand()
    transport = TlsTransport(TCP, server_context())
    with serving(executor, transport=transport, outstanding=1) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(trusting().wrap_socket(client_of(server))) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
            until(lambda number=number: states(server).count(("WAITING", "wake-up")) == number + 1)  # type: ignore[misc]
        task = executor.next()
        for number, client in enumerate(clients):
            assert executor.tasks.empty()
            task.run()
            assert receive(client, 2) == b"%d\n" % number
            if number < 2:
                task = executor.next()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_pipelining_client_does_not_keep_the_only_place() -> None:
    """After each message it is the others' turn."""
    executor = ByHand()
    with serving(executor, outstanding=1) as server, client_of(server) as many, client_of(server) as one:
        until(lambda: len(server.rows()) == 2)
        many.sendall(b"a\nb\nc\n")
        task = executor.next()
        one.sendall(b"one\n")
        until(lambda: ("WAITING", "turn") in states(server))
        found = []
        for _ in range(3):
            found.append(task.message)
            task.run()
            task = executor.next()
        assert found == [b"a", b"one", b"b"]


def test_a_message_that_is_not_complete_takes_no_place() -> None:
    """Nor does a client that goes while it waits for one, or whose task runs."""
    executor = ByHand()
    with serving(executor, outstanding=1) as server, client_of(server) as half, client_of(server) as whole:
        half.sendall(b"ha")
        until(lambda: len(server.rows()) == 2)
        whole.sendall(b"whole\n")
        task = executor.next()
        half.sendall(b"lf\n")
        until(lambda: states(server) == [("WAITING", "task"), ("WAITING", "turn")])
        reset(half)
        reset(whole)
        task.run()
        executor.next().run()  # what has arrived can be read although the peer has gone
        until(lambda: server.rows() == [])
        with client_of(server) as client:
            client.sendall(b"free\n")
            executor.next().run()
            assert receive(client, 5) == b"FREE\n"
    assert server.stats.failed == 0


def test_datagrams_stay_in_the_kernel_while_the_executor_is_full() -> None:
    """One is one task."""
    executor = ByHand()
    with serving(executor, transport=UDP, outstanding=1) as server, socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.settimeout(FAILSAFE)
        peer.connect(server.address)
        for word in (b"one", b"two"):
            peer.send(word)
        first = executor.next()
        assert server.stats.accepted == 1
        assert states(server) == [("WAITING", "wake-up")]
        first.run()
        executor.next().run()
        assert [peer.recv(10), peer.recv(10)] == [b"ONE", b"TWO"]


@attrs.define(eq=False)
class Waiter:
    """Somebody at the desk."""

    desk: Desk
    turns: list["Waiter"]
    uses: bool = True

    def turn(self) -> None:
        self.turns.append(self)
        if not self.uses:
            self.desk.give_back()


def test_places_go_round_in_order_however_many_wait() -> None:
    """Also where each gives back at once what it has got: no chain of calls is as long as the queue."""
    desk = Desk(ByHand(), Parcel(Shout), 1, FakeLoop())
    turns: list[Waiter] = []
    assert desk.take(lambda: None)
    waiters = [Waiter(desk, turns, uses=False) for _ in range(sys.getrecursionlimit())]
    waiters += [Waiter(desk, turns) for _ in range(3)]
    for waiter in waiters:
        assert not desk.take(waiter.turn)
    desk.withdraw(waiters[-2].turn)
    desk.give_back()
    assert turns == waiters[:-2]
    assert desk.full
    desk.withdraw(waiters[-3].turn)  # it has got it meanwhile
    assert turns == [*waiters[:-2], waiters[-1]]
    desk.give_back()
    assert not desk.full


def test_a_flood_from_a_client_that_never_reads() -> None:
    """It is not read from, once what it does not read fills the way: memory stays below a bound, for ever."""
    with ThreadPoolExecutor(2) as executor, serving(executor) as server, client_of(server) as client:
        flood = (b"x" * 999 + b"\n") * 1000
        client.settimeout(0.1)  # until it is seen that nobody reads
        tracemalloc.start()
        try:
            with pytest.raises(TimeoutError):
                for _ in range(1000):  # 1 GB, far more than any socket holds
                    client.sendall(flood)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1024 * 1024


# Failures.


def test_an_error_of_respond_ends_its_connection_alone(recorder: Recorder) -> None:
    """Reported as the handler's own, after what was answered before it."""
    with ThreadPoolExecutor(1) as executor, serving(executor, Shout, recorder) as server:
        with client_of(server) as client, client_of(server) as other:
            client.sendall(b"good\nbad\nnever\n")
            with client.makefile("rb") as replies:
                assert replies.read() == b"GOOD\n"
            assert recorder.wait_for(HandlerFailed)["error"] == "LookupError('on purpose')"
            assert recorder.wait_for(Finished)["ok"] is False
            other.sendall(b"x\n")
            assert receive(other, 2) == b"X\n"
    assert server.stats.failed == 1


class Refusing(ByHand):
    """Takes no task."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        raise RuntimeError("cannot schedule new futures after shutdown")


@pytest.mark.parametrize("transport", [TCP, UDP], ids=["stream", "datagrams"])
@pytest.mark.parametrize("way", ["cancelled", "broken", "refused"])
def test_a_task_that_is_lost_ends_its_request_alone(way: str, transport: Any, recorder: Recorder) -> None:
    """With an event that says what the executor said; the place is free again."""
    executor = Refusing() if way == "refused" else ByHand()
    kind = socket.SOCK_STREAM if transport is TCP else socket.SOCK_DGRAM
    with serving(executor, Shout, recorder, transport, outstanding=1) as server:
        for _ in range(2):
            with socket.socket(type=kind) as client:
                client.settimeout(FAILSAFE)
                client.connect(server.address)
                client.sendall(b"x\n")
                if way == "cancelled":
                    executor.next().future.cancel()
                elif way == "broken":
                    executor.next().future.set_exception(OSError("the worker has died"))
                lost = recorder.wait_for(TaskLost)
                said = {"cancelled": "CancelledError", "broken": "has died", "refused": "after shutdown"}[way]
                assert said in lost["error"]
                assert lost["handler"].endswith("Shout")
                assert recorder.wait_for(Finished)["ok"] is False
                if transport is TCP:
                    assert client.recv(1) == b""
    assert (server.stats.failed, server.stats.active) == (2, 0)


def test_a_peer_that_goes_while_its_message_is_answered(recorder: Recorder) -> None:
    """Is no failure."""
    executor = ByHand()
    with serving(executor, Shout, recorder) as server:
        with client_of(server) as client:
            client.sendall(b"x\n")
            task = executor.next()
            reset(client)
        task.run()
        assert recorder.wait_for(PeerGone)
        assert recorder.wait_for(Finished)["ok"] is True


def test_a_reply_that_has_no_end_is_given_up(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of empty messages: it is made whole, and that has a bound."""
    monkeypatch.setattr(parcels, "MOST_LAZY", 1000)
    closed = []

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        given = 0
        try:
            while True:
                given += 1
                yield b""
        finally:
            closed.append(given)

    with ThreadPoolExecutor(1) as executor, serving(executor, answering(respond), recorder) as server:
        with client_of(server) as client:
            client.sendall(b"x\n")
            assert "gave more than 1000 bytes" in recorder.wait_for(HandlerFailed)["error"]
            assert closed[0] < 100


def test_who_holds_the_loop_is_reported(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A framing's work is done there."""

    class Slow(LengthPrefixed):
        def encode(self, message: bytes) -> bytes:
            threading.Event().wait(0.11)
            return message

        def encode_all(self, messages: Any) -> bytes:
            return self.encode(b"".join(messages))

    handler = answering(lambda self, message: message, framing=Slow())
    with ThreadPoolExecutor(1) as executor, serving(executor, handler, recorder) as server:
        with client_of(server) as client:
            client.sendall(b"\0\0\0\1x")
            assert receive(client, 1) == b"x"
            assert recorder.wait_for(HandlerSlow)["duration"] > 0.1


# What a handler has where it runs.


def test_respond_runs_elsewhere_on_a_handler_of_its_own() -> None:
    """It knows its client; what it says besides its reply goes before it, and it may close."""
    threads = []

    def respond(self: Any, message: bytes) -> bytes:
        threads.append(threading.current_thread())
        assert (self.request, self.server) == (None, None)
        assert self.send(b"note")
        if message == b"bye":
            self.close()
        return b"%d" % self.client_address.port

    def connected(self: Any) -> None:
        threads.append(threading.current_thread())
        assert isinstance(self.server, Server)
        assert self.send(b"welcome")

    with ThreadPoolExecutor(1) as executor:
        with serving(executor, answering(respond, connected=connected)) as server, client_of(server) as client:
            client.sendall(b"hello\nbye\nnever\n")
            port = b"%d" % client.getsockname()[1]
            with client.makefile("rb") as lines:
                assert lines.read().split() == [b"welcome", b"note", port, b"note", port]
        (worker,) = executor._threads
        assert threads[1:] == [worker] * 2
        assert threads[0] is not worker


def test_close_by_another_thread_leaves_what_is_not_handed_over() -> None:
    """The task at hand still answers."""
    executor = ByHand()
    here: list[MessageHandler] = []
    handler = answering(lambda self, message: message, connected=lambda self: here.append(self))
    with serving(executor, handler) as server, client_of(server) as client:
        client.sendall(b"one\ntwo\n")
        task = executor.next()
        here[0].close()
        task.run()
        with client.makefile("rb") as lines:
            assert lines.read() == b"one\n"


# Stopping.


@pytest.mark.parametrize("transport", [TCP, UDP], ids=["stream", "datagrams"])
def test_a_grace_is_for_what_is_outstanding(transport: Any) -> None:
    """Then serve_forever leaves, as soon as it is answered; the executor goes on."""
    executor = ByHand()
    kind = socket.SOCK_STREAM if transport is TCP else socket.SOCK_DGRAM
    with Server(transport, ExecutorStrategy(executor), Shout) as server, socket.socket(type=kind) as client:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client.settimeout(FAILSAFE)
        client.connect(server.address)
        client.sendall(b"late\n")
        if transport is TCP:
            client.shutdown(socket.SHUT_WR)
        task = executor.next()
        server.request_stop(grace=FAILSAFE)
        task.run()
        assert client.recv(10) == (b"LATE\n")
        thread.join(FAILSAFE)
        assert not thread.is_alive()
    assert (server.stats.finished, server.stats.failed) == (1, 0)


@pytest.mark.parametrize("way", ["stream", "tls", "datagrams"])
def test_at_the_end_of_the_grace_nobody_waits_any_more(way: str, recorder: Recorder) -> None:
    """A task that does not end holds neither its client nor the server."""
    executor = ByHand()
    transport: Any = {"stream": TCP, "tls": TlsTransport(TCP, server_context()), "datagrams": UDP}[way]
    with Server(transport, ExecutorStrategy(executor), Shout, observer=recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.socket(type=socket.SOCK_DGRAM if way == "datagrams" else socket.SOCK_STREAM) as client:
            client.settimeout(FAILSAFE)
            client.connect(server.address)
            with trusting().wrap_socket(client) if way == "tls" else contextlib.nullcontext(client) as speaking:
                speaking.sendall(b"x\n")
                task = executor.next()
                assert task.future.set_running_or_notify_cancel()
                server.shutdown(grace=0.01)
                thread.join(FAILSAFE)
                assert not thread.is_alive()
                assert recorder.wait_for(Drained)["aborted"] == 1
                assert recorder.wait_for(Finished)["ok"] is True
                if way != "datagrams":
                    assert ended(speaking)
        task.future.set_result(task.call())
    assert (server.stats.active, server.stats.failed) == (0, 0)


@pytest.mark.parametrize("transport", [TCP, UDP], ids=["stream", "datagrams"])
def test_without_a_grace_tasks_are_cancelled_and_those_that_run_are_not_heard(transport: Any) -> None:
    """Nothing of them is left: a server that serves again has all its places, once they have ended."""
    executor = ByHand()
    kind = socket.SOCK_STREAM if transport is TCP else socket.SOCK_DGRAM
    with Server(transport, ExecutorStrategy(executor, outstanding=2), Shout) as server:
        for _ in range(2):
            with contextlib.ExitStack() as stack:
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                clients = [
                    stack.enter_context(socket.socket(type=kind)) for _ in range(3 if transport is TCP else 2)
                ]
                for client in clients:
                    client.settimeout(FAILSAFE)
                    client.connect(server.address)
                if transport is TCP:
                    until(lambda: len(server.rows()) == 3)  # of which one waits for its turn
                for client in clients:
                    client.sendall(b"x\n")
                running, pending = executor.next(), executor.next()
                assert running.future.set_running_or_notify_cancel()
                if transport is TCP:
                    until(lambda: ("WAITING", "turn") in states(server))
                server.shutdown()
                thread.join(FAILSAFE)
                assert pending.future.cancelled()
                running.future.set_result(running.call())
                assert server.rows() == []
                if transport is TCP:
                    assert [ended(client) for client in clients] == [True] * 3
    assert server.stats.active == 0


def test_a_task_that_ends_between_two_loops_is_heard_of() -> None:
    """Its place is free again."""
    first, second = FakeLoop(), FakeLoop()
    executor = ByHand()
    desk = Desk(executor, Parcel(Shout), 1, first)
    assert desk.take(lambda: None)
    done: list[object] = []
    future = desk.submit("client", b"x", done.append)
    executor.next().run()
    desk.move(second)
    second.turn()
    assert done == [future]
    assert not desk.full


def test_the_executor_stays_the_callers() -> None:
    """A closed server has not shut it down."""
    with ThreadPoolExecutor(1) as executor:
        for _ in range(2):
            with serving(executor) as server, client_of(server) as client:
                client.sendall(b"x\n")
                assert receive(client, 2) == b"X\n"
        assert executor.submit(int).result(FAILSAFE) == 0


# Composition.


def test_what_is_no_executor_is_refused() -> None:
    """Where it is made."""
    for wrong in (None, 4, ThreadPoolExecutor):
        with pytest.raises(OptionTypeError, match=r"executor must be a concurrent.futures.Executor, such as"):
            ExecutorStrategy(wrong)  # type: ignore[arg-type]
    for few in (0, -1):
        with pytest.raises(OptionError, match="outstanding"):
            ExecutorStrategy(ByHand(), outstanding=few)
    with pytest.raises(OptionTypeError, match="outstanding"):
        ExecutorStrategy(ByHand(), outstanding=True)
    assert ExecutorStrategy(ByHand()).outstanding == 1000


def test_other_handlers_are_refused_when_composed() -> None:
    """The error says what to write, and the shim is refused too."""
    for wrong in (EchoLines, functools.partial(EchoLines), lambda request, address, server: None):
        with pytest.raises(CompositionError, match=r"derive from MessageHandler, with framing = Lines\(\)"):
            Server(TCP, ExecutorStrategy(ByHand()), wrong)
    mixin: Any = mixin_for(ExecutorStrategy(ByHand()))
    served: Any = type("Served", (mixin, TCPServer), {})
    with served(("127.0.0.1", 0), Shout) as server, socket.create_connection(server.server_address):
        request, address = server.get_request()
        with request, pytest.raises(CompositionError, match=r"it is for Server\(\.\.\.\)"):
            server.process_request(request, address)


def test_a_strategy_is_asked_when_composed() -> None:
    """Whatever strategy it is: the question is part of the interface."""

    class Picky(SyncStrategy):
        def check_composition(self, transport: object, handler: object, /, *, forks: bool = False) -> None:
            raise CompositionError(f"not {transport!r} for {handler!r}, forks={forks}")

    with pytest.raises(CompositionError, match=r"not TcpTransport.* for .*Shout.*, forks=False"):
        Server(TCP, Picky(), Shout)
    with pytest.raises(CompositionError, match=r"not TcpTransport.* for .*Shout.*, forks=True"):
        Server(TCP, PreforkStrategy(Picky()), Shout)
    Server(TCP, PreforkStrategy(SyncStrategy()), Shout)


def test_an_executor_is_for_one_process() -> None:
    """Under PreforkStrategy it is refused when composed, unless its threads are still to start."""
    with pytest.raises(CompositionError, match=r"ByHand cannot be used in processes forked"):
        Server(TCP, PreforkStrategy(ExecutorStrategy(ByHand())), Shout)
    with ThreadPoolExecutor(1) as executor:
        Server(TCP, PreforkStrategy(ExecutorStrategy(executor)), Shout)


def test_unix_sockets_too(folder: Any) -> None:
    """Credentials and all: what a worker is told of its client is an address as everywhere."""
    handler = answering(lambda self, message: b"%d" % self.client_address.pid, framing=Chunks())
    with ThreadPoolExecutor(1) as executor:
        with serving(executor, handler, transport=UnixStreamTransport(folder / "s")) as server:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(server.address))
                client.sendall(b"?")
                assert client.recv(20) == b"%d" % os.getpid()
        with serving(executor, Shout, transport=UnixDatagramTransport(folder / "d")) as server:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.bind(str(folder / "c"))
                client.sendto(b"x", str(server.address))
                assert client.recv(20) == b"X"
