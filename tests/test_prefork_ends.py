"""How workers end: told by their parent, by others, by its death."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from prefork_kit import TCP, EchoPid, ask, begin, client_of, go_on, insist, serving
from recorder import FAILSAFE, Recorder
from sockserve import (
    PreforkStrategy,
    SelectorStrategy,
    Server,
    SyncStrategy,
    ThreadStrategy,
    UdpTransport,
    serve,
)
from sockserve._workers import staff
from sockserve.abc import Strategy
from sockserve.events import (
    Draining,
    WorkerEnded,
    WorkerReplaced,
)

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


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
                ask(client, b"x\n")
                begin(client)
                os.kill(os.getpid(), signal.SIGTERM)
                recorder.wait_for(Draining)
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
                begin(client)
                os.kill(os.getpid(), signal.SIGTERM)
                recorder.wait_for(Draining)
                seen.append(go_on(client)[1])

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
    monkeypatch.setattr(staff, "ABORT_AFTER", 0.0)
    monkeypatch.setattr(staff, "KILL_AFTER", 0.01)
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
            begin(client)
            os.kill(pid, signal.SIGKILL)
            _listen_at(port)
            assert go_on(client)[1] == b"still\n"
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
