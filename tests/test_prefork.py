"""Workers and who supervises them: what dies, what is replaced, what is left to whom."""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from kinds import EchoLines, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    CompositionError,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    Stats,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
    WorkerError,
    serve,
)
from sockserve._loop import pollers
from sockserve._workers import backoff, supervisor
from sockserve._workers.backoff import Backoff
from sockserve._workers.board import Board
from sockserve.abc import Core, Loop, Strategy
from sockserve.events import (
    Accepted,
    Draining,
    Finished,
    ForkedBesideThreads,
    Listening,
    WorkerDied,
    WorkerEnded,
    WorkerFailed,
    WorkerReplaced,
    WorkerStarted,
)
from sockserve.strategies import _children

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


class EchoPid(EchoLines):
    """Puts the worker's process before each line."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"%d %s" % (os.getpid(), line))


@contextlib.contextmanager
def client_of(server: Server[Any, Any]) -> Iterator[socket.socket]:
    """A connection. A worker forked later has a copy of it: so its end is sent, not left to the last close."""
    address = server.address
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(FAILSAFE)
        sock.connect(address)
        yield sock
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def ask(sock: socket.socket, line: bytes) -> tuple[int, bytes]:
    """Send a line to an `EchoPid`; return which process answered, and what."""
    sock.sendall(line)
    pid, _, rest = sock.recv(1000).partition(b" ")
    return int(pid), rest


def insist(pid: int, number: int, sock: socket.socket) -> None:
    """
    Send a signal until it has had an effect.

    One that comes between Python's last look and the system call in which a handler waits does not end that wait.
    """
    os.kill(pid, number)
    while not select.select([sock], [], [], 0.1)[0]:
        os.kill(pid, number)


@contextlib.contextmanager
def serving(server: Server[Any, Any]) -> Iterator[threading.Thread]:
    """Serve in a background thread, until the test has stopped it."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield thread
        thread.join(FAILSAFE)
        assert not thread.is_alive()


# Composing.

_make: Any = PreforkStrategy  # called as no type checker would let it be


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: _make(SyncStrategy), OptionTypeError, "inner"),
        (lambda: _make("sync"), OptionTypeError, "inner"),
        (lambda: PreforkStrategy(PreforkStrategy()), CompositionError, "inner is a PreforkStrategy"),
        (lambda: PreforkStrategy(workers=0), OptionError, "workers"),
        (lambda: _make(workers=1.5), OptionTypeError, "workers"),
        (lambda: PreforkStrategy(grace=-1), OptionError, "grace"),
        (lambda: PreforkStrategy(grace=float("inf")), OptionError, "grace"),
    ],
)
def test_mistakes_are_found_when_composed(make: Any, error: type[Exception], text: str) -> None:
    """Each names the option."""
    with pytest.raises(error, match=text):
        make()


def test_the_defaults() -> None:
    """A worker for each processor, one request after the other in each."""
    strategy = PreforkStrategy()
    assert (strategy.inner, strategy.workers, strategy.grace) == (SyncStrategy(), os.cpu_count(), 30.0)
    assert PreforkStrategy(workers=2) == PreforkStrategy(SyncStrategy(), workers=2)
    assert hash(PreforkStrategy()) == hash(PreforkStrategy())


