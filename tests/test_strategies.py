"""Each strategy by itself: jobs without connections, a loop that the test turns."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeCore, FakeJob
from recorder import FAILSAFE
from sockserve import ForkStrategy, Server, SyncStrategy, TcpTransport, ThreadPoolStrategy, ThreadStrategy
from sockserve._loop.loop import EventLoop
from sockserve.abc import Runner, Strategy
from sockserve.strategies import _children, _thread_pool

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


class Bench:
    """A runner on a loop of its own."""

    def __init__(self, strategy: Strategy) -> None:
        self.loop, self.core = EventLoop(), FakeCore()
        self.runner: Runner = strategy.start(self.loop, self.core)

    def submit(self, *jobs: FakeJob) -> None:
        for job in jobs:
            self.runner.submit(job)

    def full(self) -> bool:
        return self.runner.full

    def turn_until(self, done: Callable[[], bool]) -> None:
        self.loop.run(done)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Callable[[Strategy], Bench]]:
    """Make a bench; its runner is closed in the end."""
    made: list[Bench] = []

    def make(strategy: Strategy) -> Bench:
        made.append(Bench(strategy))
        return made[-1]

    yield make
    for each in made:
        each.runner.close(None)


Make = Callable[[Strategy], Bench]


def test_sync_runs_where_it_is_told(bench: Make) -> None:
    """submit() is the request."""
    job = FakeJob()
    bench(SyncStrategy()).submit(job)
    assert job.ran_in is threading.current_thread()


@pytest.mark.parametrize("strategy", [ThreadStrategy(), ThreadPoolStrategy(workers=2)], ids=["thread", "pool"])
def test_threads_meet_at_a_barrier(bench: Make, strategy: Strategy) -> None:
    """Two requests run at the same time."""
    barrier = threading.Barrier(2, timeout=FAILSAFE)
    jobs = [FakeJob(barrier.wait) for _ in range(2)]
    bench(strategy).submit(*jobs)
    for job in jobs:
        assert job.done.wait(FAILSAFE)
    assert not barrier.broken


def test_a_thread_for_each_request(bench: Make) -> None:
    """Never the same thread twice, also one after the other."""
    made, jobs = bench(ThreadStrategy()), [FakeJob() for _ in range(3)]
    for job in jobs:
        made.submit(job)
        assert job.done.wait(FAILSAFE)
    assert len({job.ran_in for job in jobs}) == 3
    assert {job.ran_in.daemon for job in jobs if job.ran_in} == {False}


@pytest.mark.parametrize("make", [ThreadStrategy, ThreadPoolStrategy])
def test_daemon_is_passed_on(bench: Make, make: Callable[..., Strategy]) -> None:
    """daemon=True makes daemonic threads."""
    job = FakeJob()
    bench(make(daemon=True)).submit(job)
    assert job.done.wait(FAILSAFE)
    assert job.ran_in is not None
    assert job.ran_in.daemon


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (ThreadStrategy(), True),
        (ThreadStrategy(block_on_close=False), False),
        (ThreadStrategy(daemon=True), False),
        (ThreadPoolStrategy(), True),
        (ThreadPoolStrategy(daemon=True), False),
    ],
    ids=str,
)
def test_close_waits_as_documented(strategy: Strategy, waits: bool) -> None:
    """For threads that are neither daemonic nor told apart, and for no others."""
    made, release = Bench(strategy), threading.Event()
    job = FakeJob(lambda: release.wait(FAILSAFE))
    made.submit(job)
    closer = threading.Thread(target=made.runner.close, args=(None,))
    closer.start()
    if waits:
        closer.join(0.05)  # the one wait that has to end by itself: that nothing happens cannot be an event
        assert closer.is_alive()
    else:
        closer.join(FAILSAFE)
        assert not closer.is_alive()
    release.set()
    closer.join(FAILSAFE)
    assert job.ran_in is not None
    job.ran_in.join(FAILSAFE)


@pytest.mark.parametrize("strategy", [ThreadStrategy(), ThreadPoolStrategy()], ids=["thread", "pool"])
def test_close_has_a_deadline(strategy: Strategy) -> None:
    """A thread that does not end is left at the deadline."""
    made, release = Bench(strategy), threading.Event()
    job = FakeJob(lambda: release.wait(FAILSAFE))
    made.submit(job)
    made.runner.close(made.loop.time())
    assert not job.done.is_set()
    release.set()
    assert job.ran_in is not None
    job.ran_in.join(FAILSAFE)


def test_close_from_a_request_does_not_wait_for_itself(bench: Make) -> None:
    """A handler that closes its server joins all threads but its own."""
    for strategy in (ThreadStrategy(), ThreadPoolStrategy()):
        made = bench(strategy)
        job = FakeJob(partial(made.runner.close, None))
        made.submit(job)
        assert job.done.wait(FAILSAFE)


@pytest.mark.parametrize("strategy", [ThreadStrategy(), ThreadPoolStrategy()], ids=["thread", "pool"])
def test_a_thread_that_cannot_start_costs_its_request_alone(
    bench: Make, strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """submit() raises, nobody waits for that thread, and the next one is served."""
    made = bench(strategy)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start"):
        patch.setattr(threading.Thread, "start", _cannot_start)
        made.submit(FakeJob())
    job = FakeJob()
    made.submit(job)
    assert job.done.wait(FAILSAFE)


def _cannot_start(_self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


# The pool.


def test_the_pool_grows_to_its_limit_and_is_full_then(bench: Make) -> None:
    """Backpressure instead of a queue; room is announced to the loop."""
    made, release = bench(ThreadPoolStrategy(workers=2)), threading.Event()
    jobs = [FakeJob(lambda: release.wait(FAILSAFE)) for _ in range(2)]
    made.submit(jobs[0])
    assert not made.full()
    made.submit(jobs[1])
    assert made.full()
    resumed = threading.Event()
    made.loop.pause(resumed.set)
    release.set()
    made.turn_until(resumed.is_set)
    assert not made.full()


def test_the_thread_that_was_idle_last_is_used_first(bench: Make) -> None:
    """One request at a time never needs more than one thread."""
    made = bench(ThreadPoolStrategy(workers=8))
    used = set()
    for _ in range(20):
        job, resumed = FakeJob(), threading.Event()
        made.loop.pause(resumed.set)
        made.submit(job)
        made.turn_until(resumed.is_set)
        used.add(job.ran_in)
    assert len(used) == 1


def test_a_pool_thread_that_dies_makes_room(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job lets through (GeneratorExit, say) ends the thread, and another takes its place."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    made, resumed = bench(ThreadPoolStrategy(workers=1)), threading.Event()

    def die() -> None:
        raise GeneratorExit

    made.loop.pause(resumed.set)
    made.submit(FakeJob(die))
    made.turn_until(resumed.is_set)
    job = FakeJob()
    made.submit(job)
    assert job.done.wait(FAILSAFE)
    assert told == [GeneratorExit]


_EXIT = """
import threading
from sockserve import *
def handler(request, address, server):
    request.sendall(b"x")
