"""Laws of handlers of messages, over every transport under every strategy."""

import contextlib
import functools
import itertools
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import conftest
from kinds import MESSAGE_STRATEGIES, STRATEGIES, TRANSPORTS, Kind, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    Chunks,
    CompositionError,
    Delimited,
    ForkStrategy,
    LengthPrefixed,
    Lines,
    MessageHandler,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
    UdpTransport,
    UnixDatagramTransport,
)
from sockserve.abc import Core, Framing, Job, Loop, Reply, Strategy
from sockserve.events import Event, Finished, HandlerFailed, MessageDropped, MessageRefused, PeerGone
from sockserve.messages._driving import drive

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


@attrs.frozen(kw_only=True)
class Noted(Event):
    """What a handler has to say, from whatever process."""

    word: str
    server_address: object = None


class DrivenStrategy:
    """Reads and writes for the job's conversation, as a strategy of one's own does."""

    def start(self, loop: Loop, core: Core, /) -> "DrivenRunner":
        return DrivenRunner()


class DrivenRunner:
    full = False

    def submit(self, job: Job, /) -> None:
        error = None
        try:
            conversation = job.conversation()
            if conversation is None:
                job.run()
                return
            assert isinstance(job.request, socket.socket)
            drive(conversation, job.request)
        except BaseException as caught:  # noqa: BLE001 - concluded with
            error = caught
        job.conclude(error)

    def move(self, loop: Loop, /) -> None:
        """Nothing is on it."""

    def close(self, deadline: float | None, /) -> None:
        """Nothing is in flight."""


#: Where messages are served. What else distinguishes transports, the matrix tests.
KINDS = [kind for kind in TRANSPORTS if kind.name in {"tcp", "unix-stream", "tls-tcp", "udp", "unix-datagram"}]


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in KINDS])
def kind(request: pytest.FixtureRequest, tls_relay: None) -> Kind:
    """Some transport."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in KINDS if kind.stream])
def stream_kind(request: pytest.FixtureRequest, tls_relay: None) -> Kind:
    """Some transport of connections."""
    chosen: Kind = request.param
    return chosen


#: Where `respond` runs on the connection's own handler.
HERE = [*STRATEGIES, "driven"]


@pytest.fixture
def get_strategy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Strategy]]:
    """Make a strategy of its name; what it owns is released at the end."""
    with contextlib.ExitStack() as stack:

        def get(name: str) -> Strategy:
            if name in MESSAGE_STRATEGIES:
                return MESSAGE_STRATEGIES[name](stack)
            return DrivenStrategy() if name == "driven" else conftest._strategy(name, monkeypatch)

        yield get


@pytest.fixture(params=[*HERE, "executor-threads"])
def strategy(request: pytest.FixtureRequest, get_strategy: Callable[[str], Strategy]) -> Strategy:
    """Each strategy, and one that drives."""
    return get_strategy(request.param)


@pytest.fixture(params=HERE)
def here(request: pytest.FixtureRequest, get_strategy: Callable[[str], Strategy]) -> Strategy:
    """Each strategy under which a handler has all of itself in `respond`, and all the time for a reply."""
    return get_strategy(request.param)


@pytest.fixture(params=[name for name in [*HERE, "executor-threads"] if name not in {"sync", "driven"}])
def concurrent(request: pytest.FixtureRequest, get_strategy: Callable[[str], Strategy]) -> Strategy:
    """Each strategy that serves several requests at a time."""
    return get_strategy(request.param)


@contextlib.contextmanager
def serving(
    kind: Kind, strategy: Strategy, folder: Path, handler: Any, observer: Any = None
) -> Iterator[Server[Any, Any]]:
    with (
        kind.transport(folder) as transport,
        Server(transport, strategy, handler, observer=observer or (lambda event: None)).running() as server,
    ):
        yield server


def answering(respond: Callable[[Any, bytes], object], framing: Framing | None = Lines(), **more: Any) -> Any:  # noqa: B008
    """Make a handler class of a function."""
    return type("Answering", (MessageHandler,), {"framing": framing, "respond": respond, **more})


def to_the_end(client: socket.socket) -> bytes:
    """Read all that comes before the connection ends, in whatever way."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            found += piece
    return found