def test_without_fork_there_is_no_prefork(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so where it is composed."""
    monkeypatch.delattr(os, "fork")
    with pytest.raises(CompositionError, match=r"no os\.fork"):
        PreforkStrategy()


def test_handle_request_is_not_for_workers() -> None:
    """It accepts one request here, and workers accept theirs; no process is started."""
    with Server(TCP, PreforkStrategy(workers=1), EchoLines, timeout=0.0) as server:
        with pytest.raises(CompositionError, match="serve_forever"):
            server.handle_request()


# Replacing.


@pytest.mark.parametrize("way", ["pidfd", "pipe", "level"])
def test_a_worker_that_is_killed_is_replaced(
    way: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in flight in it has failed, what is in flight in the other goes on, the next is served."""
    if way == "pipe":
        monkeypatch.setattr(_children, "_pidfd_open", _no_pidfd)
    elif way == "level":
        monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
    strategy = PreforkStrategy(workers=2)
    with Server(TCP, strategy, EchoPid, observer=recorder).running() as server:
        started = recorder.wait_for_workers(2)
        with client_of(server) as one, client_of(server) as other:
            (first, _), (second, _) = ask(one, b"x\n"), ask(other, b"x\n")
            assert {first, second} == set(started)
            os.kill(first, signal.SIGKILL)
            died = recorder.wait_for(WorkerDied)
            assert (died["pid"], died["status"], died["delay"]) == (first, -signal.SIGKILL, 0.0)
            assert one.recv(100) == b""
            replaced = recorder.wait_for(WorkerReplaced)
            assert (replaced["pid"], replaced["number"]) == (first, died["number"])
            assert ask(other, b"still\n") == (second, b"still\n")
            with client_of(server) as third:
                assert ask(third, b"x\n") == (replaced["by"], b"x\n")
    assert (server.stats.accepted, server.stats.failed, server.stats.finished) == (3, 1, 2)


def _no_pidfd(pid: int) -> int:
    raise NotImplementedError


def test_workers_that_die_soon_are_replaced_later_and_later() -> None:
    """At once, then after delays that grow to a bound; one that has lived for a while begins anew."""
    slot = Backoff()
    delays = [slot.after(lived=0.0) for _ in range(8)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert slot.after(lived=backoff.CALM) == 0.0
    assert slot.after(lived=backoff.CALM - 0.1) == backoff.FIRST
    assert [Backoff().after(None), slot.after(None)] == [backoff.FIRST, 2 * backoff.FIRST]


@attrs.frozen
class Broken:
    """A strategy that cannot start."""

    def start(self, loop: Loop, core: Core, /) -> Any:
        raise LookupError("on purpose")


def test_workers_that_cannot_start_end_the_serving(recorder: Recorder, capfd: pytest.CaptureFixture[str]) -> None:
    """After five in a row, with what the last one said; and no more processes than that were made."""
    with Server(TCP, PreforkStrategy(Broken(), workers=5), EchoLines, observer=recorder) as server:
        with pytest.raises(
            WorkerError, match=r"5 worker processes in a row .* LookupError\('on purpose'\)"
        ) as caught:
            server.serve_forever()
        assert caught.value.failures == backoff.BUDGET
    failures = [recorder.wait_for(WorkerFailed) for _ in range(backoff.BUDGET)]
    assert {failure["error"] for failure in failures} == {"LookupError('on purpose')"}
    assert len({failure["pid"] for failure in failures}) == backoff.BUDGET
    assert capfd.readouterr().err.count("LookupError: on purpose\n") == backoff.BUDGET


def test_one_that_serves_between_makes_good_for_those_that_cannot_start(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget is for failures in a row, and a fork that fails is one of them."""
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    monkeypatch.setattr(backoff, "MOST", 0.001)
    fork, outcomes = os.fork, iter(([False] * 4 + [True]) * 2)

    def failing_fork() -> int:
        if next(outcomes):
            return fork()
        raise OSError(errno.EAGAIN, "on purpose")

    monkeypatch.setattr(os, "fork", failing_fork)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running() as server:
        first = recorder.wait_for(WorkerStarted)["pid"]
        os.kill(first, signal.SIGKILL)
        assert recorder.wait_for(WorkerReplaced)["pid"] == first
        with client_of(server) as client:
            assert ask(client, b"x\n") == (recorder.wait_for(WorkerStarted)["pid"], b"x\n")
        assert recorder.so_far().count("WorkerFailed") == 8


def test_no_socket_for_a_worker_is_a_worker_that_cannot_start(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A want of descriptors, for instance."""
    real, calls = socket.socketpair, iter([True])

    def pair(*arguments: Any) -> Any:
        if sys._getframe(1).f_code.co_name == "_start" and next(calls, False):
            raise OSError(errno.EMFILE, "on purpose")
        return real(*arguments)

    monkeypatch.setattr(socket, "socketpair", pair)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running():
        assert "on purpose" in recorder.wait_for(WorkerFailed)["error"]
        assert recorder.wait_for(WorkerStarted)


# Stopping.


def test_a_worker_that_is_told_to_end_by_others_drains_and_is_replaced_at_once(recorder: Recorder) -> None:
    """Any number of SIGTERMs is one; SIGINT and SIGHUP are the parent's."""
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running() as server:
        (pid,) = recorder.wait_for_workers(1)
        with client_of(server) as client:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM, signal.SIGTERM):
                os.kill(pid, number)
            assert ask(client, b"x\n")[0] in {pid, (replaced := recorder.wait_for(WorkerReplaced))["by"]}
            assert replaced["pid"] == pid
        ended = recorder.wait_for(WorkerEnded)
        assert (ended["pid"], ended["status"]) == (pid, 0)
    assert "WorkerDied" not in recorder.so_far()


def test_sigquit_ends_what_is_in_flight_in_a_worker(recorder: Recorder) -> None:
    """A handler that waits for its client is woken by the end of its connection."""
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running() as server:
        recorder.wait_for_workers(1)
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
            insist(pid, signal.SIGQUIT, client)
            assert client.recv(1) == b""
        assert recorder.wait_for(WorkerReplaced)["pid"] == pid


@pytest.mark.parametrize(
    "inner", [SyncStrategy(), SelectorStrategy(), ThreadStrategy()], ids=lambda it: type(it).__name__
)
def test_sigterm_drains_and_a_second_one_aborts(inner: Strategy, recorder: Recorder) -> None:
    """The parent waits for what is in flight after the first, and no longer after the second."""
    strategy = PreforkStrategy(inner, workers=1, grace=FAILSAFE)
    with Server(TCP, strategy, EchoPid, observer=recorder) as server:

        def clients() -> None:
            recorder.wait_for_workers(1)
            with client_of(server) as client:
                pid, _ = ask(client, b"x\n")
                os.kill(os.getpid(), signal.SIGTERM)
                recorder.wait_for(Draining)
                assert ask(client, b"still\n") == (pid, b"still\n")
                os.kill(os.getpid(), signal.SIGTERM)
                seen.append(client.recv(1))

        seen: list[bytes] = []
        thread = threading.Thread(target=clients)
        thread.start()
        server.serve_forever()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    thread.join(FAILSAFE)
    assert seen == [b""]


def test_sigterm_waits_for_what_is_in_flight(recorder: Recorder) -> None:
    """And ends as soon as that has ended; all servers of the loop are meant."""
    beside = Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), _ignore)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder) as server:

        def clients() -> None:
            recorder.wait_for_workers(1)
            with client_of(server) as client:
                ask(client, b"x\n")
                os.kill(os.getpid(), signal.SIGTERM)
                recorder.wait_for(Draining)
                seen.append(ask(client, b"still\n")[1])

        seen: list[bytes] = []
        thread = threading.Thread(target=clients)
        thread.start()
        serve(server, beside)
        thread.join(FAILSAFE)
        assert seen == [b"still\n"]
        assert (server.stats.finished, server.stats.failed) == (1, 0)


