"""Workers and who supervises them: composing, replacing those that die, and what is whose."""

import contextlib
import errno
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kinds import EchoLines, receive
from prefork_kit import TCP, Broken, EchoPid, ask, client_of, serving
from recorder import FAILSAFE, Recorder
from sockserve import (
    AdoptedTransport,
    CompositionError,
    ForkStrategy,
    ListenError,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    ProxyProtocolTransport,
    Server,
    Stats,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
    WorkerError,
    serve,
)
from sockserve._loop import pollers
from sockserve._workers import backoff
from sockserve._workers.backoff import Backoff
from sockserve._workers.board import Board
from sockserve._workers.turns import Turns
from sockserve.events import (
    Accepted,
    Finished,
    ForkedBesideThreads,
    Listening,
    WorkerDied,
    WorkerFailed,
    WorkerReplaced,
    WorkerStarted,
)
from sockserve.strategies import _children
from tls_kit import connect, connect_raw, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

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
        (lambda: PreforkStrategy(max_requests=0), OptionError, "max_requests"),
        (lambda: _make(max_requests="many"), OptionTypeError, "max_requests"),
        (lambda: _make(reuse_port=1), OptionTypeError, "reuse_port"),
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


# A socket for each worker, and one that blocks.


@pytest.mark.parametrize("secured", [False, True], ids=["tcp", "tls"])
def test_each_worker_may_have_a_socket_of_its_own(secured: bool, recorder: Recorder) -> None:
    """All at one address, which is the server's; over TLS as well. All are closed with it."""

    def tell(request: Any, address: Any, server: Any) -> None:
        request.sendall(b"%d %d" % (server.fileno(), server.address.port))

    transport: Any = TlsTransport(TCP, server_context()) if secured else TCP
    strategy = PreforkStrategy(workers=3, reuse_port=True)
    with Server(transport, strategy, tell, observer=recorder).running() as server:
        recorder.wait_for_workers(3)
        where = tuple(server.address)
        seen: set[int] = set()
        while len(seen) < 3:  # the kernel spreads clients by a hash of their addresses
            with connect(server.address) if secured else connect_raw(server.address) as client:
                fd, port = map(int, client.recv(100).split())
                assert port == server.address.port
                seen.add(fd)
    with socket.create_server(where):
        pass


def test_datagrams_are_spread_over_sockets_too(recorder: Recorder) -> None:
    """UDP: each client's go to one worker."""

    def tell(request: Any, address: Any, server: Any) -> None:
        request[1].sendto(b"%d" % os.getpid(), address)

    strategy = PreforkStrategy(workers=2, reuse_port=True)
    with Server(UdpTransport(("127.0.0.1", 0)), strategy, tell, observer=recorder).running() as server:
        pids = set(recorder.wait_for_workers(2))
        seen: set[int] = set()
        while seen != pids:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(FAILSAFE)
                client.sendto(b"who?", server.address)
                seen.add(int(client.recv(100)))


def test_a_transport_with_one_endpoint_cannot_have_several(folder: Path) -> None:
    """Found when composed, whatever is around it."""
    strategy = PreforkStrategy(reuse_port=True)
    unix = UnixStreamTransport(str(folder / "s"))
    for transport in (unix, TlsTransport(unix, server_context()), ProxyProtocolTransport(unix, ["unix:"])):
        with pytest.raises(CompositionError, match="UnixStreamTransport opens one endpoint"):
            Server(transport, strategy, EchoLines)


