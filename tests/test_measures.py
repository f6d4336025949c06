"""What a server tells of itself: its state, how long its requests take, what happens, what the kernel holds."""

import contextlib
import os
import signal
import socket
import sys
import threading
from typing import Any

import pytest

from fakes import FakeCore, FakeJob
from kinds import EchoLines, EchoMessages, echo
from recorder import FAILSAFE, Recorder
from sockserve import (
    Distribution,
    ForkStrategy,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    Stats,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
    serve,
)
from sockserve._loop.loop import EventLoop
from sockserve._measuring.cells import BOUNDS, COUNT, TURNS, Histogram, distribution
from sockserve._table.runner import TableRunner
from sockserve.abc import Strategy
from sockserve.events import Event, Finished, HandlerFailed, HandlerSlow, WorkerReplaced, WorkerStarted

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


def ask(server: Server[Any, Any], times: int = 1) -> None:
    """Send so many lines over one connection, each when the one before was answered; await the end."""
    with socket.create_connection(server.address, FAILSAFE) as client:
        for _ in range(times):
            client.sendall(b"x\n")
            assert client.recv(10) == b"x\n"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""


def nothing(event: Event) -> None:
    """Observe, and want everything."""


class Blind:
    """An observer that wants nothing, and says so."""

    def wants(self, kind: type[Event]) -> bool:
        return False

    def __call__(self, event: Event) -> None:
        raise AssertionError(f"not wanted: {event!r}")


# Distributions.


def test_a_duration_belongs_to_the_class_whose_end_it_reaches() -> None:
    """As Prometheus has it: `le`, less or equal."""
    cells = [0] * COUNT
    histogram = Histogram(cells, TURNS)
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.001, BOUNDS[-1], BOUNDS[-1] + 1):
        histogram.add(seconds)
    found = distribution(cells, TURNS)
    assert found.counts == (2, 1, *[0] * (len(BOUNDS) - 3), 1, 1)
    assert found.count == 5
    assert found.total == pytest.approx(2 * BOUNDS[-1] + 1 + 2.001 * BOUNDS[0])
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_a_quantile_is_the_end_of_the_class_that_reaches_it() -> None:
    """Of ten, the fifth decides the half; of none there is none."""
    found = Distribution(bounds=(1.0, 2.0), counts=(5, 4, 1), total=0.0)
    assert [found.quantile(part) for part in (0.0, 0.5, 0.51, 0.9, 0.91, 1.0)] == [1, 1, 2, 2, *[float("inf")] * 2]
    assert Distribution(bounds=(1.0, 2.0), counts=(0, 0, 0), total=0.0).quantile(0.5) is None
    assert Distribution(bounds=(1.0, 2.0), counts=(0, 3, 0), total=0.0).quantile(0.0) == 2.0


# Requests.


@pytest.mark.parametrize(
    "strategy",
    [SyncStrategy(), ThreadStrategy(), ForkStrategy(), SelectorStrategy()],
    ids=lambda each: type(each).__name__,
)
def test_each_request_is_timed_once(strategy: Strategy) -> None:
    """Wherever it runs, and whatever the observer wants; the sum is no more than what a clock showed."""
    server = Server(TCP, strategy, EchoLines, observer=Blind())
    assert server.measure().durations.count == 0
    with server.running():
        for _ in range(3):
            ask(server)
    found = server.measure()
    assert found.durations.count == server.stats.finished == 3
    assert 0 < found.durations.total < FAILSAFE
    assert (found.turns is None) == (not isinstance(strategy, SelectorStrategy))


def test_nothing_is_timed_where_nobody_asks(recorder: Recorder) -> None:
    """Nor is the observer that wants it worse off where somebody does."""
    with Server(TCP, ThreadStrategy(), echo, observer=Blind()).running() as server:
        ask(server)
        assert not server._core.tells_finished
    with Server(TCP, ThreadStrategy(), echo, observer=recorder).running() as server:
        server.measure()
        ask(server)
        assert recorder.wait_for(Finished)["ok"] is True


@pytest.mark.parametrize("handler", [EchoLines, EchoMessages])
def test_each_question_of_a_connection_is_a_turn_in_the_table(handler: Any) -> None:
    """Also where measuring begins while the table is at work; slow turns alone are reported as such."""
    with Server(TCP, SelectorStrategy(), handler, observer=nothing).running() as server:
        ask(server)
        assert server.measure().turns is not None
        before = _turns(server)
        ask(server, 20)
        assert 20 <= _turns(server) - before <= 24  # its beginning and its end besides
        assert "HandlerSlow" not in server.measure().events


def _turns(server: Server[Any, Any]) -> int:
    turns = server.measure().turns
    assert turns is not None
    return turns.count