def test_a_program_that_handles_sigterm_keeps_it(recorder: Recorder) -> None:
    """As with Ctrl-C: only the system's default is replaced, and only in the main thread."""

    def mine(number: int, frame: object) -> None:
        server.request_stop(grace=FAILSAFE)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder) as server:

            def clients() -> None:
                recorder.wait_for_workers(1)
                os.kill(os.getpid(), signal.SIGTERM)

            thread = threading.Thread(target=clients)
            thread.start()
            server.serve_forever()
            thread.join(FAILSAFE)
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running():
        recorder.wait_for_workers(1)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_worker_that_does_not_end_is_killed(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a grace, a handler that waits for something else holds nobody for long."""
    monkeypatch.setattr("sockserve._serving.lifecycle.LAST_WAIT", 0.05)
    reader, writer = os.pipe()

    def stuck(request: Any, address: Any, server: Any) -> None:
        request.sendall(b"x")
        while True:
            select.select([reader], [], [])

    with Server(TCP, PreforkStrategy(workers=1), stuck, observer=recorder) as server, serving(server):
        (pid,) = recorder.wait_for_workers(1)
        with client_of(server) as client:
            assert client.recv(1) == b"x"
            server.shutdown(grace=0.01)
            server.server_close()
            assert client.recv(1) == b""
    ended = recorder.wait_for(WorkerEnded)
    assert (ended["pid"], ended["status"]) == (pid, -signal.SIGKILL)
    assert (server.stats.failed, server.stats.active) == (1, 0)
    os.close(reader)
    os.close(writer)


def test_a_worker_that_drains_for_too_long_is_ended(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the others go on serving: told to abort, then killed."""
    monkeypatch.setattr(supervisor, "ABORT_AFTER", 0.0)
    monkeypatch.setattr(supervisor, "KILL_AFTER", 0.01)
    reader, writer = os.pipe()

    def stuck(request: Any, address: Any, server: Any) -> None:
        request.sendall(b"x")
        while True:
            select.select([reader], [], [])

    strategy = PreforkStrategy(workers=1, grace=0.01)
    with Server(TCP, strategy, stuck, observer=recorder).running() as server:
        (pid,) = recorder.wait_for_workers(1)
        with client_of(server) as client:
            assert client.recv(1) == b"x"
            insist(pid, signal.SIGTERM, client)
            assert client.recv(1) == b""
        ended = recorder.wait_for(WorkerEnded)
        assert (ended["pid"], ended["status"]) == (pid, -signal.SIGKILL)
    os.close(reader)
    os.close(writer)


def test_a_server_whose_workers_still_end_serves_again(recorder: Recorder) -> None:
    """Those of the time before keep what they have in flight; there is room for as many again, and no more."""
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder) as server:
        threads, clients, pids = [], [], set()
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                threads.append(threading.Thread(target=server.serve_forever))
                threads[-1].start()
                recorder.wait_for_workers(1)
                clients.append(stack.enter_context(client_of(server)))
                pids.add(ask(clients[-1], b"x\n")[0])
                server.shutdown()
            assert len(pids) == 2
            threads.append(threading.Thread(target=server.serve_forever))
            threads[-1].start()
            third = stack.enter_context(client_of(server))
            third.sendall(b"x\n")
            clients[0].shutdown(socket.SHUT_WR)  # its worker ends, and makes room
            recorder.wait_for_workers(1)
            assert third.recv(100)
            third.shutdown(socket.SHUT_WR)
            assert ask(clients[1], b"still\n")[0] in pids
            server.shutdown()
        for thread in threads:
            thread.join(FAILSAFE)
    assert server.stats.accepted == server.stats.finished == 3


