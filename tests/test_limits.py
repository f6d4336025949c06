"""Limits: how many requests are taken, of all and of one peer, and what becomes of the others."""

import contextlib
import queue
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sockserve
from kinds import AF_UNIX, STRATEGIES, EchoLines, EchoMessages, EchoPacket, echo, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    InetAddress,
    Limits,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    UnixAddress,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve._serving import farewells
from sockserve._serving.farewells import LINGER, Farewells
from sockserve._serving.peers import peer_of
from sockserve.events import Accepted, Event, LimitReached, LimitRelieved, Refused
from sockserve.testing import FakeLoop
from table_kit import tcp_pair, unix_pair
from tls_kit import server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))

#: What can tell one way of keeping count from another: a thread, a process, a row with a stack, and one without.
SERVED: dict[str, tuple[str, Any]] = {
    "thread": ("thread", EchoLines),
    "pool": ("pool", EchoLines),
    "fork": ("fork", EchoLines),
    "selector": ("selector", EchoLines),
    "messages": ("selector", EchoMessages),
}

Make = Callable[..., Server[Any, Any]]


@pytest.fixture(params=list(SERVED))
def make(request: pytest.FixtureRequest, recorder: Recorder) -> Make:
    """Compose a server with the limits that are given, over each way to serve."""
    strategy, handler = SERVED[request.param]

    def made(transport: Any = TCP, **options: Any) -> Server[Any, Any]:
        return Server(transport, STRATEGIES[strategy](), handler, limits=Limits(**options), observer=recorder)

    return made


class Client(socket.socket):
    """Talks to an echo server over TCP; its end is sent even where a forked child has a copy."""

    def __init__(self, server: Server[Any, Any], source: str = "127.0.0.1") -> None:
        super().__init__()
        self.settimeout(FAILSAFE)
        self.bind((source, 0))
        self.connect(server.address)

    def asks(self) -> bool:
        """Ask; whether it is answered."""
        self.sendall(b"x\n")
        return receive(self, 2) == b"x\n"

    def said(self) -> bytes:
        """Return all that the server still says."""
        with self.makefile("rb") as file:
            return file.read()

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        self.close()

    def __exit__(self, *error: object) -> None:
        self.leave()


def turned(server: Server[Any, Any]) -> None:
    """Wait until the loop has seen all that had come before the call."""
    seen = threading.Event()
    server._life.loop.call_soon_threadsafe(seen.set)
    assert seen.wait(FAILSAFE)


def ends_of(server: Server[Any, Any]) -> "queue.SimpleQueue[object]":
    """Give what every request that has ended, and is counted so, is put into from here on."""
    ended: queue.SimpleQueue[object] = queue.SimpleQueue()
    server._core.call_at_ends(ended.put)
    return ended


# All connections.


def test_more_than_the_limit_wait_until_one_has_ended(make: Make, recorder: Recorder) -> None:
    """The third is in the kernel's queue, with what it has said, and is accepted when another has gone."""
    with make(connections=2).running() as server, Client(server) as first, Client(server) as second:
        assert first.asks()
        assert second.asks()
        assert recorder.wait_for(LimitReached)["connections"] == 2
        with Client(server) as third:
            third.sendall(b"x\n")
            turned(server)
            assert server.stats.accepted == 2
            assert server.measure().full
            first.leave()
            assert receive(third, 2) == b"x\n"
    assert (server.stats.accepted, server.stats.refused) == (3, 0)


def test_more_than_the_limit_are_closed_where_it_says_so(make: Make, recorder: Recorder) -> None:
    """At once, counted and told; who comes when there is room is served."""
    with make(connections=1, overload="close").running() as server:
        ended = ends_of(server)
        with Client(server) as first:
            assert first.asks()
            with Client(server) as second:
                assert second.said() == b""
            assert recorder.wait_for(Refused)["reason"] == "connections"
        ended.get(timeout=FAILSAFE)
        with Client(server) as third:
            assert third.asks()
    assert (server.stats.accepted, server.stats.refused) == (2, 1)