server = Server(TcpTransport(("127.0.0.1", 0)), ThreadPoolStrategy(), handler)
server.listen()
threading.Thread(target=server.serve_forever, daemon=True).start()
import socket
socket.create_connection(server.address).recv(1)
"""


def test_idle_threads_do_not_hold_the_interpreter() -> None:
    """A program that ends without closing its server ends."""
    done = subprocess.run([sys.executable, "-c", _EXIT], timeout=FAILSAFE, check=False)
    assert done.returncode == 0


def test_release_all_reaches_every_living_pool(bench: Make) -> None:
    """What the interpreter calls at its end."""
    made, job = bench(ThreadPoolStrategy()), FakeJob()
    made.submit(job)
    assert job.done.wait(FAILSAFE)
    _thread_pool._release_all()
    assert job.ran_in is not None
    job.ran_in.join(FAILSAFE)
    assert not job.ran_in.is_alive()


# Fork. The child's work is done before FakeJob.run returns; what it does is seen through a pipe.


@pytest.fixture(params=["pidfd", "pipe"])
def noticing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to notice the end of a child."""
    if request.param == "pipe":
        monkeypatch.setattr(_children, "has_pidfd", lambda: False)
    elif not _children.has_pidfd():
        pytest.skip("this kernel has no pidfds")