# What is whose.


def test_every_process_knows_the_sum(recorder: Recorder) -> None:
    """In a handler as in the parent; those who have ended are in it."""

    def handler(request: Any, address: Any, server: Any) -> None:
        stats = server.stats
        request.sendall(b"%d %d %d" % (os.getpid(), stats.accepted, stats.active))
        request.recv(1)

    strategy = PreforkStrategy(ThreadStrategy(), workers=2)
    with Server(TCP, strategy, handler, observer=recorder).running() as server:
        recorder.wait_for_workers(2)
        pids: list[int] = []
        for number in range(1, 4):
            with client_of(server) as client:
                pid, accepted, active = map(int, client.recv(100).split())
                assert accepted == number
                assert active >= 1
                pids.append(pid)
                client.sendall(b".")
                assert client.recv(1) == b""
            assert recorder.wait_for(Finished)  # it is counted by then
        os.kill(pids[-1], signal.SIGKILL)
        recorder.wait_for(WorkerReplaced)
        assert server.stats.accepted == 3
    assert (server.stats.accepted, server.stats.finished) == (3, 3)


def test_the_board_counts_what_a_killed_worker_had_in_flight_as_failed() -> None:
    """And the next that gets its record goes on from there."""
    board = Board(1)
    record = board.take()
    assert record is not None
    assert board.take() is None
    for _ in range(5):
        record.accepted()
    record.ended(True)
    record.ended(False)
    record.refused()
    assert board.total() == Stats(5, 3, 1, 1, 1)
    board.give_back(record)
    assert board.total() == Stats(5, 0, 1, 4, 1)
    again = board.take()
    assert again is not None
    again.accepted()
    assert board.total() == Stats(6, 1, 1, 4, 1)


def test_events_are_told_where_they_happen(recorder: Recorder) -> None:
    """Those of workers in the parent, those of requests in the worker; whoever forks is told of threads."""
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running() as server:
        started = recorder.wait_for(WorkerStarted)
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
    assert started["pid"] == pid
    assert recorder.pid_of(started) == os.getpid()
    assert recorder.pid_of(recorder.wait_for(Listening)) == os.getpid()
    assert recorder.pid_of(recorder.wait_for(ForkedBesideThreads)) == os.getpid()
    assert recorder.pid_of(recorder.wait_for(Accepted)) == pid


def test_service_actions_are_the_workers() -> None:
    """They belong to the loop that accepts."""
    reader, writer = os.pipe()
    server = Server(
        TCP, PreforkStrategy(workers=1), EchoPid, service_actions=lambda: os.write(writer, b"%d\n" % os.getpid())
    )
    with server, serving(server):
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
        assert int(os.read(reader, 1000).split()[0]) == pid
        server.shutdown()
    os.close(reader)
    os.close(writer)


