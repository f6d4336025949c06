"""A table and what is beside it: threads and children of handlers, other rows, further times of serving."""

import contextlib
import os
import resource
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from greenlet import _greenlet

from recorder import FAILSAFE, Recorder
from sockserve import Event as TableEvent
from sockserve import (
    Lock,
    SelectorStrategy,
    Server,
    TcpTransport,
    UnixDatagramTransport,
    cooperative,
    serve,
    sleep,
)
from sockserve._loop import pollers
from sockserve._securing import secure
from sockserve._table.current import current_row
from sockserve._table.sockets import CooperativeSocket, adopt
from sockserve._table.watch import SHARE
from sockserve.events import AcceptPaused, AcceptResumed
from table_kit import POLLERS, Bench, cooperating, tcp_pair
from tls_kit import server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_pause = sleep
TCP = TcpTransport(("127.0.0.1", 0))


@pytest.fixture(params=list(POLLERS), autouse=True)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Both pollers, for servers too."""
    monkeypatch.setattr(pollers, "default_poller", POLLERS[request.param])
    return Bench(POLLERS[request.param])


def _made(handler: Callable[..., object], observer: Any = lambda event: None) -> Any:
    return Server(TCP, SelectorStrategy(), handler, observer=observer)


def _client(server: Any) -> socket.socket:
    return socket.create_connection(server.address, FAILSAFE)


def test_one_row_writes_what_another_reads(bench: Bench) -> None:
    """A handler that broadcasts: waiters are those of a socket and a direction, and none hinders another."""
    with cooperating(tcp_pair()) as (client, server):
        got: list[bytes] = []
        size = 3_000_000

        def reader() -> None:
            while data := server.recv(5):
                got.append(data)

        def writer(mark: bytes) -> None:
            with lock:  # whole messages, as among threads
                server.sendall(mark * size)

        def peer() -> None:
            with adopt(client) as sock:
                seen = b""
                for number in range(10):
                    sock.sendall(b"%d" % number)
                    seen += sock.recv(1000, socket.MSG_WAITALL)
                while len(seen) < 2 * size:
                    seen += sock.recv(1 << 20)
                assert seen == b"a" * size + b"b" * size

        lock = Lock()
        bench.run(reader, lambda: writer(b"a"), lambda: writer(b"b"), peer)
        assert b"".join(got) == b"0123456789"


def test_a_thread_of_a_handler_waits_for_itself(bench: Bench) -> None:
    """It is no row: it blocks, with the same results, while the row and others go on."""
    with cooperating(tcp_pair()) as (client, server):
        log: list[object] = []
        done = TableEvent()

        def thread() -> None:
            log.append(current_row())
            log.append(server.recv(100))
            server.settimeout(0.001)
            with pytest.raises(TimeoutError, match="timed out"):
                server.recv(1)
            with pytest.raises(TimeoutError, match="timed out"):
                server.sendall(bytes(1 << 24))
            server.settimeout(None)
            _pause(0)
            done.set()

        def handler() -> None:
            started = threading.Thread(target=thread)
            started.start()
            client.sendall(b"to the thread")
            assert done.wait(FAILSAFE)
            started.join(FAILSAFE)
            client.sendall(b"to the row")
            log.append(server.recv(100))

        bench.run(handler)
        assert log == [None, b"to the thread", b"to the row"]


def _secured(context: ssl.SSLContext) -> None:
    """Begin a handshake in the thread that calls, with a peer that does not speak TLS."""
    ours, theirs = tcp_pair()
    with ours, theirs, secure(ours, context, None) as sock:
        theirs.sendall(b"no handshake")
        with pytest.raises(ssl.SSLError):
            sock.do_handshake()


_ACTS: dict[str, Callable[[socket.socket, CooperativeSocket], object]] = {
    "asks": lambda plain, parks: current_row(),
    "sleeps": lambda plain, parks: _pause(0),
    "waits for a lock": lambda plain, parks: [lock.acquire(timeout=0.001) for lock in [Lock()] * 2],
    "waits for an event": lambda plain, parks: TableEvent().wait(0.0),
    "cooperates": lambda plain, parks: cooperative(plain),
    "reads what a row waits for": lambda plain, parks: parks.recv(1),
    "is secured": lambda plain, parks: _secured(server_context()),
}


@pytest.mark.parametrize("act", _ACTS)
def test_a_thread_without_a_table_is_unknown_to_greenlet(bench: Bench, act: str) -> None:
    """
    Greenlet forgets a thread that it knows with a lock held: who is forked at that moment waits for it for ever.

    Seen as a child that hung, once in a million requests, of a process with threads that spoke TLS.
    """
    with cooperating(tcp_pair()) as (client, server):
        known: list[int] = []

        def thread() -> None:
            known.append(_greenlet.get_total_main_greenlets())
            plain, peer = socket.socketpair()
            with peer, plain:
                _ACTS[act](plain, server)
            known.append(_greenlet.get_total_main_greenlets())

        def reader() -> None:
            assert server.recv(1) == b"1"
            assert server.recv(1) in b"23"

        def handler() -> None:
            client.sendall(b"1")
            _pause(0)  # now the reader waits by the shortest way
            started = threading.Thread(target=thread)
            started.start()
            client.sendall(b"23")
            while started.is_alive():
                _pause(0.001)

        bench.run(reader, handler)
        assert len(known) == 2
        assert known[0] == known[1] >= 1


@pytest.mark.parametrize(("ending", "status"), [("return", 0), ("raise", 1), ("exit 3", 3), ("exit text", 1)])
def test_a_child_that_a_handler_forks_never_enters_the_loop(ending: str, status: int) -> None:
    """It waits for itself, ends where its request ends, and leaves the parent's clients and poller alone."""

    def handler(request: socket.socket, address: object, server: Any) -> None:
        request.sendall(b"!")
        if request.recv(10) != b"fork":
            request.sendall(b"%d" % os.getpid())
            request.recv(1)
            return
        pid = os.fork()
        if pid == 0:
            assert current_row() is None
            _pause(0)
            request.sendall(b"child")
            assert request.recv(10) == b"go on"  # by poll(2)
            request.close()  # the parent is still to hear of its copy
            os.close(2)  # what it raises is said there
            if ending == "raise":
                raise ValueError("on purpose")
            if ending.startswith("exit"):
                sys.exit(3 if "3" in ending else "text")
            return
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            _pause(0.001)
        request.sendall(b"%d" % os.waitstatus_to_exitcode(ended[1]))
        assert request.recv(10) == b"thanks"  # registered as before
        request.sendall(b"welcome")

    with _made(handler).running() as server, _client(server) as forks, _client(server) as before:
        assert forks.recv(1) + before.recv(1) == b"!!"
        forks.sendall(b"fork")
        assert forks.recv(10) == b"child"
        before.sendall(b"who")  # an edge for the parent, of which the child has a copy
        assert int(before.recv(10)) == os.getpid()
        with _client(server) as after:
            assert after.recv(1) == b"!"
            after.sendall(b"who")
            assert int(after.recv(10)) == os.getpid()
        forks.sendall(b"go on")
        assert forks.recv(10) == b"%d" % status
        forks.sendall(b"thanks")
        assert forks.recv(10) == b"welcome"
    assert server.stats.failed == 0