@pytest.mark.usefixtures("noticing")
def test_children_are_reaped_on_the_loop(bench: Make) -> None:
    """Their statuses settle their jobs: 0 is success, 1 a failure that was reported, the rest an event."""
    made = bench(ForkStrategy())
    ends: list[tuple[Callable[[], object], bool]] = [
        (lambda: None, True),
        (lambda: os._exit(7), False),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), False),
    ]
    for work, ok in ends:
        job = FakeJob(work)
        made.submit(job)
        assert job.disowned
        made.turn_until(lambda job=job: job.settled is not None)  # type: ignore[misc]  # bound early
        assert job.settled is ok
        assert job.ran_in is None, "ran in the parent"
    died = [event for event in made.core.events if type(event).__name__ == "ChildDied"]
    assert [getattr(event, "status", None) for event in died] == [7, -signal.SIGKILL]


@pytest.mark.usefixtures("noticing")
def test_at_max_children_the_runner_is_full(bench: Make) -> None:
    """It has room again when one ends; nothing waits in between."""
    made = bench(ForkStrategy(max_children=2))
    reader, writer = os.pipe()
    jobs = [FakeJob(lambda: os.read(reader, 1)) for _ in range(2)]
    made.submit(*jobs)
    assert made.full()
    resumed = threading.Event()
    made.loop.pause(resumed.set)
    os.write(writer, b"..")
    made.turn_until(resumed.is_set)
    assert not made.full()
    made.turn_until(lambda: all(job.settled for job in jobs))
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("noticing")
def test_a_foreign_child_keeps_its_status(bench: Make) -> None:
    """Only our own pids are waited for."""
    made = bench(ForkStrategy())
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"], stdout=subprocess.PIPE) as foreign:
        assert foreign.stdout is not None
        assert foreign.stdout.read() == b""  # it ends, and nobody has reaped it
        job = FakeJob()
        made.submit(job)
        made.turn_until(lambda: job.settled is not None)
        assert foreign.wait() == 7


@pytest.mark.usefixtures("noticing")
def test_a_child_that_somebody_else_reaps_settles(bench: Make) -> None:
    """A program that waits for all children itself takes the status; the job is not lost with it."""
    made, job = bench(ForkStrategy()), FakeJob()
    made.submit(job)
    os.waitpid(-1, 0)
    made.turn_until(lambda: job.settled is not None)
    assert job.settled is True


