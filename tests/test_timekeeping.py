"""What keeps deadlines, part by part: who is looked at when, what sockets write down, what the system tells."""

import contextlib
import gc
import os
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fakes import FakeCore, FakeRunner
from recorder import FAILSAFE
from sockserve import Deadlines, Server, StreamRequestHandler, SyncStrategy, TcpTransport
from sockserve import _pulse as pulses
from sockserve._pulse import MOVED, PIECE, WAITS, WRITING, PulsedSocket, StampedSocket, WatchedSocket, watched
from sockserve._serving import timekeeping
from sockserve._serving.timekeeping import INSIST, LAST_RESORT, Timekeeper
from sockserve._serving.watchman import Watchman
from sockserve._traffic import Traffic, traffic_of, unread
from sockserve.events import DeadlinePassed, Event
from sockserve.testing import FakeLoop
from table_kit import tcp_pair, unix_pair

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

PAIRS = {"tcp": tcp_pair, "unix": unix_pair}


# Who is looked at, and when.


class Job:
    """A connection that waits, or not, as the test says."""

    stream = True
    client_address = "client"
    request: object = None

    def __init__(self, bench: "Bench", waits: float = 0.0) -> None:
        self.bench = bench
        self.waits = waits
        self.moved = 0.0
        self.keeper: Any = None
        self.aborted_at: list[float] = []
        self.killed_at: list[float] = []

    def abort(self) -> None:
        self.aborted_at.append(self.bench.loop.time())

    def kill(self) -> None:
        self.killed_at.append(self.bench.loop.time())


class PulseFakeRunner(FakeRunner):
    """Knows what its jobs say."""

    looks = 0

    def pulse(self, job: Any, /) -> tuple[float, float]:
        type(self).looks += 1
        return job.waits, job.moved


class Bench:
    """A timekeeper on a loop that the test turns."""

    def __init__(self, **deadlines: float) -> None:
        self.loop, self.core = FakeLoop(), FakeCore()
        self.keeper: Timekeeper[Any, Any] = Timekeeper(self.core, Deadlines(**deadlines))  # type: ignore[arg-type]
        self.runner = PulseFakeRunner()
        PulseFakeRunner.looks = 0
        self.began = self.loop.time()
        self.keeper.enter(self.loop, self.runner)

    def job(self, waits: float = 0.0) -> Any:
        made: Any = Job(self, waits)
        self.keeper.begin(made, self.loop.time())
        return made

    def passed(self) -> list[str]:
        return [event.deadline for event in self.core.events if isinstance(event, DeadlinePassed)]


def test_the_total_is_from_the_acceptance() -> None:
    """To the second, whatever happens in between."""
    bench = Bench(total=10.0)
    job = bench.job()
    bench.loop.advance(9.9)
    assert not job.aborted_at
    bench.loop.advance(0.1)
    assert job.aborted_at == [bench.began + 10.0]
    assert bench.passed() == ["total"]
    bench.loop.advance(100.0)
    assert len(job.aborted_at) == 1


def test_silence_is_from_the_last_word() -> None:
    """A deadline that was put off is looked at again when it could be over, to the second."""
    bench = Bench(idle=10.0)
    job = bench.job(waits=bench.began)
    bench.loop.advance(4.0)
    job.waits = bench.loop.time()
    bench.loop.advance(6.0)
    assert not job.aborted_at
    bench.loop.advance(3.9)
    assert not job.aborted_at
    bench.loop.advance(0.1)
    assert job.aborted_at == [bench.began + 14.0]
    assert bench.passed() == ["idle"]


def test_what_is_sent_is_no_silence_and_neither_is_work() -> None:
    """While a job waits for nothing, or something goes out, there is time."""
    bench = Bench(idle=10.0)
    works, sends = bench.job(), bench.job(waits=bench.began)
    bench.loop.advance(9.0)
    sends.moved = bench.loop.time()
    bench.loop.advance(9.0)
    assert not works.aborted_at
    assert not sends.aborted_at
    bench.loop.advance(1.0)
    assert sends.aborted_at == [bench.began + 19.0]
    bench.loop.advance(1000.0)
    assert not works.aborted_at


