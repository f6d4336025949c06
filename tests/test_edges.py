"""Rare paths, each a sentence of the documentation."""

import errno
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeCore, FakeJob
from kinds import echo
from recorder import FAILSAFE
from sockserve import (
    ForkStrategy,
    InetAddress,
    ListenError,
    Server,
    SyncStrategy,
    TcpTransport,
    UdpTransport,
    UnixAddress,
    UnixStreamTransport,
)
from sockserve._loop.loop import EventLoop
from sockserve._loop.pollers import Poller
from sockserve._loop.timers import Timers
from sockserve.events import Event
from sockserve.strategies import _children, _fork, _forks
from sockserve.transports import _stream, _unix_path, _unix_peer, _unix_stream

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


def _refuse(*_: object, **__: object) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_strategy_may_replace_the_request() -> None:
    """Before it runs, by its own kind of socket, which the server closes in the end."""
    replaced: list[socket.socket] = []

    class Own(socket.socket):
        """A strategy's own socket."""

    class Replacing:
        full = False

        def submit(self, job: Any) -> None:
            assert job.stream
            assert isinstance(job.client_address, InetAddress)
            old = job.request
            replaced.append(Own(fileno=old.detach()))
            job.replace(replaced[-1])
            job.run()

        def move(self, loop: object) -> None:
            """Nothing is on it."""

        def close(self, deadline: float | None) -> None:
            """Nothing runs."""

    class Strategy:
        def start(self, loop: object, core: object) -> Replacing:
            return Replacing()

    seen = []

    def handler(request: object, address: object, server: object) -> None:
        seen.append(type(request))

    with Server(TCP, Strategy(), handler) as server, socket.create_connection(server.address) as client:
        server.handle_request()
        assert client.recv(1) == b""
    assert seen == [Own]
    assert replaced[0].fileno() == -1


def test_errors_of_listen_are_listen_errors(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whichever system call fails; nothing stays open, no file is left."""
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "listen", _refuse)
        with pytest.raises(ListenError, match="ulimit"):
            TCP.listen()
        with pytest.raises(ListenError, match="ulimit"):
            UnixStreamTransport(folder / "s").listen()
        with pytest.raises(ListenError):
            UnixStreamTransport(f"\0{os.getpid()}-edge").listen()
    assert os.listdir(folder) == []
    with monkeypatch.context() as patch:
        patch.setattr(_unix_path.socket, "socket", _refuse)  # type: ignore[attr-defined]
        with pytest.raises(ListenError, match="ulimit"):
            UnixStreamTransport(folder / "s").listen()


def test_configure_that_fails_closes_the_socket() -> None:
    """Of IP sockets too; its own error reaches the caller as it is."""

    def fail(sock: socket.socket) -> None:
        raise LookupError("on purpose")

    for make in (TcpTransport, UdpTransport):
        with pytest.raises(LookupError):
            make(("127.0.0.1", 0), configure=fail).listen()


def test_a_system_without_peer_credentials(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The address is the same, and knows less."""
    monkeypatch.setattr(_unix_stream, "credentials", _unix_peer.asking("another"))
    listener = UnixStreamTransport(folder / "s").listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listener.address)
        arrival = listener.accept()
        assert arrival.client_address == "unix:"
        assert arrival.client_address.uid is None
        arrival.finish()
    listener.close()


def test_the_lock_of_a_path_that_cannot_be_locked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock's descriptor is closed, and the error is a ListenError."""
    import fcntl

    monkeypatch.setattr(fcntl, "flock", _refuse)
    with pytest.raises(ListenError):
        UnixStreamTransport(folder / "s").listen()


def test_whether_a_peer_is_gone_when_its_socket_is_closed() -> None:
    """A handler that closed its socket itself has made its own error."""
    left, right = socket.socketpair()
    with left, right:
        arrival = _stream.StreamArrival(left, UnixAddress("x"))
        assert not arrival.peer_gone(BrokenPipeError())
        right.close()
        assert arrival.peer_gone(BrokenPipeError())
        left.close()
        assert not arrival.peer_gone(BrokenPipeError())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        request, _ = listener.accept()
        gone = _stream.StreamArrival(request, InetAddress("x", 0))
        assert not gone.peer_gone(ConnectionResetError())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with pytest.raises(ConnectionResetError):
            request.recv(1)
        assert gone.peer_gone(ConnectionResetError())
        assert not gone.peer_gone(ValueError())
        request.close()
        assert not gone.peer_gone(ConnectionResetError())