def _links() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs proc(5)")
def test_nothing_of_the_parents_is_left_in_a_worker(recorder: Recorder, folder: Path) -> None:
    """But the socket that it accepts from: neither the links of others, nor loops, nor other servers' sockets."""

    def tell(request: Any, address: Any, server: Any) -> None:
        request.sendall("\n".join(_links()).encode())

    before = _links()
    beside: list[Server[Any, Any]] = [
        Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), _ignore),
        Server(UnixStreamTransport(str(folder / "beside")), SyncStrategy(), _ignore),
        Server(UnixDatagramTransport(str(folder / "beside.d")), PreforkStrategy(workers=1), _ignore),
    ]
    server = Server(TCP, PreforkStrategy(workers=2), tell, observer=recorder)
    server.listen()
    listener = os.readlink(f"/proc/self/fd/{server.fileno()}")
    thread = threading.Thread(target=serve, args=(server, *beside))
    thread.start()
    recorder.wait_for_workers(2)
    theirs = set(_links()) - set(before)
    with client_of(server) as client:
        found = receive(client, 1_000_000).decode().split("\n")
    for each in (server, *beside):
        each.shutdown()
    thread.join(FAILSAFE)
    server.server_close()
    sockets = {link for link in found if link.startswith("socket:")} - set(before)
    assert sockets & theirs == {listener}
    assert len(sockets) == 5  # its link, its loop's two, the connection: nothing else is new
    assert found.count("anon_inode:[eventpoll]") == before.count("anon_inode:[eventpoll]") + 1
    assert "anon_inode:[pidfd]" not in found


# The parent's death.

_ORPHANS = """
import os
from sockserve import *
from sockserve.events import WorkerStarted
class EchoPid(StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d %s" % (os.getpid(), line))
inner = {{"sync": SyncStrategy(), "selector": SelectorStrategy()}}[{inner!r}]
started = []
def observer(event):
    if isinstance(event, WorkerStarted):
        started.append(event)
        if len(started) == 2:
            print(server.address.port, flush=True)
strategy = PreforkStrategy(inner, workers=2, grace={grace})
with Server(TcpTransport(("127.0.0.1", 0)), strategy, EchoPid, observer=observer) as server:
    server.serve_forever()
"""


@contextlib.contextmanager
def parent(inner: str, grace: float) -> Iterator[tuple[int, int, int]]:
    """A program with two workers: its process, its port, and a pipe that ends with the last of its processes."""
    reader, writer = os.pipe()
    program = _ORPHANS.format(inner=inner, grace=grace)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, pass_fds=[writer]) as process:
        os.close(writer)
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline()), reader
        finally:
            process.kill()
    assert _ends(reader)
    os.close(reader)


def _ends(reader: int) -> bool:
    """Whether all processes that hold the other end are gone."""
    return bool(select.select([reader], [], [], FAILSAFE)[0]) and os.read(reader, 1) == b""


@pytest.mark.parametrize("inner", ["sync", "selector"])
def test_workers_leave_when_their_parent_is_killed(inner: str) -> None:
    """The address is free at once, what is in flight may end, and then nobody is left."""
    with parent(inner, FAILSAFE) as (pid, port, reader):
        with socket.create_connection(("127.0.0.1", port), timeout=FAILSAFE) as client:
            ask(client, b"x\n")
            os.kill(pid, signal.SIGKILL)
            _listen_at(port)
            assert ask(client, b"still\n")[1] == b"still\n"
        assert _ends(reader)


def test_orphans_do_not_wait_for_ever() -> None:
    """A client that keeps its connection open is cut off at the end of the grace."""
    with parent("sync", 0.01) as (pid, port, reader):
        with socket.create_connection(("127.0.0.1", port), timeout=FAILSAFE) as client:
            ask(client, b"x\n")
            os.kill(pid, signal.SIGKILL)
            assert client.recv(1) == b""
        assert _ends(reader)


def _listen_at(port: int) -> None:
    """Be the next to listen there, as soon as the last copy of the socket is closed."""
    for _ in range(100_000):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return
    raise TimeoutError("the address is still in use")


def _ignore(request: Any, address: Any, server: Any) -> None:
    """A handler that does nothing."""