def test_more_than_the_limit_are_told_what_it_says(make: Make) -> None:
    """All of the bytes, then the end, and no reset although what they have said is not answered."""
    with make(connections=1, overload=b"busy\n").running() as server, Client(server) as first:
        assert first.asks()
        with Client(server) as second:
            second.sendall(b"x" * 100_000)
            assert second.said() == b"busy\n"
        assert first.asks()


def test_who_is_told_has_been_counted() -> None:
    """And reported: nobody knows of a refusal before the server says so."""
    clients: queue.Queue[Client] = queue.Queue()
    found: list[tuple[bool, int]] = []

    def observer(event: Event) -> None:
        if isinstance(event, Refused):
            has_been_told = bool(select.select([clients.get(timeout=FAILSAFE)], [], [], 0)[0])
            found.append((has_been_told, server.stats.refused))

    limits = Limits(connections=1, overload=b"busy\n")
    with Server(TCP, ThreadStrategy(), EchoLines, observer=observer, limits=limits).running() as server:
        with Client(server) as first:
            assert first.asks()
            with Client(server) as second:
                clients.put(second)
                assert second.said() == b"busy\n"
    assert found == [(False, 1)]


def test_the_limit_holds_over_two_times_of_serving() -> None:
    """What the first has left in flight counts in the second, which goes on as soon as that has ended."""
    with Server(TCP, ThreadStrategy(), EchoLines, limits=Limits(connections=1)) as server:
        with contextlib.ExitStack() as stack:
            with _serving(server):
                kept = stack.enter_context(Client(server))
                assert kept.asks()
            with _serving(server), Client(server) as second:
                second.sendall(b"x\n")
                turned(server)
                assert server.stats.accepted == 1
                kept.leave()
                assert receive(second, 2) == b"x\n"


@contextlib.contextmanager
def _serving(server: Server[Any, Any]) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_a_full_server_does_not_hold_another_on_its_loop() -> None:
    """Each has its own limit."""
    full = Server(TCP, ThreadStrategy(), EchoLines, limits=Limits(connections=1))
    other = Server(TCP, ThreadStrategy(), EchoLines)
    with full, other:
        thread = threading.Thread(target=sockserve.serve, args=(full, other))
        thread.start()
        with Client(full) as first, Client(full) as waiting, Client(other) as free:
            assert first.asks()
            assert free.asks()
            first.leave()
            assert waiting.asks()
        full.shutdown()
        other.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_a_limit_that_is_reached_again_and_again_is_told_once(recorder: Recorder) -> None:
    """Until half of the requests have ended: not with each client that makes room for the next."""
    with Server(TCP, ThreadStrategy(), EchoLines, limits=Limits(connections=4), observer=recorder).running() as s:
        ended = ends_of(s)
        clients = [Client(s) for _ in range(4)]
        assert all(client.asks() for client in clients)
        for _ in range(3):
            clients.pop(0).leave()
            ended.get(timeout=FAILSAFE)
            clients.append(Client(s))
            assert clients[-1].asks()
        assert recorder.wait_for(LimitReached)["connections"] == 4
        for _ in range(2):
            clients.pop().leave()
        assert recorder.wait_for(LimitRelieved)["connections"] == 4
        assert "LimitReached" not in recorder.so_far()
        clients += [Client(s), Client(s)]
        assert all(client.asks() for client in clients)
        recorder.wait_for(LimitReached)
        for client in clients:
            client.leave()


def test_a_full_server_does_not_look_at_its_listener() -> None:
    """The client in the queue does not wake it."""
    reached, looked = threading.Event(), threading.Event()
    found: list[object] = []

    def observer(event: Event) -> None:
        if isinstance(event, LimitReached):
            reached.set()

    def look() -> None:
        found.append(server._life.loop.callback_of(server.fileno()))
        looked.set()

    server = Server(TCP, ThreadStrategy(), EchoLines, limits=Limits(connections=1), observer=observer)
    with server.running(), Client(server) as first:
        assert reached.wait(FAILSAFE)
        with Client(server) as second:
            server._life.loop.call_soon_threadsafe(look)
            assert looked.wait(FAILSAFE)
            assert found == [None]
            first.leave()
            assert second.asks()