# What every connection can rely on.


class Several(MessageHandler):
    """Replies of every form."""

    framing = Lines()

    def respond(self, message: bytes) -> Reply:
        if message == b"list":
            return [b"1", b"2"]
        if message == b"generator":
            return (b"%d" % number for number in range(3))
        return message or None


def test_every_form_of_reply(kind: Kind, strategy: Strategy, folder: Path) -> None:
    """The same class, unmodified, over all: on datagrams each message is one."""
    with serving(kind, strategy, folder, Several) as server, kind.client(server.address, folder) as client:
        for asked, answers in ((b"list", [b"1", b"2"]), (b"generator", [b"0", b"1", b"2"]), (b"x", [b"x"])):
            if kind.stream:
                client.sendall(asked + b"\n\n")
                sent = b"".join(answer + b"\n" for answer in answers)
                assert receive(client, len(sent)) == sent
            else:
                client.send(b"")
                client.send(asked)
                assert [client.recv(100) for _ in answers] == answers


def test_two_clients_with_half_a_line_each(stream_kind: Kind, concurrent: Strategy, folder: Path) -> None:
    """Neither gets what is the other's."""
    with (
        serving(stream_kind, concurrent, folder, Several) as server,
        stream_kind.client(server.address, folder) as one,
        stream_kind.client(server.address, folder) as other,
    ):
        for byte in range(5):
            one.sendall(b"one%d" % byte)
            other.sendall(b"other%d" % byte)
        one.sendall(b"\n")
        other.sendall(b"\n")
        assert receive(one, 21) == b"one0one1one2one3one4\n"
        assert receive(other, 31) == b"other0other1other2other3other4\n"


