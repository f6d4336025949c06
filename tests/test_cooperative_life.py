"""Connecting, lending and copying sockets that park."""

import contextlib
import errno
import gc
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import FAILSAFE
from sockserve import sleep
from sockserve._table.current import current_row
from sockserve._table.sockets import CooperativeSocket, adopt
from table_kit import PAIRS, POLLERS, Bench, cooperating

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_pause = sleep
Ends = tuple[socket.socket, CooperativeSocket]


@pytest.fixture(params=list(POLLERS))
def bench(request: pytest.FixtureRequest) -> Bench:
    """A table with each poller."""
    return Bench(POLLERS[request.param])


@pytest.fixture(params=list(PAIRS))
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A plain client, and a socket that parks."""
    with cooperating(PAIRS[request.param]()) as made:
        yield made


def test_accept_and_connect_park(bench: Bench) -> None:
    """What is accepted parks too."""
    listener = adopt(socket.create_server(("127.0.0.1", 0)))
    got: list[bytes] = []

    def serve() -> None:
        for _ in range(3):
            sock, address = listener.accept()
            with sock:
                assert isinstance(sock, CooperativeSocket)
                assert sock.getpeername() == address
                got.append(sock.recv(10))

    def ask(name: bytes) -> None:
        with CooperativeSocket(socket.AF_INET) as sock:
            sock.connect(listener.getsockname())
            _pause(0)
            sock.sendall(name)
            assert sock.recv(1) == b""

    with listener:
        bench.run(serve, *(lambda name=name: ask(name) for name in (b"a", b"b", b"c")))
    assert sorted(got) == [b"a", b"b", b"c"]


def test_connect_says_what_is_wrong(bench: Bench) -> None:
    """The errors of a thread: refused, not to wait, already connected."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()

    def work() -> None:
        with CooperativeSocket(socket.AF_INET) as sock:
            with pytest.raises(ConnectionRefusedError):
                sock.connect(address)
        with CooperativeSocket(socket.AF_INET) as sock:
            assert sock.connect_ex(address) == errno.ECONNREFUSED
        with CooperativeSocket(socket.AF_INET) as sock, socket.create_server(("127.0.0.1", 0)) as listener:
            sock.settimeout(0)
            with pytest.raises(BlockingIOError):
                sock.connect(listener.getsockname())
            sock.settimeout(None)
            accepted, _ = listener.accept()
            with accepted, pytest.raises(OSError, match="already connected"):
                sock.connect(listener.getsockname())
                sock.connect(listener.getsockname())
        with pytest.raises(socket.gaierror):
            CooperativeSocket(socket.AF_INET).connect(("not an address", 1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        bench.run(work)
        gc.collect()


def _full(folder: Path, family: int) -> tuple[socket.socket, list[socket.socket]]:
    """Make a listener whose queue takes nobody more, and those who fill it."""
    listener = socket.socket(family)
    listener.bind(str(folder / "full") if family == socket.AF_UNIX else ("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    while True:
        sock = socket.socket(family)
        fillers.append(sock)
        sock.settimeout(0.05)
        try:
            sock.connect(listener.getsockname())
        except (TimeoutError, BlockingIOError):
            return listener, fillers


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_connecting_waits_for_room_and_for_nothing_else(bench: Bench, folder: Path, family: int) -> None:
    """A wake-up for something else makes no connection; at its timeout it says so."""
    listener, fillers = _full(folder, family)
    address = listener.getsockname()
    log: list[object] = []

    def work() -> None:
        with CooperativeSocket(family) as sock:
            sock.settimeout(0.02)
            with pytest.raises((TimeoutError, BlockingIOError)):
                sock.connect(address)
        with CooperativeSocket(family) as sock:
            rows.append(current_row())
            sock.connect(address)
            log.append("connected")

    rows: list[object] = []

    def other() -> None:
        while not rows:
            _pause(0.001)
        row = rows[0]
        assert row is not None
        for _ in range(3):
            row.table.wake(row)  # type: ignore[attr-defined]
            _pause(0.001)
        log.append("room")
        accepting.settimeout(0.01)
        while log[-1] == "room":
            with contextlib.suppress(TimeoutError):
                accepting.accept()[0].close()

    accepting = adopt(listener)
    with accepting:
        try:
            bench.run(work, other)
        finally:
            for each in fillers:
                each.close()
    assert log == ["room", "connected"]


def test_blocking_lends_the_descriptor(bench: Bench, ends: Ends) -> None:
    """A process that reads it blocks, and the socket parks again afterwards."""
    client, server = ends

    def work() -> None:
        client.sendall(b"first")
        assert server.recv(10) == b"first"
        with server.blocking() as lent:
            assert lent is server
            assert os.get_blocking(server.fileno())
            client.sendall(b"child\n")
            out = subprocess.run(
                ["head", "-n1"], stdin=server.fileno(), capture_output=True, check=True, timeout=FAILSAFE
            )
            assert out.stdout == b"child\n"
        assert not os.get_blocking(server.fileno())
        client.sendall(b"after")
        assert server.recv(10) == b"after"
        with server.blocking():
            server.close()

    bench.run(work, lambda: _pause(0))


def test_detach_gives_a_plain_descriptor(bench: Bench, ends: Ends) -> None:
    """It blocks again, the loop has forgotten it, and the object is as good as closed."""
    client, server = ends

    def work() -> None:
        client.sendall(b"1")
        assert server.recv(10) == b"1"
        started.append(True)
        with pytest.raises(OSError, match="Bad file descriptor"):
            server.recv(10)

    def other() -> None:
        assert started
        watched = set(bench.loop._callbacks)
        fd = server.detach()
        assert os.get_blocking(fd)
        assert watched - set(bench.loop._callbacks) == {fd}
        with socket.socket(fileno=fd) as plain:
            client.sendall(b"2")
            assert plain.recv(10) == b"2"

    started: list[bool] = []
    bench.run(work, other)
    assert server.fileno() == server.detach() == -1


def test_a_copy_parks_too(bench: Bench, ends: Ends) -> None:
    """dup() has the same timeout and a registration of its own; closing one leaves the other."""
    client, server = ends
    server.settimeout(FAILSAFE)
    got: list[bytes] = []

    def work() -> None:
        copy = server.dup()
        assert isinstance(copy, CooperativeSocket)
        assert copy.gettimeout() == FAILSAFE
        client.sendall(b"1")
        got.append(server.recv(10))
        with copy:
            bench.start(lambda: client.sendall(b"2"))
            got.append(copy.recv(10))
        bench.start(lambda: client.sendall(b"3"))
        got.append(server.recv(10))

    bench.run(work)
    assert got == [b"1", b"2", b"3"]