def test_a_loop_that_cannot_open_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors for its poller or wake-up serving is an error, and can be tried again."""

    def fail() -> Poller:
        raise OSError(errno.EMFILE, "no descriptor")

    with Server(TCP, SyncStrategy(), echo) as server:
        with monkeypatch.context() as patch:
            patch.setattr("sockserve._loop.pollers.default_poller", fail)
            with pytest.raises(OSError, match="no descriptor"):
                server.serve_forever()
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", _refuse)
            with pytest.raises(OSError, match="Too many"):
                server.serve_forever()
        server.request_stop()
        server.serve_forever()


def test_a_strategy_that_cannot_start_leaves_the_server_as_it_was() -> None:
    """The error reaches who serves; the server can be closed."""

    class Broken:
        def start(self, loop: object, core: object) -> Any:
            raise LookupError("on purpose")

    with Server(TCP, Broken(), echo) as server:
        for _ in range(2):
            with pytest.raises(LookupError):
                server.serve_forever()


def test_cancelled_timers_are_swept() -> None:
    """Memory follows the living: ten thousand cancelled ones leave the heap."""
    timers = Timers()
    made = [timers.add(float(n), lambda: None) for n in range(10_000)]
    for timer in made[:-1]:
        timer.cancel()
    assert len(timers) == 1
    assert len(timers.heap) < 200
    assert timers.next_due() == 9999.0


def test_a_relay_whose_pipe_is_full_or_closed_loses_nothing() -> None:
    """A full pipe holds requests to stop already; without a reader there is nobody to ask."""
    core = FakeCore()
    relay = _fork._StopRelay(EventLoop(), core)
    for _ in range(100_000):
        relay.send(None)
    relay._receive(1)
    assert core.stops[0] is None
    relay.send(2.5)
    os.close(relay._reader)
    relay.send(None)
    relay._reader = os.dup(relay._writer)
    relay.close()


def test_a_kernel_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSYS, EPERM in a container, another system: pipes."""
    monkeypatch.setattr(_children, "_pidfd_open", _refuse)
    assert not _children.has_pidfd()
    monkeypatch.setattr(_children, "_pidfd_open", _children._no_pidfd)
    assert not _children.has_pidfd()


def test_a_child_that_ended_before_it_was_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """ESRCH: somebody has reaped it already; it is settled at once."""

    def gone(pid: int) -> int:
        os.waitpid(pid, 0)
        raise ProcessLookupError

    loop, job = EventLoop(), FakeJob()
    runner = ForkStrategy().start(loop, FakeCore())
    monkeypatch.setattr(_children, "_pidfd_open", gone)
    runner.submit(job)
    assert job.settled is True
    runner.close(None)


def test_waiting_for_children_that_have_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """At close, a child that could not be watched is waited for by its number, and killed at the deadline."""
    if not _children.has_pidfd():
        pytest.skip("this kernel has no pidfds")
    reader, writer = os.pipe()
    for work, settled in ((lambda: None, None), (lambda: os.read(reader, 1), False)):
        loop, job = EventLoop(), FakeJob(work)
        runner = ForkStrategy().start(loop, FakeCore())
        with monkeypatch.context() as patch:
            patch.setattr(_children, "_pidfd_open", _refuse)
            runner.submit(job)
        runner.close(loop.time())
        assert job.settled is not None
        if settled is not None:
            assert job.settled is settled
    os.close(reader)
    os.close(writer)


def test_flushing_closed_files_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child whose stdout has been closed leaves quietly."""
    with open(os.devnull) as file:
        monkeypatch.setattr("sys.stdout", file)
    _forks.flush()


def test_unwanted_events_are_not_made() -> None:
    """Every place that makes an event asks first."""

    class Deaf:
        def wants(self, kind: type[Event]) -> bool:
            return False

        def __call__(self, event: Event) -> None:
            raise AssertionError(event)

    def handler(request: Any, address: object, server: object) -> None:
        raise ConnectionRefusedError

    def refuse(request: object, address: object) -> bool:
        return False

    for verify in (None, refuse):
        server = Server(TCP, ForkStrategy(), handler, verify=verify, observer=Deaf())
        with server.running(), socket.create_connection(server.address, timeout=FAILSAFE) as client:
            assert client.recv(1) == b""