# One peer.


def test_no_peer_takes_more_than_its_share(make: Make, recorder: Recorder) -> None:
    """One more of the same host is refused, whatever its port; others are not; its place is free when one ends."""
    with make(per_peer=2).running() as server:
        ended = ends_of(server)
        with Client(server) as first, Client(server) as second, Client(server, "127.0.0.2") as other:
            assert first.asks()
            assert second.asks()
            with Client(server) as third:
                assert third.said() == b""
            assert recorder.wait_for(Refused)["reason"] == "per_peer"
            assert other.asks()
            first.leave()
            ended.get(timeout=FAILSAFE)
            with Client(server) as again:
                assert again.asks()
    assert (server.stats.accepted, server.stats.refused) == (4, 1)
    census = server._core.admission.census
    assert census is not None
    census._count_in("another")
    assert set(census._counts) == {"another"}  # nobody is remembered


def test_a_peer_beyond_its_share_is_told_the_bytes() -> None:
    """As one beyond the limit of all is."""
    limits = Limits(per_peer=1, overload=b"busy\n")
    with Server(TCP, ThreadStrategy(), EchoLines, limits=limits).running() as server:
        with Client(server) as first, Client(server) as second:
            assert first.asks()
            assert second.said() == b"busy\n"


@pytest.mark.parametrize("answer", [True, False, None, KeyboardInterrupt])
def test_who_verify_refuses_takes_no_place(answer: Any) -> None:
    """Neither a no nor an error leaves one counted; nor is it asked about those there is no room for."""
    asked: list[object] = []

    def verify(request: object, address: object) -> bool:
        asked.append(address)
        if answer is True or len(asked) > 1:
            return True
        if answer is None:
            raise LookupError("on purpose")
        if answer is KeyboardInterrupt:
            raise KeyboardInterrupt
        return False

    def observer(event: object) -> None:
        """No log."""

    limits = Limits(per_peer=1)
    with Server(TCP, ThreadStrategy(), EchoLines, limits=limits, verify=verify, observer=observer) as server:
        with Client(server) as first:
            with pytest.raises(KeyboardInterrupt) if answer is KeyboardInterrupt else contextlib.nullcontext():
                assert server.handle_request()
            with Client(server) as second, _serving(server):
                assert second.said() == b"" if answer is True else second.asks()
                assert len(asked) == (1 if answer is True else 2)
                assert first.asks() if answer is True else first.said() == b""


def test_one_user_of_a_unix_socket_is_one_peer(folder: Path, recorder: Recorder) -> None:
    """The system tells who it is."""
    if not hasattr(socket, "SO_PEERCRED"):
        pytest.skip("the system does not tell who is at the other end")
    transport = UnixStreamTransport(str(folder / "s"))
    limits = Limits(per_peer=1)
    with Server(transport, ThreadStrategy(), EchoLines, limits=limits, observer=recorder).running() as server:
        with socket.socket(AF_UNIX) as first, socket.socket(AF_UNIX) as second:
            first.connect(server.address)
            first.sendall(b"x\n")
            assert receive(first, 2) == b"x\n"
            second.connect(server.address)
            assert second.recv(1) == b""
            assert recorder.wait_for(Refused)["reason"] == "per_peer"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (InetAddress("192.0.2.1", 1), InetAddress("192.0.2.1", 2), True),
        (InetAddress("192.0.2.1", 1), InetAddress("192.0.2.2", 1), False),
        (InetAddress("192.0.2.1", 1), InetAddress("::ffff:192.0.2.1", 1), True),
        (InetAddress("::ffff:c000:201", 1), InetAddress("192.0.2.1", 1), True),
        (InetAddress("2001:db8::1", 1), InetAddress("2001:db8::ffff:0:0:1", 1), True),
        (InetAddress("2001:db8::1", 1), InetAddress("2001:db8:0:1::1", 1), False),
        (InetAddress("2001:db8::1", 1), InetAddress("2001:0db8:0::1", 1), True),
        (InetAddress("fd00::1", 1), InetAddress("fd00::2", 1), False),
        (InetAddress("::1", 1), InetAddress("::1", 2), True),
        (InetAddress("fe80::1%eth0", 1), InetAddress("fe80::1%eth0", 2), True),
        (InetAddress("fe80::1%eth0", 1), InetAddress("fe80::1%eth1", 1), False),
        (InetAddress("fe80::1%eth0", 1), InetAddress("fe80::2%eth0", 1), False),
        (UnixAddress("unix:", uid=0), UnixAddress("/a", uid=0), True),
        (UnixAddress("unix:", uid=0), UnixAddress("unix:", uid=1), False),
        (("host", 1), ("host", 2), True),
        (("host", 1), ("another", 1), False),
    ],
)
def test_who_is_one_peer(one: object, other: object, same: bool) -> None:
    """A host, or a network that one customer has; a user."""
    assert peer_of(one) is not None
    assert (peer_of(one) == peer_of(other)) == same