def test_the_earlier_of_two_deadlines_counts() -> None:
    """Whichever that is."""
    bench = Bench(idle=10.0, total=15.0)
    silent, talks = bench.job(waits=bench.began), bench.job(waits=bench.began)
    bench.loop.advance(8.0)
    talks.waits = bench.loop.time()
    bench.loop.advance(2.0)
    assert silent.aborted_at == [bench.began + 10.0]
    bench.loop.advance(5.0)
    assert talks.aborted_at == [bench.began + 15.0]
    assert bench.passed() == ["idle", "total"]


def test_a_request_costs_no_timer_and_a_connection_one_when_it_is_old() -> None:
    """Many that come and go: one timer. Those that stay: one each, that is set anew once in a deadline."""
    bench = Bench(idle=10.0)
    for _ in range(1000):
        bench.keeper.end(bench.job())
    assert len(bench.loop.timers) == 1
    assert PulseFakeRunner.looks == 0
    jobs = [bench.job(waits=bench.began) for _ in range(10)]
    for _ in range(100):
        bench.loop.advance(1.0)
        for job in jobs:
            job.waits = bench.loop.time()  # a request
    assert len(bench.loop.timers) == 10
    assert PulseFakeRunner.looks <= 10 * 11
    for job in jobs:
        bench.keeper.end(job)
    assert not any(job.aborted_at for job in jobs)


def test_nothing_is_kept_of_what_has_ended() -> None:
    """Neither of young ones nor of old ones; at the next connection at the latest."""
    bench = Bench(idle=10.0)
    job: Any = None
    jobs = [bench.job(waits=bench.began) for _ in range(3)]
    bench.loop.advance(4.0)
    jobs.append(bench.job())
    for job in jobs:
        job.waits = bench.loop.time()
    bench.loop.advance(6.0)  # three of them are looked at
    forgotten = [weakref.ref(each) for each in jobs]
    job = None
    while jobs:
        bench.keeper.end(jobs.pop())
    bench.keeper.end(bench.job())
    gc.collect()
    assert [ref() for ref in forgotten] == [None] * 4
    bench.loop.advance(100.0)
    assert bench.passed() == []
    assert len(bench.loop.timers) == 0


def test_one_that_ends_while_it_is_looked_at_is_forgotten() -> None:
    """Requests end in any thread."""
    bench = Bench(idle=10.0)
    job = bench.job(waits=bench.began)
    young = bench.keeper._young

    class Racing(dict[Any, float]):
        def pop(self, key: Any, *default: Any) -> Any:
            bench.keeper._young = young
            bench.keeper.end(key)
            return young.pop(key, *default)

    bench.keeper._young = Racing(young)
    bench.loop.advance(10.0)
    assert not job.aborted_at
    assert not bench.keeper._old
    assert not bench.keeper._young


def test_another_loop_goes_on_where_the_last_has_left() -> None:
    """The old one has no timer left; young and old are looked at on the new one."""
    bench = Bench(idle=10.0)
    old = bench.job(waits=bench.began)
    bench.loop.advance(5.0)
    old.waits = bench.loop.time()
    bench.loop.advance(5.0)
    young = bench.job(waits=bench.loop.time())
    bench.keeper.leave()
    assert len(bench.loop.timers) == 0
    other = FakeLoop()
    other.clock.now = bench.loop.time()
    bench.keeper.enter(other, bench.runner)
    bench.loop = other
    other.advance(5.0)
    assert (old.aborted_at, young.aborted_at) == ([other.time()], [])
    other.advance(5.0)
    assert young.aborted_at == [other.time()]


def test_who_has_a_request_of_ours_is_told_again_and_kills_in_the_end() -> None:
    """Every tenth of a second, for a second: a process may miss a signal, and may not listen."""
    bench = Bench(total=10.0)
    job, quick = bench.job(), bench.job()
    job.keeper, quick.keeper = Job(bench), Job(bench)
    bench.loop.advance(10.0)
    quick.keeper = None
    bench.keeper.end(quick)
    for _ in range(round(LAST_RESORT / INSIST) + 5):
        bench.loop.advance(INSIST)
    assert len(job.keeper.aborted_at) == pytest.approx(LAST_RESORT / INSIST, abs=1)
    assert job.keeper.killed_at == [pytest.approx(bench.began + 10.0 + LAST_RESORT, abs=INSIST)]
    assert not job.aborted_at
    assert bench.passed() == ["total", "total"]


