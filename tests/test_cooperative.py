"""A socket that parks does what a plain one does, with both pollers, over TCP and Unix sockets."""

import array
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sockserve import sleep
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


def _recv_into(sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: sock.recv_into(buffer)])


def _recvfrom_into(sock: socket.socket) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: sock.recvfrom_into(buffer)[0]])


def _recvmsg_into(sock: socket.socket) -> bytes:
    left, right = bytearray(1), bytearray(100)
    size = sock.recvmsg_into([left, right])[0]
    return bytes(left + right)[:size]


READS: dict[str, Callable[[socket.socket], bytes]] = {
    "recv": lambda sock: sock.recv(100),
    "recv_into": _recv_into,
    "recvfrom": lambda sock: sock.recvfrom(100)[0],
    "recvfrom_into": _recvfrom_into,
    "recvmsg": lambda sock: sock.recvmsg(100)[0],
    "recvmsg_into": _recvmsg_into,
    "makefile": lambda sock: sock.makefile("rb", buffering=0).read(100),
    "all": lambda sock: sock.recv(3, socket.MSG_WAITALL),
}

WRITES: dict[str, Callable[[socket.socket, bytes], object]] = {
    "send": lambda sock, data: sock.send(data),
    "sendall": lambda sock, data: sock.sendall(data),
    "sendmsg": lambda sock, data: sock.sendmsg([data[:1], data[1:]]),
    "makefile": lambda sock, data: sock.makefile("wb", buffering=0).write(data),
}


@pytest.mark.parametrize("read", READS)
def test_reading_parks_until_there_is_something(bench: Bench, ends: Ends, read: str) -> None:
    """Again and again, and gives the end of the stream at last; others run meanwhile."""
    client, server = ends
    log: list[object] = []

    def reader() -> None:
        while data := READS[read](server):
            log.append(data)
        log.append(READS[read](server))  # the end stays

    def other() -> None:
        for data in (b"one", b"two", b"end"):
            log.append(None)
            client.sendall(data)
            while log[-1] != data:
                _pause(0)
        client.shutdown(socket.SHUT_WR)

    bench.run(reader, other)
    assert log == [None, b"one", None, b"two", None, b"end", b""]


@pytest.mark.parametrize("write", WRITES)
def test_writing_parks_until_there_is_room(bench: Bench, ends: Ends, write: str) -> None:
    """What a slow reader leaves is waited for; nothing is lost or sent twice."""
    client, server = ends
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = bytes(range(256)) * 2048
    got = bytearray()

    def writer() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[int(str(WRITES[write](server, bytes(rest)) or len(rest))) :]
        server.shutdown(socket.SHUT_WR)

    def slow() -> None:
        reader = adopt(client)
        while piece := reader.recv(70_000):
            got.extend(piece)
            _pause(0)
        reader.close()

    bench.run(writer, slow)
    assert got == data


def test_sendall_takes_every_kind_of_buffer(bench: Bench, ends: Ends) -> None:
    """As the plain one, of whatever item size."""
    client, server = ends
    numbers = array.array("I", range(1000))

    def writer() -> None:
        for each in (b"", b"x", bytearray(b"y"), memoryview(b"z!")[:1], numbers, memoryview(numbers)):
            server.sendall(each)
        server.shutdown(socket.SHUT_WR)

    bench.run(writer)
    assert client.makefile("rb").read() == b"xyz" + 2 * numbers.tobytes()


