"""What passes through a socket that parks: lines, files, descriptors, urgent data."""

import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockserve import sleep
from sockserve._table.sockets import CooperativeSocket, adopt
from table_kit import PAIRS, POLLERS, Bench, cooperating, tcp_pair, unix_pair

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


@pytest.fixture
def tcp() -> Iterator[Ends]:
    """The same over TCP."""
    with cooperating(tcp_pair()) as made:
        yield made


def test_files_are_sent_whole_from_wherever(bench: Bench, ends: Ends, tmp_path: Path) -> None:
    """From a descriptor by the system, from anything else by hand; the file stands where it has come to."""
    client, server = ends
    data = os.urandom(300_000)
    path = tmp_path / "file"
    path.write_bytes(data)

    def writer() -> None:
        with path.open("rb") as file:
            for source in (file, io.BytesIO(data)):
                assert server.sendfile(source) == source.tell() == len(data)
                assert server.sendfile(source, offset=100, count=150_000) == 150_000
                assert source.tell() == 150_100
                assert server.sendfile(source, offset=len(data)) == 0
                with pytest.raises(ValueError, match="positive"):
                    server.sendfile(source, count=0)
        with path.open("r", encoding="latin-1") as text, pytest.raises(ValueError, match="binary"):
            server.sendfile(text)  # type: ignore[arg-type]
        server.settimeout(0)
        with pytest.raises(ValueError, match="non-blocking"):
            server.sendfile(io.BytesIO(data))
        server.shutdown(socket.SHUT_WR)

    got = bytearray()

    def reader() -> None:
        with adopt(client) as sock:
            while piece := sock.recv(50_000):
                got.extend(piece)

    bench.run(writer, reader)
    assert got == 2 * (data + data[100:150_100])


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=8),
    cuts=st.lists(st.integers(1, 30), max_size=20),
    levels=st.booleans(),
    unix=st.booleans(),
)
def test_lines_arrive_as_they_were_sent(lines: list[bytes], cuts: list[int], levels: bool, unix: bool) -> None:
    """However the stream is cut, `rfile` gives each line once and whole."""
    made = Bench(POLLERS["levels" if levels else "edges"])
    with cooperating(PAIRS["unix" if unix else "tcp"]()) as (client, server):
        got: list[bytes] = []

        def reader() -> None:
            with server.makefile("rb") as rfile:
                got.extend(rfile)

        def writer() -> None:
            stream = b"".join(lines)
            for cut in cuts:
                client.sendall(stream[:cut])
                stream = stream[cut:]
                _pause(0)
            client.sendall(stream)
            client.shutdown(socket.SHUT_WR)

        made.run(reader, writer)
        assert got == lines


# The short-read rule (RULINGS.md, 18): where a short read does not mean that nothing is left.


@pytest.mark.parametrize("parked", [True, False], ids=["parked", "running"])
def test_data_and_the_end_may_come_as_one_event(bench: Bench, ends: Ends, parked: bool) -> None:
    """Also where the reader has waited before, and reads in pieces or to the end."""
    client, server = ends
    got: list[bytes] = []

    def reader() -> None:
        if parked:
            got.append(server.recv(100))
        while data := server.recv(100):
            got.append(data)

    def writer() -> None:
        if parked:
            client.sendall(b"first")
            while not got:
                _pause(0)
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)

    bench.run(reader, writer) if parked else bench.run(writer, reader)
    assert b"".join(got) == (b"first" if parked else b"") + b"last"


def test_what_follows_urgent_data_is_read(bench: Bench, tcp: Ends) -> None:
    """A read stops before the urgent byte, though more is there."""
    client, server = tcp
    got: list[bytes] = []

    def reader() -> None:
        while data := server.recv(100):
            got.append(data)

    def writer() -> None:
        client.sendall(b"first")
        while not got:
            _pause(0)
        for _ in range(3):
            client.sendall(b"before")
            client.send(b"!", socket.MSG_OOB)
            client.sendall(b"after")
            client.sendall(b"end")
            while not b"".join(got).endswith(b"afterend"):
                _pause(0)
            got.append(b"|")
        client.shutdown(socket.SHUT_WR)

    bench.run(reader, writer)
    assert b"".join(got) == b"first" + b"beforeafterend|" * 3