@pytest.mark.parametrize("address", [UnixAddress("/a"), UnixAddress(), None, "somewhere", ([], 1), ()])
def test_whom_nobody_can_tell_is_not_limited(address: object) -> None:
    """An address of a transport of somebody else's is no reason to fail."""
    assert peer_of(address) is None


# Datagrams.


def test_datagrams_beyond_the_limit_are_answered_with_the_bytes() -> None:
    """The answer of the one that is served comes when it is made."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(EchoPacket):
        def handle(self) -> None:
            begun.set()
            assert go_on.wait(FAILSAFE)
            super().handle()

    limits = Limits(connections=1, overload=b"busy")
    with Server(UdpTransport(("127.0.0.1", 0)), ThreadStrategy(), Slow, limits=limits).running() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(FAILSAFE)
            client.connect(server.address)
            client.send(b"first")
            assert begun.wait(FAILSAFE)
            client.send(b"second")
            assert client.recv(100) == b"busy"
            go_on.set()
            assert client.recv(100) == b"first"
    assert (server.stats.accepted, server.stats.refused) == (1, 1)


def test_nobody_to_answer_is_no_harm(folder: Path, recorder: Recorder) -> None:
    """A datagram beyond the limit, from a client without an address."""
    transport = UnixDatagramTransport(str(folder / "d"))
    begun, go_on = threading.Event(), threading.Event()

    def handler(request: Any, address: object, server: object) -> None:
        begun.set()
        assert go_on.wait(FAILSAFE)

    limits = Limits(connections=1, per_peer=1, overload=b"busy")
    with Server(transport, ThreadStrategy(), handler, limits=limits, observer=recorder).running() as server:
        with socket.socket(AF_UNIX, socket.SOCK_DGRAM) as client:
            client.connect(server.address)
            client.send(b"first")
            assert begun.wait(FAILSAFE)
            client.send(b"second")
            assert recorder.wait_for(Refused)["reason"] == "connections"
            go_on.set()


# The last word.


class Bench:
    """Farewells on a loop that the test turns."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.farewells = Farewells(b"busy\n", self.loop)

    def tell(self, pair: tuple[socket.socket, socket.socket], said: bytes = b"hello") -> socket.socket:
        client, accepted = pair
        if said:
            client.sendall(said)
        self.farewells.tell(accepted)
        return client

    def turn(self) -> None:
        """Let every connection look whether there is something to read."""
        for callback in tuple(self.loop.watched.values()):
            callback(1)