@pytest.mark.parametrize("reads", [True, False])
def test_a_client_that_always_has_data_starves_nobody(bench: Bench, reads: bool) -> None:
    """Neither reading nor writing without a wait keeps the others out for more than its share."""
    with cooperating(tcp_pair()) as (client, server), cooperating(tcp_pair()) as (quiet, other):
        log: list[str] = []

        def greedy() -> None:
            client.sendall(bytes(20_000))
            server.settimeout(None)
            for _ in range(20 * SHARE):
                server.recv(1) if reads else server.sendall(b"x")
                log.append("greedy")

        def modest() -> None:
            for _ in range(8):
                quiet.sendall(b"?")
                assert other.recv(1) == b"?"
                log.append("other")

        bench.run(greedy, modest)
        gaps = "".join(each[0] for each in log).split("o")
        assert max(map(len, gaps[:8])) <= SHARE + 1


def test_a_greedy_client_keeps_out_no_new_one() -> None:
    """The loop accepts between two shares."""
    hold = threading.Event()

    def handler(request: socket.socket, address: object, server: Any) -> None:
        if request.recv(1) == b"?":
            hold.set()
            return
        while not hold.is_set():  # there is always data
            assert request.recv(1, socket.MSG_PEEK) == b"g"

    with _made(handler).running() as server, _client(server) as greedy:
        greedy.sendall(b"gg")
        with _client(server) as other:
            other.sendall(b"?")
            assert hold.wait(FAILSAFE)
    assert server.stats.failed == 0