def test_a_child_that_closes_its_pipe_is_still_reaped(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that makes a daemon of itself closes all descriptors, and ends later."""
    monkeypatch.setattr(_children, "has_pidfd", lambda: False)
    monkeypatch.setattr(_children, "_RETRY", 0.001)
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)

    def work() -> None:
        os.closerange(3, reader)
        os.closerange(reader + 1, 100)
        os.read(reader, 1)

    made, job = bench(ForkStrategy()), FakeJob(work)
    made.submit(job)
    rounds = iter(range(20))
    made.turn_until(lambda: next(rounds) == 10)
    os.close(writer)
    made.turn_until(lambda: job.settled is not None)
    os.close(reader)


def test_without_a_descriptor_for_the_pidfd_it_is_tried_again(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMFILE after the fork: the child is watched as soon as a descriptor is to be had."""
    if not _children.has_pidfd():
        pytest.skip("this kernel has no pidfds")
    made, job, refused = bench(ForkStrategy()), FakeJob(), [2]
    monkeypatch.setattr(_children, "_RETRY", 0.001)
    real = _children._pidfd_open

    def scarce(pid: int) -> int:
        if refused[0]:
            refused[0] -= 1
            raise OSError(errno.EMFILE, "no descriptor")
        return real(pid)

    monkeypatch.setattr(_children, "_pidfd_open", scarce)
    made.submit(job)
    made.turn_until(lambda: job.settled is not None)
    assert refused == [0]


@pytest.mark.usefixtures("noticing")
def test_a_fork_that_fails_costs_its_request_alone(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """submit() raises, nothing is left behind, the next one is served."""
    made = bench(ForkStrategy())
    with monkeypatch.context() as patch, pytest.raises(BlockingIOError):
        patch.setattr(os, "fork", _cannot_fork)
        made.submit(FakeJob())
    job = FakeJob()
    made.submit(job)
    made.turn_until(lambda: job.settled is not None)


def _cannot_fork() -> int:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.usefixtures("noticing")
def test_close_with_a_deadline_kills_what_is_left() -> None:
    """A child that does not end is not waited for past the deadline, and is reaped all the same."""
    made = Bench(ForkStrategy())
    reader, writer = os.pipe()
    stuck, quick = FakeJob(lambda: os.read(reader, 1)), FakeJob()
    made.submit(stuck, quick)
    made.runner.close(made.loop.time())
    assert stuck.settled is False
    assert quick.settled is not None
    os.close(reader)
    os.close(writer)


def test_close_without_blocking_leaves_the_children(bench: Make) -> None:
    """block_on_close=False: the child goes on."""
    reader, writer = os.pipe()
    made, job = bench(ForkStrategy(block_on_close=False)), FakeJob(lambda: os.read(reader, 1))
    made.submit(job)
    made.runner.close(None)
    assert job.settled is None
    os.write(writer, b".")
    os.wait()
    os.close(reader)
    os.close(writer)


def test_what_is_in_the_buffers_is_written_once(tmp_path: Path) -> None:
    """stdout is flushed before the fork and by the child before it leaves."""
    program = (
        f"import sys; sys.path[:0] = [{os.path.dirname(__file__)!r}]\n"
        "from test_strategies import *\n"
        "print('parent')\n"
        "made = Bench(ForkStrategy())\n"
        "made.submit(FakeJob(lambda: print('child')))\n"
        "made.runner.close(None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=FAILSAFE, check=True)
    assert done.stdout.splitlines() == [b"parent", b"child"]


def test_a_broken_job_in_a_child_is_told_on_stderr(capfd: pytest.CaptureFixture[str], bench: Make) -> None:
    """What job.run() lets through has no other way out of the child."""

    def fail() -> None:
        raise GeneratorExit("on purpose")

    made, job = bench(ForkStrategy()), FakeJob(fail)
    made.submit(job)
    made.turn_until(lambda: job.settled is not None)
    assert job.settled is False
    assert "on purpose" in capfd.readouterr().err


def test_forking_beside_threads_is_said_once(bench: Make) -> None:
    """Never refused; one event for a runner."""
    made, release = bench(ForkStrategy()), threading.Event()
    other = threading.Thread(target=release.wait, args=(FAILSAFE,))
    other.start()
    jobs = [FakeJob(), FakeJob()]
    made.submit(*jobs)
    release.set()
    other.join()
    made.turn_until(lambda: all(job.settled for job in jobs))
    assert made.core.names() == ["ForkedBesideThreads"]


def test_sigterm_ends_the_input_of_a_child(tmp_path: Path) -> None:
    """Any number of SIGTERMs of a child is one gentle end, and SIGINT is ignored: its answer is whole."""
    reader, writer = os.pipe()

    def handler(request: Any, address: Any, server: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.write(writer, b"%d\n" % os.getpid())
        while request.recv(1):
            pass
        for _ in range(10):
            os.kill(os.getpid(), signal.SIGTERM)
        request.sendall(b"whole")

    server = Server(TcpTransport(("127.0.0.1", 0)), ForkStrategy(), handler, observer=lambda event: None)
    with os.fdopen(reader, "rb", 0) as told, server.running(grace=0.0):
        with socket.create_connection(server.address, timeout=FAILSAFE) as client:
            told.readline()
            server.server_close()
            assert client.recv(5) == b"whole"
        os.close(writer)
    assert server.stats.finished == 1


def test_a_child_that_missed_its_sigterm_is_reminded() -> None:
    """A signal that came just before the handler began to wait does not end that wait: the next one does."""
    reader, writer = os.pipe()

    def handler(request: Any, address: Any, server: Any) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.write(writer, b"x")
        while signal.SIGTERM not in signal.sigpending():
            pass
        assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM  # the first is lost
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        assert request.recv(1) == b""
        request.sendall(b"reminded")

    server = Server(TcpTransport(("127.0.0.1", 0)), ForkStrategy(), handler, observer=lambda event: None)
    with server.running(grace=0.0), socket.create_connection(server.address, timeout=FAILSAFE) as client:
        os.read(reader, 1)
        server.server_close()
        assert client.recv(8) == b"reminded"
    os.close(reader)
    os.close(writer)
