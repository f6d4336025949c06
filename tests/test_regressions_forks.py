"""Faults around fork and around a want of descriptors, each with the smallest program that showed it."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from fakes import FakeCore, FakeJob
from kinds import EchoLines, receive
from sockserve import (
    AdoptedTransport,
    BaseRequestHandler,
    ForkStrategy,
    ListenError,
    Server,
    TcpTransport,
    ThreadStrategy,
)
from sockserve._loop.loop import EventLoop
from sockserve.strategies import _children, _fork

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))

_NO_DESCRIPTORS = """
import os, resource, sys
from sockserve import log_events
from sockserve.events import AcceptPaused, HandlerFailed
from sockserve.observers import Emitter
emitter = Emitter(log_events)
highest = max(map(int, os.listdir("/proc/self/fd")))
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
try:
    open(os.devnull)
except OSError:
    emitter.emit(AcceptPaused(server_address="here", error=OSError(24, "many"), seconds=0.1))
    emitter.emit(HandlerFailed(server_address="s", client_address="c", handler="h", error=LookupError("found")))
assert "logging" not in sys.modules
"""


def test_the_want_of_descriptors_can_be_reported_without_any() -> None:
    """An import at that moment fails, and would end the server that wanted to say so."""
    done = subprocess.run([sys.executable, "-c", _NO_DESCRIPTORS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot accept at here" in done.stderr
    assert "LookupError: found" in done.stderr


class _LeaveError(BaseException):
    """Raised by a signal handler, as SystemExit mostly is."""


def test_a_signal_handler_that_raises_during_a_fork_loses_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is taken note of first: closing the server waits for it."""
    real = os.fork

    def fork() -> int:
        pid = real()
        if pid:
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise _LeaveError

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with Server(TCP, ForkStrategy(), EchoLines) as server, socket.create_connection(server.address) as client:
            client.sendall(b"x\n")
            client.shutdown(socket.SHUT_WR)
            with monkeypatch.context() as patch:
                patch.setattr("os.fork", fork)
                with pytest.raises(_LeaveError):
                    server.serve_forever()
            assert server.stats.active == 1
            assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            assert receive(client, 2) == b"x\n"
        assert server.stats.finished == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def _status_of(child: Callable[[], bool]) -> int:
    """Fork, as a program does that makes workers of itself, and give the status of the copy."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if child() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_copy_of_the_process_watches_nothing_of_the_parents() -> None:
    """A stop that a child asks for would otherwise reach whoever reads the pipe first."""
    with Server(TCP, ForkStrategy(), EchoLines) as server:
        with socket.create_connection(server.address) as client:
            client.shutdown(socket.SHUT_WR)
            server.handle_request()
        assert server._life.loop._callbacks

        def child() -> bool:
            server.listen()
            return not server._life.loop._callbacks

        assert _status_of(child) == 0


def test_a_copy_of_the_process_counts_its_own_requests() -> None:
    """What is in flight in the parent has not finished in the child."""
    server = Server(TCP, ThreadStrategy(), EchoLines)
    with server.running(), socket.create_connection(server.address) as client:
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"

        def child() -> bool:
            server.server_close()
            return server.stats.accepted == server.stats.finished == 0

        assert _status_of(child) == 0
        client.shutdown(socket.SHUT_WR)


class _Closing(BaseRequestHandler[socket.socket, object]):
    """Forks; the copy closes the server and exits."""

    status = -1

    def handle(self) -> None:
        pid = os.fork()
        if pid == 0:
            self.server.server_close()
            sys.exit(0)
        type(self).status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_COPY_CLOSES = """
import os, sys
sys.path.insert(0, {tests!r})
from sockserve import SyncStrategy
from test_regressions_forks import _Closing, Server, TCP, socket
with Server(TCP, SyncStrategy(), _Closing) as server, socket.create_connection(server.address):
    server.handle_request()
sys.exit(_Closing.status)
"""


def test_a_copy_that_a_handler_makes_can_close_the_server_and_exit() -> None:
    """Its way out goes through the server's, which is the parent's."""
    program = _COPY_CLOSES.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def stuck() -> Iterator[tuple[FakeJob, Callable[[], object]]]:
    """A job that runs in its child until it is told to go on."""
    reader, writer = os.pipe()
    yield FakeJob(lambda: os.read(reader, 1)), lambda: os.write(writer, b".")
    os.close(reader)
    os.close(writer)


Stuck = tuple[FakeJob, Callable[[], object]]


def test_what_is_to_be_tried_again_is_tried_on_the_loop_of_now(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that was not to be had at first is had elsewhere, and not watched twice when we come back."""
    monkeypatch.setattr(_children, "_RETRY", 0.0)
    job, go_on = stuck
    first, second = EventLoop(), EventLoop()
    runner = ForkStrategy().start(first, FakeCore())
    with monkeypatch.context() as patch:
        patch.setattr(_children, "_pidfd_open", _refuse)
        runner.submit(job)
    runner.move(second)
    runner.move(first)
    rounds = iter([False, False, True])

    def has_gone_round() -> bool:
        first.call_soon(lambda: None)  # it is not to wait
        return next(rounds)

    first.run(has_gone_round)
    assert [child.retry for child in runner._children.by_pid.values()] == [None]
    go_on()
    first.run(lambda: job.settled is not None)
    runner.close(None)


def _refuse(*_: object) -> int:
    raise OSError(errno.EMFILE, "on purpose")


def test_a_child_that_the_poller_has_no_room_for_is_watched_later(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC of epoll_ctl(2): the request runs already, and counts as such."""
    monkeypatch.setattr(_children, "_RETRY", 0.0)
    job, go_on = stuck
    loop = EventLoop()
    runner = ForkStrategy(max_children=1).start(loop, FakeCore())
    with monkeypatch.context() as patch:
        patch.setattr(loop, "watch", _refuse)
        runner.submit(job)
    assert (job.disowned, runner.full) == (True, True)
    go_on()
    loop.run(lambda: job.settled is not None)
    assert (job.settled, runner.full) == (True, False)
    runner.close(None)


def test_a_copy_of_the_process_has_no_threads_of_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython's own count goes on counting them; nothing is reported where there are none."""
    if threading.active_count() > 1:
        pytest.skip("another test left a thread")
    monkeypatch.setattr(_fork, "may_have_threads", lambda: 3)
    core, job, loop = FakeCore(), FakeJob(), EventLoop()
    runner = ForkStrategy().start(loop, core)
    runner.submit(job)
    loop.run(lambda: job.settled is not None)
    runner.close(None)
    assert core.names() == []


def test_adopting_fails_for_what_it_failed_for() -> None:
    """The system's own number of what `configure` met; and a duplicate that cannot be used is closed."""

    def configure(sock: Any) -> None:
        raise PermissionError(errno.EPERM, "on purpose")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        with pytest.raises(ListenError, match="on purpose") as caught:
            AdoptedTransport(listening, configure=configure).listen()
        assert caught.value.errno == errno.EPERM
        transport = AdoptedTransport(listening)
        reader, writer = os.pipe()
        kept = os.dup(listening.fileno())
        os.dup2(reader, listening.fileno())
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(ListenError):
            transport.listen()
        assert set(os.listdir("/proc/self/fd")) == before
        os.dup2(kept, listening.fileno())
        for fd in (reader, writer, kept):
            os.close(fd)