def test_without_descriptors_those_in_flight_are_served(recorder: Recorder) -> None:
    """Accepting pauses, with an event; parked rows go on, and what they give back is used."""

    def handler(request: socket.socket, address: object, server: Any) -> None:
        request.sendall(b"!")
        request.sendall(request.recv(1))

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack, _made(handler, recorder).running() as server:
        first = stack.enter_context(_client(server))
        assert first.recv(1) == b"!"
        waiting = stack.enter_context(socket.socket())
        waiting.settimeout(FAILSAFE)
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
        waiting.connect(server.address)
        recorder.wait_for(AcceptPaused)
        first.sendall(b"1")
        assert first.recv(1) == b"1"  # and its descriptor is free
        assert waiting.recv(1) == b"!"
        waiting.sendall(b"2")
        assert waiting.recv(1) == b"2"
        recorder.wait_for(AcceptResumed)


def test_a_unix_client_that_does_not_read_holds_up_nobody(folder: Path) -> None:
    """Answers wait for room, in their own rows; when it reads all are there."""
    path, count = str(folder / "server"), 40

    def handler(request: tuple[bytes, socket.socket], address: Any, server: Any) -> None:
        packet, sock = request
        for number in range(count if packet == b"many" else 1):
            sock.sendto(b"%d" % number, address)

    with Server(UnixDatagramTransport(path), SelectorStrategy(), handler).running() as server:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as quick:
                for name, sock in (("slow", slow), ("quick", quick)):
                    sock.settimeout(FAILSAFE)
                    sock.bind(str(folder / name))
                slow.sendto(b"many", path)  # not connected: else the system lets it hold up the whole socket
                for _ in range(3):
                    quick.sendto(b"one", path)
                    assert quick.recv(10) == b"0"
            assert [slow.recv(10) for _ in range(count)] == [b"%d" % number for number in range(count)]
    assert server.stats.failed == 0


def test_a_socket_that_outlives_its_time_of_serving_parks_in_the_next() -> None:
    """A connection that handlers share, on another loop than before."""
    upstream, far = socket.socketpair()
    shared: list[CooperativeSocket] = []

    def handler(request: socket.socket, address: object, server: Any) -> None:
        if not shared:
            made = cooperative(upstream)
            assert isinstance(made, CooperativeSocket)
            shared.append(made)
        request.sendall(b"!")
        request.sendall(shared[0].recv(10))
        server.request_stop()

    with far, _made(handler) as server, _made(print) as second:
        for servers in ((server,), (server, second), (server,)):
            thread = threading.Thread(target=serve, args=servers)
            thread.start()
            with _client(server) as client:
                assert client.recv(1) == b"!"
                while [row.waiting_for for row in server.rows()] != ["readable"]:
                    pass  # it is about to park
                far.sendall(b"shared")
                assert client.recv(10) == b"shared"
            second.request_stop() if len(servers) == 2 else None
            thread.join(FAILSAFE)
            assert not thread.is_alive()
        shared[0].close()