@pytest.mark.parametrize("pair", [tcp_pair, unix_pair])
def test_a_last_word_is_heard_although_nobody_listens(pair: Any) -> None:
    """What the client has said is read; when it has ended, so has the connection."""
    bench = Bench()
    with bench.tell(pair()) as client:
        bench.turn()
        assert bench.loop.watched
        assert client.recv(100) == b"busy\n"
        assert client.recv(100) == b""
        bench.turn()  # nothing has come: it waits
        client.shutdown(socket.SHUT_WR)
        bench.turn()
    assert not bench.loop.watched
    assert not len(bench.loop.timers)


def test_a_client_that_goes_on_talking_is_read_for_a_second() -> None:
    """No longer, however much it has to say."""
    bench = Bench()
    with bench.tell(tcp_pair()) as client:
        for _ in range(3):
            client.sendall(b"and another thing")
            bench.turn()
            bench.loop.advance(LINGER / 4)
        assert bench.loop.watched
        bench.loop.advance(LINGER / 4)
        assert not bench.loop.watched


def test_a_client_that_has_gone_is_told_nothing() -> None:
    """Its reset, before or after, ends the connection."""
    bench = Bench()
    client, accepted = unix_pair()
    client.close()
    bench.farewells.tell(accepted)
    assert accepted.fileno() == -1
    assert not bench.loop.watched


def test_a_flood_holds_so_many_descriptors_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been read for longest gives way."""
    monkeypatch.setattr(farewells, "MOST", 2)
    bench = Bench()
    with bench.tell(unix_pair(), b"") as first, bench.tell(unix_pair()), bench.tell(unix_pair()):
        assert first.recv(100) == b"busy\n"
        assert first.recv(100) == b""
        with pytest.raises(BrokenPipeError):
            first.send(b"closed")
        assert len(bench.loop.watched) == 2
        bench.farewells.close_all()
    assert not bench.loop.watched


def test_a_loop_that_is_left_waits_for_no_last_word() -> None:
    """Descriptors are released with the server, whoever still talks (the fixture counts them)."""
    limits = Limits(per_peer=1, overload=b"busy\n")
    with Server(TCP, ThreadStrategy(), EchoLines, limits=limits).running() as server:
        with Client(server) as first, Client(server) as second:
            assert first.asks()
            assert receive(second, 5) == b"busy\n"
            server.shutdown()
            assert second.said() == b""


def test_a_forked_child_has_no_copy_of_those_that_are_told(recorder: Recorder) -> None:
    """Else they would see no end before the child's; and what it counts is not the server's."""
    limits = Limits(connections=8, per_peer=1, overload=b"busy\n")

    def handler(request: Any, address: object, server: Any) -> None:
        lingering = server._core.admission._farewells._open
        request.sendall(b"%d" % sum(sock.fileno() >= 0 for sock in lingering))
        request.recv(1)

    with Server(TCP, STRATEGIES["fork"](), handler, limits=limits, observer=recorder).running() as server:
        with Client(server) as first, Client(server) as second:
            assert first.recv(10) == b"0"
            assert receive(second, 5) == b"busy\n"
            with Client(server, "127.0.0.2") as third:
                assert third.recv(10) == b"0"
            recorder.wait_for(Accepted)


def test_the_bytes_go_out_below_tls() -> None:
    """As they are: here an alert, which every client understands."""
    alert = b"\x15\x03\x03\x00\x02\x02\x50"  # RFC 5246, 7.2: fatal, internal_error
    transport = TlsTransport(TCP, server_context())
    limits = Limits(per_peer=1, overload=alert)
    with Server(transport, ThreadStrategy(), echo, limits=limits).running() as server:
        with Client(server), Client(server) as second:
            assert second.said() == alert


def test_an_observer_hears_of_the_limit_only_if_it_wants_to() -> None:
    """Like all events."""

    class Deaf:
        def wants(self, kind: type[Event]) -> bool:
            return False

        def __call__(self, event: Event) -> None:
            raise AssertionError(event)

    limits = Limits(connections=1)
    with Server(TCP, SyncStrategy(), EchoLines, limits=limits, observer=Deaf()).running() as server:
        for _ in range(2):
            with Client(server) as client:
                assert client.asks()