def test_who_does_not_listen_is_told_nothing() -> None:
    """An event that nobody wants is not made."""
    bench = Bench(total=1.0)
    bench.core.deaf = True
    job = bench.job()
    bench.loop.advance(1.0)
    assert job.aborted_at
    assert bench.core.events == []


class TestTraffic:
    """What the system tells of a TCP connection, against what the pulse says."""

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What it tells; ``at`` is the time, and ages are from there."""
        told: dict[str, Any] = {"received": 0.0, "taken": 0.0, "acknowledged": 0, "stalled": False}

        def traffic(sock: object) -> Traffic:
            now = told["bench"].loop.time()
            return Traffic(
                received=1,
                segments=1,
                acknowledged=told["acknowledged"],
                stalled=told["stalled"],
                since_received=now - told["received"],
                since_sent=0.0,
                since_acknowledged=now - told["taken"],
            )

        monkeypatch.setattr(timekeeping, "traffic_of", traffic)
        return told

    def _job(self, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, Any]:
        bench = told["bench"] = Bench(idle=10.0)
        monkeypatch.setattr(timekeeping, "monotonic", bench.loop.time)
        job = bench.job()
        told["received"] = told["taken"] = bench.began
        return bench, job

    def test_what_has_come_or_was_taken_is_no_silence(
        self, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench, job = self._job(told, monkeypatch)
        with contextlib.ExitStack() as stack:
            left, right = socket.socketpair()
            stack.enter_context(left)
            job.request = stack.enter_context(right)
            job.waits = bench.began
            for _ in range(3):  # it trickles in, into a read that waits for all
                bench.loop.advance(6.0)
                told["received"] = bench.loop.time()
            for _ in range(3):  # what another thread sends is taken
                bench.loop.advance(6.0)
                told["acknowledged"] += 1
                told["taken"] = bench.loop.time()
            assert not job.aborted_at
            bench.loop.advance(10.0)
            assert job.aborted_at

    def test_a_peer_that_takes_nothing_is_silent_although_nobody_reads(
        self, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That its system is alive, and says so when it is asked for room, is not enough."""
        bench, job = self._job(told, monkeypatch)
        left, right = socket.socketpair()
        with left, right:
            job.request = right
            told["stalled"] = True
            for _ in range(4):
                bench.loop.advance(2.5)
                told["taken"] = bench.loop.time()
                told["acknowledged"] += 1
            assert not job.aborted_at
            for _ in range(5):
                bench.loop.advance(2.5)
                told["taken"] = bench.loop.time()
            assert job.aborted_at

    def test_a_socket_of_a_class_of_somebody_elses_is_judged_by_its_traffic(
        self, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is none to judge by, it is never called silent."""

        class Own(socket.socket):
            pass

        for known in (True, False):
            if not known:
                monkeypatch.setattr(timekeeping, "traffic_of", lambda sock: None)
            bench, job = self._job(told, monkeypatch)
            bench.keeper.enter(bench.loop, FakeRunner())
            left, right = socket.socketpair()
            with left, Own(right.family, right.type, right.proto, right.detach()) as job.request:
                bench.loop.advance(9.0)
                assert not job.aborted_at
                bench.loop.advance(100.0)
                assert bool(job.aborted_at) is known


# What sockets write down.


@pytest.fixture(params=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, WatchedSocket]]:
    """A client, and a watched connection to it."""
    client, accepted = PAIRS[request.param]()
    with client, watched(accepted) as server:
        assert accepted.fileno() == -1
        yield client, server


def _stamped() -> tuple[socket.socket, WatchedSocket]:
    client, accepted = tcp_pair()
    return client, watched(accepted, [0.0] * pulses.LENGTH)


READS: dict[str, Callable[[socket.socket], object]] = {
    "recv": lambda sock: sock.recv(100),
    "recv_into": lambda sock: sock.recv_into(bytearray(100)),
    "recvfrom": lambda sock: sock.recvfrom(100),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(100)),
    "recvmsg": lambda sock: sock.recvmsg(100),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(100)]),
    "file": lambda sock: sock.makefile("rb", buffering=0).read(100),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_that_waits_is_noted_until_something_comes(
    pair: tuple[socket.socket, WatchedSocket], read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first try on; one that is tried again is the same wait."""
    client, server = pair
    now = iter([5.0, 7.0])
    monkeypatch.setattr(pulses, "monotonic", lambda: next(now))
    server.settimeout(0.001)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            server.recv(1)
        assert server.pulse[WAITS] == 5.0
    client.sendall(b"x")
    server.settimeout(None)
    READS[read](server)
    assert server.pulse[WAITS] == 0.0


def _send_file(sock: socket.socket, data: bytes, folder: Path) -> None:
    (folder / "data").write_bytes(data)
    with (folder / "data").open("rb") as file:
        assert sock.sendfile(file) == len(data)


WRITES: dict[str, Callable[[socket.socket, bytes, Path], object]] = {
    "sendall": lambda sock, data, folder: sock.sendall(data),
    "send": lambda sock, data, folder: sock.send(data),
    "view": lambda sock, data, folder: sock.sendall(memoryview(data).cast("I")),
    "sendmsg": lambda sock, data, folder: sock.sendmsg([data[:10], data[10:]]),
    "sendfile": _send_file,
    "file": lambda sock, data, folder: sock.makefile("wb").write(data),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("timeout", [None, FAILSAFE])
def test_all_is_sent_and_each_piece_noted(write: str, timeout: float | None, folder: Path) -> None:
    """Large data in pieces, so that a slow peer is seen to take some; in order, whole, with a timeout as well."""
    client, server = _stamped()
    data = os.urandom(4 * PIECE + 4 if timeout is None or write not in {"send", "sendmsg"} else 100)
    received: list[bytes] = []

    def receive() -> None:
        while piece := client.recv(1 << 16):
            received.append(piece)

    thread = threading.Thread(target=receive)
    thread.start()
    with client, server:
        server.settimeout(timeout)
        WRITES[write](server, data, folder)
        assert server.pulse[MOVED] > 0
        assert server.pulse[WRITING] == 0.0
        server.shutdown(socket.SHUT_WR)
        thread.join(FAILSAFE)
    assert b"".join(received) == data


def test_while_it_waits_for_room_it_waits_for_its_peer() -> None:
    """And not a moment longer, whatever the write comes to."""
    client, server = _stamped()
    seen: list[tuple[float, float]] = []

    class Numbers(list[float]):
        def __setitem__(self, index: Any, value: Any) -> None:
            super().__setitem__(index, value)
            seen.append(pulses.waits_since(self))

    with client, server:
        server.pulse = Numbers([0.0] * pulses.LENGTH)
        server.settimeout(0.01)
        with pytest.raises(TimeoutError):
            server.sendall(bytes(32_000_000))
        assert any(waits == moved > 0 for waits, moved in seen)
        assert pulses.waits_since(server.pulse)[0] == 0.0


def test_a_time_limit_is_for_all_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each piece."""
    client, server = _stamped()
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(pulses, "monotonic", clock)
    with client, server:
        server.settimeout(5.0)
        with pytest.raises(TimeoutError, match="timed out"):
            server.sendall(bytes(20 * PIECE))


def test_an_empty_write_is_one() -> None:
    """As of a plain socket."""
    client, server = _stamped()
    with client, server:
        server.sendall(b"")
        assert server.send(b"") == 0
        server.sendall(b"x")
        assert client.recv(10) == b"x"


def test_what_the_system_knows_the_socket_does_not_write(pair: tuple[socket.socket, WatchedSocket]) -> None:
    """Of TCP connections on Linux, as cheap as that; everything of others."""
    client, server = pair
    told = traffic_of(client) is not None
    assert isinstance(server, StampedSocket) is not told
    server.sendall(b"x")
    assert bool(server.pulse[MOVED]) is not told
    assert server.gettimeout() is None
    with server.dup() as other:
        assert type(other) is type(server)
        assert other.pulse is server.pulse


def test_a_timeout_is_taken_along() -> None:
    """Of whoever has set it on the plain socket."""
    client, accepted = unix_pair()
    accepted.settimeout(3.0)
    with client, watched(accepted) as server:
        assert server.gettimeout() == 3.0
    assert isinstance(server, PulsedSocket)


def test_no_descriptor_is_lost_where_there_is_no_socket_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed: nobody else has it (the fixture counts)."""
    client, accepted = unix_pair()
    monkeypatch.setattr(pulses.PulsedSocket, "__init__", lambda *args: 1 / 0, raising=False)
    with client, pytest.raises(ZeroDivisionError):
        watched(accepted)


# What the system tells.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_the_system_tells_of_a_tcp_connection() -> None:
    """What has come, what was taken, what was not."""
    client, server = tcp_pair()
    with client, server:
        new = traffic_of(server)
        assert new is not None
        assert (new.received, new.segments, new.stalled) == (0, 0, False)
        client.sendall(b"hello")
        server.recv(10)
        server.sendall(b"hi")
        client.recv(10)
        told = traffic_of(server)
        assert told is not None
        assert (told.received, told.segments) == (5, 1)
        assert max(told.since_received, told.since_sent) < FAILSAFE
        server.settimeout(0.01)
        with contextlib.suppress(TimeoutError):
            server.sendall(bytes(32_000_000))
        full = traffic_of(server)
        assert full is not None
        assert full.stalled
        assert full.acknowledged > told.acknowledged
    assert traffic_of(server) is None


def test_of_others_it_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unix connections, and systems that are not asked, or say less."""
    with contextlib.ExitStack() as stack:
        for sock in unix_pair():
            assert traffic_of(stack.enter_context(sock)) is None
        client, server = (stack.enter_context(sock) for sock in tcp_pair())
        monkeypatch.setattr("sockserve._traffic._INFO", attrs.make_class("Longer", [])())
        monkeypatch.setattr(sys.modules["sockserve._traffic"]._INFO, "size", 10_000, raising=False)
        if sys.platform == "linux":
            assert traffic_of(server) is None
        assert unread(server) == 0
        client.sendall(b"12345")
        server.recv(1, socket.MSG_PEEK)
        assert unread(server) == 5
    assert unread(server) is None


# A thread that keeps time.


def test_a_watchman_calls_in_order_and_forgets_what_is_cancelled() -> None:
    """With the clock of the loop, and in a thread that ends with it."""
    called: list[int] = []
    done = threading.Event()
    watchman = Watchman(lambda: 100.0)
    last = watchman.call_at(300.0, lambda: called.append(4))
    with watchman._changed:  # it begins when all are there
        watchman.call_at(100.0, lambda: called.append(2))
        watchman.call_at(99.0, lambda: called.append(1))
    watchman.call_at(301.0, lambda: called.append(3)).cancel()
    watchman.call_at(100.0, done.set)
    assert done.wait(FAILSAFE)
    assert called == [1, 2]
    last.cancel()
    assert watchman._timers.next_due() is None
    watchman.close()
    assert called == [1, 2]


def test_a_watchman_without_work_has_no_thread() -> None:
    """And can be closed all the same, also by what it calls."""
    Watchman(lambda: 0.0).close()
    watchman, closed = Watchman(lambda: 0.0), threading.Event()

    def close() -> None:
        watchman.close()
        closed.set()

    watchman.call_at(0.0, close)
    assert closed.wait(FAILSAFE)


def test_an_observer_may_stop_the_server_from_the_watchmans_thread() -> None:
    """The loop's thread waits for it to end, and it for the loop: in the right order."""
    client = socket.socket()

    def observer(event: Event) -> None:
        if isinstance(event, DeadlinePassed):
            server.shutdown()
            client.close()

    class Wait(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read()

    transport = TcpTransport(("127.0.0.1", 0))
    server: Server[Any, Any] = Server(
        transport, SyncStrategy(), Wait, deadlines=Deadlines(idle=0.01), observer=observer
    )
    with server:
        client.connect(server.address)
        server.serve_forever()
    assert server.stats.finished == 1