def test_urgent_data_itself_is_read_or_is_in_line(bench: Bench, tcp: Ends) -> None:
    """With MSG_OOB, or with SO_OOBINLINE among the rest."""
    client, server = tcp

    def reader() -> None:
        client.send(b"ab!", socket.MSG_OOB)
        assert server.recv(100) == b"ab"
        assert server.recv(1, socket.MSG_OOB) == b"!"
        server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        client.send(b"cd!", socket.MSG_OOB)
        assert (server.recv(100) + server.recv(100)).endswith(b"cd!")

    bench.run(reader)


def test_a_peek_takes_nothing(bench: Bench, ends: Ends) -> None:
    """What was peeked at, short, is read at once, and peeked at again without a further event."""
    client, server = ends
    log: list[bytes] = []

    def reader() -> None:
        for _ in range(3):
            for _ in range(2):
                log.append(server.recv(100, socket.MSG_PEEK))
            log.append(server.recv(100))

    def writer() -> None:
        for number in range(3):
            client.sendall(b"%d" % number)
            while len(log) < 3 * (number + 1):
                _pause(0)

    bench.run(reader, writer)
    assert log == [b"0"] * 3 + [b"1"] * 3 + [b"2"] * 3


def test_descriptors_are_passed(bench: Bench) -> None:
    """Each with its byte: the system does not join them to one read, so there is more after a short one."""
    with cooperating(unix_pair()) as (client, server):
        inside: list[int] = []

        def reader() -> None:
            while len(inside) < 6:
                data, fds, flags, _ = socket.recv_fds(server, 100, 4)
                assert (data, flags) == (b"x", 0)
                inside.extend(fds)

        def writer() -> None:
            reader, w = os.pipe()
            for _ in range(3):
                socket.send_fds(client, [b"x"], [reader, w])
            os.close(reader)
            os.close(w)

        bench.run(reader, writer)
        for fd in inside:
            os.close(fd)

        def back() -> None:
            socket.send_fds(server, [b"y"], [0])

        bench.run(back)
        data, fds, _, _ = socket.recv_fds(client, 10, 1)
        assert (data, len(fds)) == (b"y", 1)
        os.close(fds[0])


def test_a_half_close_ends_one_direction(bench: Bench, ends: Ends) -> None:
    """The answer still comes, however long it is; and the other way round."""
    client, server = ends
    size = 2_000_000

    def handler() -> None:
        assert server.makefile("rb").read() == b"ask"
        server.sendall(bytes(size))
        server.shutdown(socket.SHUT_WR)

    def peer() -> None:
        with adopt(client) as sock:
            sock.sendall(b"ask")
            sock.shutdown(socket.SHUT_WR)
            assert len(sock.makefile("rb").read()) == size

    bench.run(handler, peer)


def test_shutting_the_own_reading_side_wakes_who_reads(bench: Bench, ends: Ends) -> None:
    """As it does in another thread."""
    _, server = ends
    got: list[bytes] = []
    bench.run(lambda: got.append(server.recv(10)), lambda: server.shutdown(socket.SHUT_RD))
    assert got == [b""]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_messages_keep_their_bounds(bench: Bench, kind: int) -> None:
    """A short read of datagrams says nothing: many may come as one event."""
    left, right = (adopt(each) for each in socket.socketpair(socket.AF_UNIX, kind))
    got: list[bytes] = []

    def reader() -> None:
        while (data := left.recv(100)) != b"end":
            got.append(data)
        assert left.send(b"thanks") == 6

    def writer() -> None:
        for number in range(60):  # more than the queue takes
            right.send(b"%d" % number)
        right.send(b"end")
        assert right.recv(100) == b"thanks"

    with left, right:
        bench.run(reader, writer)
    assert got == [b"%d" % number for number in range(60)]
