"""Faults that were found by attacking the library: each with the smallest program that showed it."""

import os
import pickle
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kinds import STRATEGIES, EchoLines, echo
from recorder import FAILSAFE, Recorder
from sockserve import (
    AdoptedTransport,
    DatagramRequestHandler,
    DatagramTruncated,
    ForkStrategy,
    ListenError,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve._loop.timers import Timers
from sockserve.events import Event, HandlerFailed

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


def _quiet(event: Event) -> None:
    """An observer."""


def _serve(server: Server[Any, Any]) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return thread


def test_closing_while_serving_begins() -> None:
    """Whichever comes first, the server is closed in the end, and serve_forever has left or refused to begin."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(100):
            server = Server(TCP, SyncStrategy(), echo, observer=_quiet)
            server.listen()

            def serve(server: Server[Any, Any] = server) -> None:
                try:
                    server.serve_forever()
                except RuntimeError:
                    pass  # closed before it began

            thread = threading.Thread(target=serve)
            thread.start()
            server.server_close()
            thread.join(FAILSAFE)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("call", ["shutdown", "server_close"])
def test_a_signal_handler_may_stop_at_every_line_of_a_period(call: str) -> None:
    """In the very thread that serves, from before the loop opens until after it is closed."""
    point = 0
    while True:
        point += 1
        server = Server(TCP, SyncStrategy(), echo, observer=_quiet)
        server.listen()
        lines = 0

        def trace(
            frame: Any, event: str, argument: object, server: Server[Any, Any] = server, point: int = point
        ) -> Any:
            nonlocal lines
            if "sockserve/" in frame.f_code.co_filename and event == "line":
                lines += 1
                if lines == point:
                    sys.settrace(None)
                    getattr(server, call)()
            return trace

        server.request_stop()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            server.serve_forever()
        except RuntimeError:
            assert call == "server_close"
        finally:
            sys.settrace(before)  # coverage's own, for instance
        server.server_close()
        if lines < point:
            break
    assert point > 100


def test_the_default_timeout_of_the_process_is_not_the_listeners(folder: Path) -> None:
    """A datagram server answers and waits as ever."""
    socket.setdefaulttimeout(0.05)
    try:
        servers = [
            Server(transport, SyncStrategy(), echo)
            for transport in (UdpTransport(("127.0.0.1", 0)), UnixDatagramTransport(folder / "s"))
        ]
        for server in servers:
            server.listen()
    finally:
        socket.setdefaulttimeout(None)
    for server in servers:
        listener: Any = server._life.listener()
        assert listener.sock.gettimeout() is None
        server.server_close()


def test_the_socket_listens_before_the_lock_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a second server takes the first one's file for stale, and both believe to have the path."""
    seen = []
    real = socket.socket.listen

    def listen(self: socket.socket, backlog: int) -> None:
        seen.append(sorted(os.listdir(folder)))
        real(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", listen)
    UnixStreamTransport(folder / "s").listen().close()
    assert seen == [[".s.sockserve-lock", "s"]]


def test_the_file_is_removed_before_the_socket_is_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open socket keeps its inode's number: a successor cannot have the same one and be taken for us."""
    listener = UnixStreamTransport(folder / "s").listen()
    there = []
    real = socket.socket.close

    def close(self: socket.socket) -> None:
        there.append(os.listdir(folder))
        real(self)

    monkeypatch.setattr(socket.socket, "close", close)
    listener.close()
    assert there == [[]]


def test_a_lock_file_of_the_programs_own_is_left_alone(folder: Path) -> None:
    """`path.lock` is a name that programs use."""
    (folder / "s.lock").write_text("mine")
    UnixStreamTransport(folder / "s").listen().close()
    assert (folder / "s.lock").read_text() == "mine"


def _fork_server(handler: Any, **options: Any) -> Server[Any, Any]:
    return Server(TCP, ForkStrategy(**options), handler, observer=_quiet)


def test_a_child_without_stdout_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a handler or a daemon has done to stdout, the parent forks and the child ends where it should."""

    def handler(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"x")
        sys.stdout = None

    monkeypatch.setattr(sys, "stdout", None)
    server = _fork_server(handler)
    with server.running(), socket.create_connection(server.address, timeout=FAILSAFE) as client:
        assert client.recv(2) == b"x"
        assert client.recv(1) == b""
    assert server.stats.finished == 1


def test_signals_that_the_program_blocks_still_reach_its_children() -> None:
    """A daemon that waits for signals in a thread blocks them everywhere: a child is ended all the same."""
    server = _fork_server(EchoLines)
    server.listen()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with socket.create_connection(server.address, timeout=FAILSAFE) as client:
            client.sendall(b"x\n")
            server.handle_request()
            assert client.recv(2) == b"x\n"
            server.server_close()
            assert client.recv(1) == b""
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_the_end_of_a_grace_ends_a_child_that_only_writes() -> None:
    """Its connection is shut, both ways."""

    def handler(request: socket.socket, address: object, server: object) -> None:
        while True:
            request.sendall(b"x" * 1000)

    for block in (True, False):
        server = _fork_server(handler, block_on_close=block)
        with server:
            thread = _serve(server)
            with socket.create_connection(server.address, timeout=FAILSAFE) as client:
                assert client.recv(1)
                server.shutdown(grace=0.0)
                while client.recv(100_000):
                    pass
            thread.join(FAILSAFE)
        assert server.stats.active == 0


def test_datagrams_in_flight_are_answered_when_the_server_closes() -> None:
    """Their replies go through the listener's socket: it is closed last."""
    came, go = threading.Event(), threading.Event()

    class Slow(DatagramRequestHandler):
        def handle(self) -> None:
            came.set()
            go.wait(FAILSAFE)
            self.wfile.write(b"answered")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(FAILSAFE)
        server = Server(UdpTransport(("127.0.0.1", 0)), ThreadStrategy(), Slow)
        with server:
            client.sendto(b"x", server.address)
            server.handle_request()
            assert came.wait(FAILSAFE)
            closer = threading.Thread(target=server.server_close)
            closer.start()
            go.set()
            assert client.recv(100) == b"answered"
            closer.join(FAILSAFE)
    assert server.stats.failed == 0


def test_a_descriptor_closed_by_number_is_the_end_of_that_request_alone() -> None:
    """Nothing stays active, and the server lives."""

    def handler(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"x")
        os.close(request.fileno())

    for strategy in (SyncStrategy(), ThreadStrategy(), ThreadPoolStrategy()):
        with Server(TCP, strategy, handler, observer=_quiet).running() as server:
            with socket.create_connection(server.address, timeout=FAILSAFE) as client:
                assert client.recv(2) == b"x"
                assert client.recv(1) == b""
        assert (server.stats.active, server.stats.finished) == (0, 1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_time_at_all_still_serves_who_waits(name: str) -> None:
    """timeout=0 looks once, as polling does."""
    with Server(TCP, STRATEGIES[name](), echo, timeout=0.0, observer=_quiet) as server:
        assert server.handle_request() is False
        with socket.create_connection(server.address) as client:
            client.shutdown(socket.SHUT_WR)
            assert server.handle_request() is True


def test_a_departure_does_not_hide_a_bug(folder: Path, recorder: Recorder) -> None:
    """The handler raised, and its reply found nobody: the first is what is told."""

    class Wrong(DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"x")
            raise ZeroDivisionError("on purpose")

    with Server(UnixDatagramTransport(folder / "s"), SyncStrategy(), Wrong, observer=recorder) as server:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", server.address)
            server.handle_request()
        assert "on purpose" in recorder.wait_for(HandlerFailed)["error"]
    assert server.stats.failed == 1


def test_a_process_forked_by_the_program_may_leave_the_block() -> None:
    """It neither waits for the parent's requests nor ends them."""
    with Server(TCP, ThreadStrategy(), EchoLines) as server:
        thread = _serve(server)
        with socket.create_connection(server.address, timeout=FAILSAFE) as client:
            client.sendall(b"x\n")
            assert client.recv(2) == b"x\n"
            pid = os.fork()
            if pid == 0:
                try:
                    server.shutdown(grace=1)
                    server.server_close()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            client.sendall(b"y\n")
            assert client.recv(2) == b"y\n"
        server.shutdown()
        thread.join(FAILSAFE)


def test_an_observer_that_cannot_say_what_it_wants(caplog: pytest.LogCaptureFixture) -> None:
    """Its failure is logged once, as its others are, and the server serves."""

    class Unsure:
        def wants(self, kind: type[Event]) -> bool:
            raise LookupError("on purpose")

        def __call__(self, event: Event) -> None:
            """Take it."""

    with Server(TCP, SyncStrategy(), echo, observer=Unsure()).running() as server:
        with socket.create_connection(server.address) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    assert len(caplog.records) == 1


def test_verify_may_close_the_server() -> None:
    """The request that it looked at is closed, and nothing is started on a closed runner."""

    def verify(request: object, address: object) -> bool:
        server.server_close()
        return True

    server = Server(TCP, ForkStrategy(), echo, verify=verify, observer=_quiet)
    with server, socket.create_connection(server.address, timeout=FAILSAFE) as client:
        server.handle_request()
        assert client.recv(1) == b""
    assert server.stats.active == 0


def test_an_expired_grace_is_forgotten_when_serving_begins_again() -> None:
    """A later close waits without a bound again, as it was asked to."""
    with Server(TCP, ThreadStrategy(), EchoLines) as server:
        for grace in (0.0, None):
            thread = _serve(server)
            with socket.create_connection(server.address, timeout=FAILSAFE) as client:
                client.sendall(b"x\n")
                assert client.recv(2) == b"x\n"
                server.shutdown(grace)
            thread.join(FAILSAFE)
        assert not server._life.expired


def test_a_timer_that_raises_loses_no_other() -> None:
    """Those that were due with it run the next time; one that is cancelled by another never does."""
    timers, ran = Timers(), list[str]()

    def fail() -> None:
        raise LookupError

    timers.add(0.0, fail)
    second = timers.add(0.0, lambda: third.cancel())
    third = timers.add(0.0, lambda: ran.append("third"))
    timers.add(0.0, lambda: ran.append("fourth"))
    with pytest.raises(LookupError):
        timers.run(1.0)
    timers.run(1.0)
    assert ran == ["fourth"]
    assert len(timers) == 0
    second.cancel()


def test_a_descriptor_that_is_another_socket_by_now() -> None:
    """Is not served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = os.dup(listener.fileno())
        transport = AdoptedTransport(fd)
        left, right = socket.socketpair()
        with left, right:
            os.dup2(left.fileno(), fd)
            with pytest.raises(ListenError, match="another socket"):
                transport.listen()
        os.close(fd)


def test_errors_can_be_pickled() -> None:
    """They cross processes with what they carry."""
    error = pickle.loads(pickle.dumps(ListenError(98, ("h", 1), "in use")))
    assert (error.errno, error.address) == (98, ("h", 1))
    truncated = pickle.loads(pickle.dumps(DatagramTruncated("peer", 5)))
    assert truncated.max_packet_size == 5