def test_the_input_ends_before_the_answer(
    stream_kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder
) -> None:
    """Who sends no more gets all that was asked for; half a message is dropped, which is no failure."""

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        return (message * 1000 for _ in range(500))

    with (
        serving(stream_kind, strategy, folder, answering(respond), recorder) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        client.sendall(b"a\nb\nhalf")
        client.shutdown(socket.SHUT_WR)
        assert to_the_end(client) == (b"a" * 1000 + b"\n") * 500 + (b"b" * 1000 + b"\n") * 500
        assert recorder.wait_for(MessageDropped)["size"] == 4
        assert recorder.wait_for(Finished)["ok"] is True


BAD: dict[str, tuple[Framing, bytes, bytes, str]] = {
    "an endless line": (Lines(max_length=1000), b"good\n", b"x" * 5000, "longer than max_length=1000"),
    "no delimiter": (Delimited(b"--", max_length=1000), b"good--", b"-x" * 5000, "longer than max_length=1000"),
    "4 GiB": (LengthPrefixed(), b"\0\0\0\4good", b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
    "a negative length": (LengthPrefixed("!h"), b"\0\4good", b"\xff\xff", "a length of -1 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_peer_that_breaks_the_framing_is_cut_off(
    name: str, stream_kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder
) -> None:
    """With an event; what came before is answered, its handler has not failed, and the next client is served."""
    framing, good, bad, said = BAD[name]
    with serving(
        stream_kind, strategy, folder, answering(lambda self, message: message, framing), recorder
    ) as server:
        with stream_kind.client(server.address, folder) as client:
            client.sendall(good)
            assert receive(client, len(good)) == good
            client.sendall(bad)
            assert to_the_end(client) == b""
        assert said in recorder.wait_for(MessageRefused)["error"]
        assert recorder.wait_for(Finished)["ok"] is True
        assert stream_kind.ask(server.address, folder, good) == [good]
        assert server.stats.failed == 0


@pytest.mark.parametrize("error", [LookupError("on purpose"), SystemExit(3)])
def test_a_handler_that_raises_ends_its_connection_alone(
    kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder, error: BaseException
) -> None:
    """What it answered before is sent, the failure is reported, and it is disconnected."""

    def respond(self: Any, message: bytes) -> bytes:
        if message.startswith(b"bad"):
            raise error
        return message

    def disconnected(self: Any) -> None:
        recorder(Noted(word="disconnected"))

    handler = answering(respond, disconnected=disconnected)
    with serving(kind, strategy, folder, handler, recorder) as server:
        with kind.client(server.address, folder) as client:
            if kind.stream:
                client.sendall(b"one\ntwo\nbad\nthree\n")
                assert to_the_end(client) == b"one\ntwo\n"
                assert recorder.wait_for(Noted)["word"] == "disconnected"
            else:
                client.send(b"bad")
            failure = recorder.wait_for(HandlerFailed)
            assert failure["error"] == repr(error)
            assert failure["handler"].endswith(".Answering")
        assert kind.ask(server.address, folder, b"good\n") == [b"good\n"]
    assert "Noted" not in recorder.so_far() or kind.stream


def test_a_reply_of_the_wrong_type_names_the_handler(
    kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder
) -> None:
    """It is a failure as any other."""
    handler = answering(lambda self, message: [b"x", "text"])
    with (
        serving(kind, strategy, folder, handler, recorder) as server,
        kind.client(server.address, folder) as client,
    ):
        client.sendall(b"ask\n")
        error = recorder.wait_for(HandlerFailed)["error"]
        assert "test_messages_served.Answering: respond() gave, among others, 'text' (a str)" in error


def test_connected_and_disconnected(kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder) -> None:
    """Of a connection, around its messages; never of a datagram. A greeting needs no message."""

    def note(word: str, *, greet: bool = False) -> Callable[[Any], None]:
        def call(self: Any) -> None:
            recorder(Noted(word=word))
            if greet:
                assert self.send(b"hello")

        return call

    handler = answering(
        lambda self, message: message, connected=note("connected", greet=True), disconnected=note("disconnected")
    )
    with serving(kind, strategy, folder, handler, recorder) as server:
        with kind.client(server.address, folder) as client:
            if kind.stream:
                assert receive(client, 6) == b"hello\n"
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
        if kind.stream:
            assert [recorder.wait_for(Noted)["word"] for _ in range(2)] == ["connected", "disconnected"]
        assert recorder.wait_for(Finished)["ok"] is True
    assert "Noted" not in recorder.so_far()


def test_close_ends_the_connection(stream_kind: Kind, strategy: Strategy, folder: Path) -> None:
    """After the reply at hand."""

    def respond(self: Any, message: bytes) -> bytes:
        if message == b"quit":
            self.close()
        return message

    with (
        serving(stream_kind, strategy, folder, answering(respond)) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        client.sendall(b"1\n2\nquit\n3\n")
        assert to_the_end(client) == b"1\n2\nquit\n"


_GOES = """
import ast, socket, sys
address = ast.literal_eval(sys.argv[1])
if isinstance(address, str):
    client = socket.socket(socket.AF_UNIX)
else:
    client = socket.socket(socket.AF_INET6 if ":" in address[0] and address[0] != "::" else socket.AF_INET)
    address = ("127.0.0.1" if address[0] == "::" else address[0], address[1])
client.settimeout(10)
client.connect(address)
if sys.argv[2] == "True":
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = context.wrap_socket(client)
client.sendall(b"go\\n")
found = b""
while len(found) < 10010:
    found += client.recv(10010)
assert found.startswith((b"x" * 1000 + b"\\n") * 10)
"""


def test_an_endless_reply_to_a_peer_that_has_gone(
    stream_kind: Kind, here: Strategy, folder: Path, recorder: Recorder
) -> None:
    """The generator is closed, the handler disconnected, and nothing has failed."""

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            recorder(Noted(word="closed"))

    def disconnected(self: Any) -> None:
        recorder(Noted(word="disconnected"))

    handler = answering(respond, disconnected=disconnected)
    with serving(stream_kind, here, folder, handler, recorder) as server:
        # A process of its own: of a client in this one a forked handler has a copy, which nobody would close.
        target = str(server.address) if isinstance(server.address, str) else tuple(server.address)
        subprocess.run(
            [sys.executable, "-c", _GOES, repr(target), str(stream_kind.tls)], check=True, timeout=FAILSAFE
        )
        assert [recorder.wait_for(Noted)["word"] for _ in range(2)] == ["closed", "disconnected"]
        assert recorder.wait_for(PeerGone)
        assert recorder.wait_for(Finished)["ok"] is True


class Pushing(MessageHandler):
    """Lets a test send to its peers."""

    framing = Lines()
    peers: "ClassVar[list[Pushing]]"
    came: ClassVar[threading.Event]
    left: ClassVar[threading.Event]

    def connected(self) -> None:
        self.peers.append(self)
        self.came.set()

    def respond(self, message: bytes) -> bytes:
        return message

    def disconnected(self) -> None:
        self.left.set()


@pytest.fixture
def pushing() -> type[Pushing]:
    class Fresh(Pushing):
        peers: ClassVar[list[Pushing]] = []
        came = threading.Event()
        left = threading.Event()

    return Fresh


@pytest.fixture(params=[name for name in [*HERE, "executor-threads"] if name != "fork"])
def shared(request: pytest.FixtureRequest, get_strategy: Callable[[str], Strategy]) -> Strategy:
    """Each strategy whose handlers the test can reach."""
    return get_strategy(request.param)


@pytest.fixture(params=[name for name in HERE if name != "fork"])
def shared_here(request: pytest.FixtureRequest, get_strategy: Callable[[str], Strategy]) -> Strategy:
    """Each of those under which `respond` runs here."""
    return get_strategy(request.param)


def test_send_from_another_thread_goes_out_at_once(
    stream_kind: Kind, shared: Strategy, folder: Path, pushing: type[Pushing]
) -> None:
    """Although the connection waits for its peer; afterwards nothing is taken."""
    with serving(stream_kind, shared, folder, pushing) as server:
        with stream_kind.client(server.address, folder) as client:
            assert pushing.came.wait(FAILSAFE)
            assert pushing.peers[0].send(b"news")
            assert receive(client, 5) == b"news\n"
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
        assert pushing.left.wait(FAILSAFE)
        assert not pushing.peers[0].send(b"late")


def test_messages_of_many_threads_do_not_mix(
    stream_kind: Kind, shared: Strategy, folder: Path, pushing: type[Pushing]
) -> None:
    """Each is whole, between the replies, which keep their order, whatever the size of the pieces that fit."""
    size = 60_000  # all of them fit into what the table keeps for a peer that does not read yet
    words = (b"a" * size, b"b" * size, b"c" * size)
    with (
        serving(stream_kind, shared, folder, pushing) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        assert pushing.came.wait(FAILSAFE)
        barrier = threading.Barrier(len(words), timeout=FAILSAFE)
        taken: list[bool] = []

        def push(word: bytes) -> None:
            barrier.wait()
            for _ in range(5):
                taken.append(pushing.peers[0].send(word))

        threads = [threading.Thread(target=push, args=(word,)) for word in words]
        for thread in threads:
            thread.start()
        client.sendall(b"".join(b"%d\n" % number for number in range(100)))
        with client.makefile("rb") as lines:
            found = [next(lines).removesuffix(b"\n") for _ in range(100 + 15)]
        for thread in threads:
            thread.join()
    assert taken == [True] * 15
    assert [line for line in found if len(line) < 10] == [b"%d" % number for number in range(100)]
    assert sorted(line for line in found if len(line) >= 10) == sorted(words * 5)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in {"fork", "sync"}])
def test_who_sends_to_a_peer_that_does_not_read_holds_nobody_else(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections wait to send to a third, a fourth is served; nothing is lost when the third reads."""
    connections: list[MessageHandler] = []
    begun = threading.Semaphore(0)

    def connected(self: Any) -> None:
        connections.append(self)
        begun.release()

    def respond(self: Any, message: bytes) -> bytes:
        if message == b"push":
            begun.release()
            assert connections[0].send(b"x" * 300_000)  # more than the system takes
        return message

    unix = next(kind for kind in TRANSPORTS if kind.name == "unix-stream")
    handler = answering(respond, connected=connected)
    with (
        serving(unix, conftest._strategy(name, monkeypatch), folder, handler) as server,
        unix.client(server.address, folder) as third,
    ):
        assert begun.acquire(timeout=FAILSAFE)
        with (
            unix.client(server.address, folder) as one,
            unix.client(server.address, folder) as other,
            unix.client(server.address, folder) as fourth,
        ):
            for client in (one, other):
                client.sendall(b"push\n")
            for _ in range(5):  # three have connected, two begun to push
                assert begun.acquire(timeout=FAILSAFE)
            fourth.sendall(b"hello\n")
            assert receive(fourth, 6) == b"hello\n"
            assert receive(third, 600_002) == (b"x" * 300_000 + b"\n") * 2
            for client in (one, other):
                assert receive(client, 5) == b"push\n"


def test_a_handler_that_is_closed_by_another_thread(
    stream_kind: Kind, shared: Strategy, folder: Path, pushing: type[Pushing]
) -> None:
    """Its connection, that waits for its peer, ends."""
    with (
        serving(stream_kind, shared, folder, pushing) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        assert pushing.came.wait(FAILSAFE)
        pushing.peers[0].close()
        assert to_the_end(client) == b""
        assert pushing.left.wait(FAILSAFE)


def test_a_server_that_stops_disconnects(
    stream_kind: Kind, shared: Strategy, folder: Path, pushing: type[Pushing]
) -> None:
    """A connection that waits for its peer is ended, in the end, and its handler is told."""
    with stream_kind.transport(folder) as transport, Server(transport, shared, pushing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with stream_kind.client(server.address, folder):
            assert pushing.came.wait(FAILSAFE)
            server.shutdown(grace=0)
            assert pushing.left.wait(FAILSAFE)
        thread.join()
    assert server.stats.failed == 0


def test_a_datagram_handler_sends(datagram_kind: Kind, strategy: Strategy, folder: Path) -> None:
    """Before its reply, as datagrams of their own, without a framing."""

    def respond(self: Any, message: bytes) -> bytes:
        assert self.send(b"note")
        return b""

    handler = answering(respond, None)
    with serving(datagram_kind, strategy, folder, handler) as server:
        with datagram_kind.client(server.address, folder) as client:
            client.send(b"ask")
            assert [client.recv(100), client.recv(100)] == [b"note", b""]


def test_a_handler_may_want_more_than_its_request(kind: Kind, here: Strategy, folder: Path) -> None:
    """By a partial; and it knows its peer and its server."""

    class Greeting(MessageHandler):
        framing = Chunks()

        def __init__(self, *request: Any, word: bytes) -> None:
            super().__init__(*request)
            self.word = word

        def respond(self, message: bytes) -> bytes:
            assert isinstance(self.server, Server)
            return self.word + type(self.client_address).__name__.encode()

    with serving(kind, here, folder, functools.partial(Greeting, word=b"hi ")) as server:
        with kind.client(server.address, folder) as client:
            client.sendall(b"?")
            name = type(server.address).__name__.encode()
            assert client.recv(100) == b"hi " + name


@pytest.mark.parametrize("error", [LookupError("on purpose"), SystemExit(3)])
def test_a_handler_that_cannot_be_made(
    kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder, error: BaseException
) -> None:
    """Ends its request alone, reported, as what it raises later."""

    def fail(self: Any, *request: Any) -> None:
        raise error

    handler = answering(lambda self, message: message, __init__=fail)
    with serving(kind, strategy, folder, handler, recorder) as server:
        with kind.client(server.address, folder) as client:
            with contextlib.suppress(ConnectionError):  # a connection may have ended already
                client.send(b"x\n")
            assert recorder.wait_for(HandlerFailed)["error"] == repr(error)
            assert recorder.wait_for(Finished)["ok"] is False
            if kind.stream:
                assert to_the_end(client) == b""
    assert (server.stats.failed, server.stats.active) == (1, 0)


def test_what_is_not_for_a_request_alone_goes_further(folder: Path) -> None:
    """KeyboardInterrupt in a handler ends the server, after the connection has ended."""

    def respond(self: Any, message: bytes) -> bytes:
        raise KeyboardInterrupt

    server = Server(TcpTransport(("127.0.0.1", 0)), DrivenStrategy(), answering(respond))
    with server, socket.create_connection(server.address, FAILSAFE) as client:
        client.sendall(b"x\n")
        with pytest.raises(KeyboardInterrupt):
            server.handle_request()
        assert to_the_end(client) == b""
        assert (server.stats.failed, server.stats.active) == (1, 0)


# Floods.


@pytest.mark.parametrize("form", ["bytes", "generator"])
def test_a_flood_from_a_client_that_never_reads(
    form: str, stream_kind: Kind, shared_here: Strategy, folder: Path
) -> None:
    """It is not read from, once what it does not read fills the way: memory stays below a bound, for ever."""
    answered = itertools.count()

    def respond(self: Any, message: bytes) -> Reply:
        next(answered)
        return message if form == "bytes" else (message for _ in range(2))

    with (
        serving(stream_kind, shared_here, folder, answering(respond)) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        flood = (b"x" * 99 + b"\n") * 10_000
        tracemalloc.start()
        try:
            client.settimeout(0.1)  # until it is seen that nobody reads
            with pytest.raises(TimeoutError):
                for _ in range(1000):  # 1 GB, far more than any socket holds
                    client.sendall(flood)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1024 * 1024
        assert next(answered) > 0


def test_a_flood_without_an_end_of_line(stream_kind: Kind, shared: Strategy, folder: Path) -> None:
    """The connection ends, with what the limit allows in memory."""
    with (
        serving(stream_kind, shared, folder, answering(lambda self, message: message)) as server,
        stream_kind.client(server.address, folder) as client,
    ):
        flood = b"x" * 1_000_000
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionError):
                while True:
                    client.sendall(flood)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1024 * 1024


# Composition.


class NoFraming(MessageHandler):
    def respond(self, message: bytes) -> bytes:
        return message


class NoRespond(MessageHandler):
    framing = Lines()


@pytest.mark.parametrize("make", [lambda kind: kind, functools.partial], ids=["class", "partial"])
def test_a_handler_that_cannot_work_is_refused_when_composed(make: Callable[[Any], Any], folder: Path) -> None:
    """The error says what to do. Without a framing datagrams are fine."""
    tcp = TcpTransport(("127.0.0.1", 0))
    with pytest.raises(
        CompositionError, match=r"NoFraming has no framing, and TcpTransport .* LengthPrefixed\(\)"
    ):
        Server(tcp, SyncStrategy(), make(NoFraming))
    Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), make(NoFraming))
    Server(UnixDatagramTransport(folder / "s"), ForkStrategy(), make(NoFraming))
    with pytest.raises(CompositionError, match=r"NoRespond has no respond\(message\)"):
        Server(tcp, ThreadStrategy(), make(NoRespond))
    for wrong in (Lines, b"\n"):
        with pytest.raises(CompositionError, match=r"framing must be something like Lines\(\)"):
            Server(tcp, ThreadStrategy(), make(answering(lambda self, message: message, wrong)))  # type: ignore[arg-type]