def test_a_slow_turn_is_timed_and_reported() -> None:
    """Neither instead of the other."""
    core, seconds = FakeCore(), list[float]()
    runner = TableRunner(0.1, EventLoop(), core)
    runner.time_turns(seconds.append)
    for duration in (0.1, 0.11):
        runner._job_held(FakeJob(), duration)
    assert seconds == [0.1, 0.11]
    assert [type(event) for event in core.events] == [HandlerSlow]


def test_events_are_counted_whatever_the_observer_wants() -> None:
    """All but the two of every request, which `stats` has."""

    def fail(request: Any, client_address: Any, server: Any) -> None:
        raise ValueError("on purpose")

    server = Server(TCP, SyncStrategy(), fail, observer=Blind())
    server.measure()
    with server.running():
        for _ in range(2):
            with socket.create_connection(server.address, FAILSAFE) as client:
                assert client.recv(1) == b""
    assert server.measure().events == {
        "Listening": 1,
        "HandlerFailed": 2,
        "Draining": 1,
        "Drained": 1,
        "Closed": 1,
    }


def test_an_observer_hears_what_it_wants_while_events_are_counted() -> None:
    """And no more."""
    heard = list[Event]()

    class Picky:
        def wants(self, kind: type[Event]) -> bool:
            return kind is HandlerFailed

        def __call__(self, event: Event) -> None:
            heard.append(event)

    def fail(request: Any, client_address: Any, server: Any) -> None:
        raise ValueError("on purpose")

    server = Server(TCP, SyncStrategy(), fail, observer=Picky())
    server.measure()
    with server.running():
        with socket.create_connection(server.address, FAILSAFE) as client:
            assert client.recv(1) == b""
    assert [type(event) for event in heard] == [HandlerFailed]


def test_rows_tell_since_when_where_requests_are_timed() -> None:
    """Under threads it is known only then."""
    with Server(TCP, ThreadStrategy(), EchoLines).running() as server:
        for timed in (False, True):
            with socket.create_connection(server.address, FAILSAFE) as client:
                client.sendall(b"x\n")
                assert client.recv(10) == b"x\n"
                (row,) = server.rows()
                assert (row.since is not None) == timed
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
            while server.stats.active:
                pass  # the thread ends in a moment
            server.measure()


@pytest.mark.parametrize("strategy", [ThreadStrategy(), SelectorStrategy()], ids=lambda each: type(each).__name__)
def test_the_oldest_rows_are_told_first(strategy: Strategy) -> None:
    """As many as were asked for."""
    with Server(TCP, strategy, EchoLines).running() as server, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(6):
            client = stack.enter_context(socket.create_connection(server.address, FAILSAFE))
            client.sendall(b"x\n")
            assert client.recv(10) == b"x\n"
            clients.append(client.getsockname())
        assert [row.client_address for row in server.rows(4)] == clients[:4]
        assert {row.client_address for row in server.rows()} == set(clients)
        assert len(server.rows(9)) == 6
        assert server.rows(0) == []


# The strategy, the kernel.


def test_full_and_the_queue_are_told() -> None:
    """One thread, and it is taken: the others wait in the kernel."""
    with Server(TCP, ThreadPoolStrategy(workers=1), EchoLines).running() as server:
        assert (server.measure().full, server.measure().queued) == (False, 0)
        with socket.create_connection(server.address, FAILSAFE) as first:
            first.sendall(b"x\n")
            assert first.recv(10) == b"x\n"
            waiting = [socket.create_connection(server.address, FAILSAFE) for _ in range(3)]
            assert (server.measure().full, server.measure().queued) == (True, 3)
            for each in waiting:
                each.close()
    assert (server.measure().queued, server.measure().dropped) == (None, None)


def test_datagrams_that_found_no_room_are_told() -> None:
    """As the kernel counts them; connections have none."""
    udp = UdpTransport(
        ("127.0.0.1", 0), configure=lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    )
    with Server(udp, SyncStrategy(), echo) as server:
        assert server.measure().dropped == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(100):
                client.sendto(b"x" * 1000, server.address)
        dropped = server.measure().dropped
        assert dropped is not None
        assert 50 < dropped < 100
        assert server.measure().queued is None


# Several on one loop, and who watches.


def test_the_states_that_a_server_tells() -> None:
    """New, listening, serving, draining, listening, closed."""
    server = Server(TCP, ThreadStrategy(), EchoLines)
    told: list[str] = [server.state]
    with server:
        told.append(server.state)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.create_connection(server.address, FAILSAFE) as client:
            client.sendall(b"x\n")
            assert client.recv(10) == b"x\n"
            told.append(server.state)
            server.request_stop(FAILSAFE)
            told.append(server.state)
        thread.join(FAILSAFE)
        told.append(server.state)
    told.append(server.state)
    assert told == ["new", "listening", "serving", "draining", "listening", "closed"]