def test_sockets_that_are_open_when_the_next_fails_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left, and the error is that of listening."""
    made: list[Any] = []
    listen = TcpTransport.listen

    def failing(self: TcpTransport) -> Any:
        if len(made) == 2:
            raise ListenError(errno.EADDRINUSE, self.address, "on purpose")
        made.append(listen(self))
        return made[-1]

    monkeypatch.setattr(TcpTransport, "listen", failing)
    with pytest.raises(ListenError, match="on purpose"):
        Server(TCP, PreforkStrategy(workers=3, reuse_port=True), EchoLines).listen()
    assert [each.fileno() for each in made] == [-1, -1]


def test_who_has_not_the_turn_does_not_accept() -> None:
    """A socket that blocks would hold a worker whose client another has taken since it looked."""
    turns, asked = Turns(), []

    class Listener:
        def accept(self) -> str:
            asked.append(True)
            return "arrival"

    listener: Any = turns.at(Listener())  # type: ignore[arg-type]  # what is not asked for is not there
    (mine, theirs), status = socket.socketpair(), 1
    pid = os.fork()
    if not pid:
        try:
            mine.close()  # so that this ends with the test
            turns.take()
            theirs.send(b".")
            theirs.recv(1)
            turns.give()
            theirs.send(b".")
            status = 0
        finally:
            os._exit(status)
    with mine, theirs:
        mine.recv(1)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert not asked
        mine.send(b".")
        mine.recv(1)
        assert listener.accept() == "arrival"
    assert os.waitpid(pid, 0)[1] == 0
    turns.close()


def test_workers_take_turns_at_a_socket_that_blocks(recorder: Recorder) -> None:
    """systemd's do, by default; what was set non-blocking needs no turns."""

    def tell(request: Any, address: Any, server: Any) -> None:
        request.sendall(type(server._core.listeners[0]).__name__.encode())

    for blocking, kind in ((True, b"_InTurns"), (False, b"StreamListener")):
        with socket.create_server(("127.0.0.1", 0)) as adopted:
            adopted.setblocking(blocking)
            transport = AdoptedTransport(adopted)
            with Server(transport, PreforkStrategy(workers=2), tell, observer=recorder).running() as server:
                for _ in range(4):
                    with client_of(server) as client:
                        assert client.recv(100) == kind


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
        if sys._getframe(1).f_code.co_name == "hire" and next(calls, False):
            raise OSError(errno.EMFILE, "on purpose")
        return real(*arguments)

    monkeypatch.setattr(socket, "socketpair", pair)
    with Server(TCP, PreforkStrategy(workers=1), EchoPid, observer=recorder).running():
        assert "on purpose" in recorder.wait_for(WorkerFailed)["error"]
        assert recorder.wait_for(WorkerStarted)


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
        request.sendall("\n".join([str(os.getpid()), *_links()]).encode())

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
    seen: dict[str, list[str]] = {}
    while len(seen) < 2:
        with client_of(server) as client, client_of(server) as other:
            for sock in (client, other):
                pid, *links = receive(sock, 1_000_000).decode().split("\n")
                seen[pid] = links
    for each in (server, *beside):
        each.shutdown()
    thread.join(FAILSAFE)
    server.server_close()
    for found in seen.values():
        sockets = {link for link in found if link.startswith("socket:")} - set(before)
        assert sockets & theirs == {listener}
        assert len(sockets) == 5  # its link, its loop's two, the connection: nothing else is new
        assert found.count("anon_inode:[eventpoll]") == before.count("anon_inode:[eventpoll]") + 1
        assert "anon_inode:[pidfd]" not in found


def test_requests_that_a_worker_forks_for_are_counted_once(recorder: Recorder) -> None:
    """By the worker, which learns how they ended; the sum is known in the forked process, too."""

    def handler(request: Any, address: Any, server: Any) -> None:
        request.sendall(b"%d %d" % (os.getppid(), server.stats.accepted))
        if server.stats.accepted == 2:
            raise ValueError("on purpose")

    with Server(TCP, PreforkStrategy(ForkStrategy(), workers=1), handler, observer=recorder).running() as server:
        (pid,) = recorder.wait_for_workers(1)
        for number in (1, 2):
            with client_of(server) as client:
                assert client.recv(100) == b"%d %d" % (pid, number)
                assert client.recv(1) == b""
    assert (server.stats.accepted, server.stats.finished, server.stats.failed) == (2, 1, 1)


def _ignore(request: Any, address: Any, server: Any) -> None:
    """A handler that does nothing."""