@pytest.mark.parametrize("call", [*READS, "sendall", "sendfile", "accept"])
def test_a_timeout_is_raised_as_on_a_thread(bench: Bench, ends: Ends, call: str, tmp_path: Path) -> None:
    """The same error with the same text; the socket can be used afterwards."""
    client, server = ends
    big = tmp_path / "big"
    big.write_bytes(bytes(1 << 23))
    listener = adopt(socket.create_server(("127.0.0.1", 0)))

    def work() -> None:
        with listener, big.open("rb") as file:
            calls: dict[str, Callable[[], object]] = {
                "sendall": lambda: server.sendall(bytes(1 << 23)),
                "sendfile": lambda: server.sendfile(file),
                "accept": listener.accept,
            }
            server.settimeout(0.01)
            listener.settimeout(0.01)
            with pytest.raises(TimeoutError, match=r"^timed out$"):
                calls[call]() if call in calls else READS["recv" if call == "all" else call](server)
            if call == "sendfile":
                assert 0 < file.tell() < 1 << 23  # as documented: where it has stopped
            server.settimeout(None)
            client.sendall(b"later")
            assert server.recv(100) == b"later"

    bench.run(work)


def test_how_long_it_waits_is_the_objects_own(ends: Ends) -> None:
    """settimeout, setblocking and their questions, as documented; the descriptor never blocks."""
    _, server = ends
    assert (server.gettimeout(), server.timeout, server.getblocking()) == (None, None, True)
    for value, blocks in ((2.5, True), (0, False), (None, True), (7, True)):
        server.settimeout(value)
        assert (server.gettimeout(), server.timeout, server.getblocking()) == (value, value, blocks)
        assert not os.get_blocking(server.fileno())
    server.setblocking(False)
    assert server.gettimeout() == 0.0
    server.setblocking(True)
    assert server.gettimeout() is None
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="Timeout value out of range"):
            server.settimeout(wrong)
    with pytest.raises((TypeError, ValueError)):
        server.settimeout("soon")  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", [0, socket.MSG_DONTWAIT])
def test_what_is_not_to_wait_does_not(bench: Bench, ends: Ends, flag: int) -> None:
    """Neither a socket without patience nor a call with MSG_DONTWAIT; what is there is given."""
    client, server = ends

    def work() -> None:
        if not flag:
            server.settimeout(0)
        calls: tuple[Callable[[], object], ...] = (
            lambda: server.recv(10, flag),
            lambda: server.recv_into(bytearray(10), 0, flag),
            lambda: server.recvfrom(10, flag),
            lambda: server.recvmsg(10, 0, flag),
        )
        for call in (*calls, *calls):
            with pytest.raises(BlockingIOError):
                call()
            client.sendall(b"123")
            while server.recv(3, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b"123":
                pass
            assert call()
        with pytest.raises(BlockingIOError):
            while True:
                server.sendall(bytes(100_000), flag)
        with pytest.raises(BlockingIOError):
            while True:
                server.send(bytes(100_000), flag)

    bench.run(work)


def test_a_read_of_nothing_waits_for_nothing(bench: Bench, ends: Ends) -> None:
    """As a plain one's."""
    client, server = ends

    def work() -> None:
        for _ in range(2):  # the second time after a short read
            assert server.recv(0) == b""
            assert server.recv_into(bytearray()) == 0
            with pytest.raises(ValueError, match="negative"):
                server.recv(-1)
            with pytest.raises(ValueError, match="too small"):
                server.recv_into(bytearray(1), 2)
            client.sendall(b"x")
            assert server.recv(10) == b"x"

    bench.run(work)


def test_waiting_for_all_waits_for_all(bench: Bench, ends: Ends) -> None:
    """MSG_WAITALL, which the system heeds on a descriptor that blocks, and only there."""
    client, server = ends
    got: list[object] = []

    def reader() -> None:
        got.append(server.recv(6, socket.MSG_WAITALL))
        buffer = bytearray(9)
        got.append(server.recv_into(buffer, 6, socket.MSG_WAITALL))
        got.append(bytes(buffer))
        got.append(server.recv(6, socket.MSG_WAITALL))

    def writer() -> None:
        for byte in b"abcdefghijklmn":
            client.sendall(bytes([byte]))
            _pause(0)
        client.shutdown(socket.SHUT_WR)

    bench.run(reader, writer)
    assert got == [b"abcdef", 6, b"ghijkl\0\0\0", b"mn"]
