"""Replacing workers with which nothing is wrong: nobody is refused."""

import errno
import os
import signal
import sys
import threading
from typing import Any, Self

import attrs
import pytest

from kinds import EchoLines
from prefork_kit import TCP, EchoPid, ask, begin, client_of, go_on
from recorder import FAILSAFE, Recorder
from sockserve import (
    CompositionError,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    ServerStateError,
    StreamRequestHandler,
    SyncStrategy,
)
from sockserve._workers import backoff
from sockserve._workers.board import Board
from sockserve.abc import Core, Loop, Strategy
from sockserve.events import (
    Event,
    WorkerDied,
    WorkerEnded,
    WorkerFailed,
    WorkerReplaced,
    WorkerStarted,
)

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


class Once(StreamRequestHandler[Any]):
    """A connection for each request."""

    def handle(self) -> None:
        self.wfile.write(b"%d %s" % (os.getpid(), self.rfile.readline()))


@attrs.define(eq=False)
class Crowd:
    """Clients that ask one after the other, in threads, until the end of the block."""

    server: Server[Any, Any]
    clients: int
    pids: set[int] = attrs.field(factory=set)
    errors: list[BaseException] = attrs.field(factory=list)
    asked: int = 0
    _over: threading.Event = attrs.field(factory=threading.Event)
    _threads: list[threading.Thread] = attrs.field(factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                with client_of(self.server) as client:
                    pid, rest = ask(client, b"x\n")
                    assert rest == b"x\n"
                    self.pids.add(pid)
                    self.asked += 1
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.errors.append(error)
                return

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(FAILSAFE)


@pytest.mark.parametrize("inner", [SyncStrategy(), SelectorStrategy()], ids=lambda it: type(it).__name__)
def test_rolling_under_load_refuses_nobody(inner: Strategy, recorder: Recorder) -> None:
    """One by one, each successor accepting before the one in its place drains: no error at all."""
    strategy = PreforkStrategy(inner, workers=2)
    observer = _only(recorder, WorkerStarted, WorkerReplaced, WorkerEnded)
    with Server(TCP, strategy, Once, observer=observer).running() as server:
        with Crowd(server, 4) as crowd:
            first = recorder.wait_for_workers(2)
            for _ in range(3):
                server.replace_workers()
                replaced = [recorder.wait_for(WorkerReplaced) for _ in range(2)]
                assert {each["pid"] for each in replaced} == set(first)
                first = recorder.wait_for_workers(2)
                assert [each["by"] for each in replaced] == first
            ended = [recorder.wait_for(WorkerEnded) for _ in range(6)]
            assert {each["status"] for each in ended} == {0}
        assert crowd.errors == []
    assert (server.stats.failed, server.stats.refused, server.stats.accepted) == (0, 0, crowd.asked)


def _only(recorder: Recorder, *kinds: type[Event]) -> Any:
    """An observer that wants nothing else: a pipe that nobody reads is full at some time."""

    class Only:
        def wants(self, kind: type[Event]) -> bool:
            return kind in kinds

        def __call__(self, event: Event) -> None:
            recorder(event)

    return Only()


def test_sighup_replaces_all_workers(recorder: Recorder) -> None:
    """What is in flight in those that leave goes on."""
    with Server(TCP, PreforkStrategy(workers=2), EchoPid, observer=recorder) as server:

        def clients() -> None:
            first = recorder.wait_for_workers(2)
            with client_of(server) as client:
                pid, _ = ask(client, b"x\n")
                begin(client)
                os.kill(os.getpid(), signal.SIGHUP)
                assert {recorder.wait_for(WorkerReplaced)["pid"] for _ in range(2)} == set(first)
                seen.append(go_on(client) == (pid, b"still\n"))
                os.kill(os.getpid(), signal.SIGTERM)

        seen: list[bool] = []
        thread = threading.Thread(target=clients)
        thread.start()
        server.serve_forever()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    thread.join(FAILSAFE)
    assert seen == [True]


def test_a_handler_may_ask_for_new_workers(recorder: Recorder) -> None:
    """It asks the parent."""

    def handler(request: Any, address: Any, server: Any) -> None:
        server.replace_workers()
        request.sendall(b"x")

    with Server(TCP, PreforkStrategy(workers=1), handler, observer=recorder).running() as server:
        (first,) = recorder.wait_for_workers(1)
        with client_of(server) as client:
            assert client.recv(1) == b"x"
        assert recorder.wait_for(WorkerReplaced)["pid"] == first


def test_only_workers_of_a_served_server_can_be_replaced(recorder: Recorder) -> None:
    """Elsewhere it is a mistake, and says so."""
    with Server(TCP, PreforkStrategy(workers=1), EchoLines) as prefork:
        with pytest.raises(ServerStateError, match="not being served"):
            prefork.replace_workers()
    with Server(TCP, SyncStrategy(), EchoLines, observer=_ignore_event).running() as server:
        recorder(WorkerStarted(server_address="", number=0, pid=0))
        while server.state != "serving":
            pass
        with pytest.raises(CompositionError, match="PreforkStrategy has"):
            server.replace_workers()


def test_a_worker_is_replaced_when_it_has_served_enough(recorder: Recorder) -> None:
    """It goes on until its successor accepts."""
    strategy = PreforkStrategy(workers=1, max_requests=3)
    with Server(TCP, strategy, Once, observer=recorder).running() as server:
        (pid,) = recorder.wait_for_workers(1)
        for _ in range(3):
            with client_of(server) as client:
                assert ask(client, b"x\n")[0] == pid
        replaced = recorder.wait_for(WorkerReplaced)
        assert replaced["pid"] == pid
        assert recorder.wait_for(WorkerEnded)["status"] == 0
        with client_of(server) as client:
            assert ask(client, b"x\n")[0] == replaced["by"]


def test_workers_have_served_enough_at_different_times() -> None:
    """After as many requests as the option says, or up to a tenth fewer."""

    def served(most: int) -> int:
        record = Board(1).take()
        assert record is not None
        over: list[bool] = []
        record.limit(most, lambda: over.append(True))
        for number in range(1, most + 2):
            record.accepted()
            if over:
                return number
        raise AssertionError

    found = {served(100) for _ in range(100)}
    assert len(found) > 1
    assert min(found) >= 90
    assert max(found) <= 100
    assert {served(9) for _ in range(20)} == {9}


def test_successors_that_cannot_start_leave_the_server_as_it_is(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All slots are served: there is time to try again, and again."""
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "MOST", 0.001)
    fork, outcomes = os.fork, iter([True] + [False] * 8 + [True])

    def failing_fork() -> int:
        if next(outcomes):
            return fork()
        raise OSError(errno.EAGAIN, "on purpose")

    monkeypatch.setattr(os, "fork", failing_fork)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running() as server:
        (first,) = recorder.wait_for_workers(1)
        server.replace_workers()
        assert recorder.wait_for(WorkerReplaced)["pid"] == first
        assert recorder.so_far().count("WorkerFailed") == 8


def test_who_was_to_be_replaced_may_die_before(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its successor, which has not begun to serve by then, takes its place; no third is started."""
    held = HeldStart()
    with (
        held,
        Server(TCP, PreforkStrategy(held.strategy, workers=1), EchoPid, observer=recorder).running() as server,
    ):
        held.wait_until_starting()
        held.let_start()
        (first,) = recorder.wait_for_workers(1)
        server.replace_workers()
        held.wait_until_starting()
        os.kill(first, signal.SIGKILL)
        assert recorder.wait_for(WorkerDied)["pid"] == first
        held.let_start()
        assert recorder.wait_for(WorkerReplaced)["pid"] == first
        with client_of(server) as client:
            assert ask(client, b"x\n")[1] == b"x\n"
        assert "WorkerFailed" not in recorder.so_far()


def test_who_was_to_succeed_may_die_before(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that serves goes on, and another is tried."""
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    held = HeldStart()
    with (
        held,
        Server(TCP, PreforkStrategy(held.strategy, workers=1), EchoPid, observer=recorder).running() as server,
    ):
        held.wait_until_starting()
        held.let_start()
        (first,) = recorder.wait_for_workers(1)
        server.replace_workers()
        os.kill(held.wait_until_starting(), signal.SIGKILL)
        assert recorder.wait_for(WorkerFailed)
        with client_of(server) as client:
            assert ask(client, b"x\n")[0] == first
        held.wait_until_starting()
        held.let_start()
        assert recorder.wait_for(WorkerReplaced)["pid"] == first


@attrs.define(eq=False)
class HeldStart:
    """A strategy whose workers begin to serve when the test lets them: by pipes, which they share."""

    _starting: tuple[int, int] = attrs.field(factory=os.pipe)
    _start: tuple[int, int] = attrs.field(factory=os.pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (*self._starting, *self._start):
            os.close(fd)

    @property
    def strategy(self) -> Any:
        return _Held(self)

    def hold(self) -> None:
        os.write(self._starting[1], b"%10d" % os.getpid())
        os.read(self._start[0], 1)

    def let_start(self) -> None:
        os.write(self._start[1], b".")

    def wait_until_starting(self) -> int:
        return int(os.read(self._starting[0], 10))


@attrs.frozen
class _Held:
    held: HeldStart

    def start(self, loop: Loop, core: Core, /) -> Any:
        self.held.hold()
        return SyncStrategy().start(loop, core)


def _ignore_event(event: object) -> None:
    """An observer that takes no interest."""