def test_who_is_served_beside_others_is_left_with_the_last_of_them() -> None:
    """It answers while they drain, and its own clients do not keep it."""
    first, second = (Server(TCP, ThreadStrategy(), EchoLines) for _ in range(2))
    beside = Server(TCP, SelectorStrategy(), EchoLines)
    with first, second, beside:
        thread = threading.Thread(target=serve, args=(first, second), kwargs={"beside": [beside]})
        thread.start()
        with (
            socket.create_connection(second.address, FAILSAFE) as held,
            socket.create_connection(beside.address, FAILSAFE) as watcher,
        ):
            held.sendall(b"x\n")
            assert held.recv(10) == b"x\n"
            first.shutdown()
            second.request_stop(grace=FAILSAFE)
            watcher.sendall(b"x\n")
            assert watcher.recv(10) == b"x\n"
            held.close()
            assert watcher.recv(10) == b""
        thread.join(FAILSAFE)
        assert not thread.is_alive()
        assert {each.state for each in (first, second, beside)} == {"listening"}


def test_who_is_served_beside_others_may_be_stopped_alone() -> None:
    """The others go on."""
    server, beside = Server(TCP, ThreadStrategy(), EchoLines), Server(TCP, SelectorStrategy(), EchoLines)
    with server, beside:
        thread = threading.Thread(target=serve, args=(server,), kwargs={"beside": [beside]})
        thread.start()
        ask(beside)
        beside.shutdown()
        assert beside.state == "listening"
        ask(server)
        server.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


# Several processes.


def echo_pid(request: Any, client_address: Any, server: Any) -> None:
    """Answer each line with the process, and what is measured there; fail at "fail"."""
    with request.makefile("rb") as lines:
        for line in lines:
            if line == b"fail\n":
                raise ValueError("on purpose")
            request.sendall(b"%d %d\n" % (os.getpid(), server.measure().durations.count))


@pytest.mark.parametrize("inner", [SyncStrategy(), SelectorStrategy()], ids=lambda each: type(each).__name__)
def test_what_workers_measure_is_in_the_whole(inner: Strategy, recorder: Recorder) -> None:
    """Durations, turns and events of all, those that have ended too, told in the parent and in each worker."""
    server = Server(TCP, PreforkStrategy(inner, workers=2), echo_pid, observer=recorder)
    server.measure()
    pid = 0
    with server.running():
        for number in range(4):
            with socket.create_connection(server.address, FAILSAFE) as client:
                client.sendall(b"ask\n")
                pid, seen = map(int, client.recv(100).split())
                assert seen == number
                client.sendall(b"fail\n")
                assert client.recv(100) == b""
            recorder.wait_for(Finished)
        os.kill(pid, signal.SIGKILL)
        recorder.wait_for(WorkerReplaced)
        measured = server.measure()
    assert measured.durations.count == 4
    assert 0 < measured.durations.total < FAILSAFE
    assert (measured.events["HandlerFailed"], measured.events["WorkerDied"]) == (4, 1)
    assert (measured.turns is None) == (inner == SyncStrategy())
    assert measured.full is False


def test_the_processes_that_serve_are_told(recorder: Recorder) -> None:
    """By their places, with what each has counted itself; under other strategies there are none."""
    with Server(TCP, PreforkStrategy(workers=2), echo_pid, observer=recorder).running() as server:
        started = {recorder.wait_for(WorkerStarted)["pid"] for _ in range(2)}
        found = server.workers()
        assert {worker.pid for worker in found} == started
        assert [(worker.number, worker.state, worker.stats) for worker in found] == [
            (0, "serving", Stats(0, 0, 0, 0, 0)),
            (1, "serving", Stats(0, 0, 0, 0, 0)),
        ]
        assert all(worker.since is not None for worker in found)
        with socket.create_connection(server.address, FAILSAFE) as client:
            client.sendall(b"ask\n")
            pid = int(client.recv(100).split()[0])
            counts = {worker.pid: worker.stats for worker in server.workers()}
            assert counts[pid] == Stats(1, 1, 0, 0, 0)
        recorder.wait_for(Finished)
        os.kill(pid, signal.SIGKILL)
        recorder.wait_for(WorkerReplaced)
        assert [worker.stats.accepted for worker in server.workers()] == [0, 0]
    with Server(TCP, ThreadStrategy(), echo).running() as other:
        assert other.workers() == []
