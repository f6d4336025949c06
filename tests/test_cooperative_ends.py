"""How sockets that park end: closed, forgotten, reset, adopted."""

import errno
import gc
import socket
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from recorder import FAILSAFE
from sockserve import RequestAborted, cooperative, sleep
from sockserve._table.current import current_row
from sockserve._table.rows import Row
from sockserve._table.sockets import CooperativeSocket, adopt, adopt_request
from table_kit import PAIRS, POLLERS, Bench, Pair, cooperating, reset, tcp_pair

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


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("by", ["row", "thread"])
def test_closing_wakes_who_waits(bench: Bench, ends: Ends, write: bool, by: str) -> None:
    """With the error that a closed socket gives; on a thread it would wait for ever."""
    _, server = ends
    ended: list[int | None] = []

    def work() -> None:
        with pytest.raises(OSError, match="Bad file descriptor") as info:
            server.sendall(bytes(1 << 23)) if write else server.recv(1)
        ended.append(info.value.errno)

    def other() -> None:
        if by == "row":
            server.close()
        else:
            closer = threading.Thread(target=server.close)
            closer.start()
            closer.join(FAILSAFE)

    bench.run(work, other)
    assert ended == [errno.EBADF]
    assert server.fileno() not in bench.loop._callbacks


def test_a_file_of_the_socket_keeps_it_open(bench: Bench, ends: Ends) -> None:
    """As with plain ones: the last of socket and files closes it."""
    client, server = ends

    def work() -> None:
        file = server.makefile("rwb")
        server.close()
        bench.start(lambda: client.sendall(b"line\n"))
        assert file.readline() == b"line\n"
        file.write(b"back\n")
        file.close()
        assert client.recv(10) + client.recv(10) == b"back\n"

    bench.run(work)
    assert not bench.loop._callbacks


def test_a_forgotten_socket_leaves_the_loop(bench: Bench) -> None:
    """Its number is soon another's, who is served."""

    def work() -> None:
        for _ in range(20):
            client, server = _adopted(tcp_pair())
            with client:
                server.settimeout(0.001)
                with pytest.raises(TimeoutError):
                    server.recv(1)
                number = server.fileno()
                del server
                gc.collect()
                assert number not in bench.loop._callbacks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        bench.run(work)


def _adopted(pair: Pair) -> tuple[socket.socket, CooperativeSocket]:
    return pair[0], adopt(pair[1])


def test_adopting_takes_over(ends: Ends) -> None:
    """The old object has lost its descriptor; other classes, and what parks already, stay as they are."""
    _, server = ends
    assert adopt(server) is server
    plain, other = socket.socketpair()
    with other:
        plain.settimeout(3)
        number = plain.fileno()
        with adopt(plain) as made:
            assert (made.fileno(), plain.fileno(), made.gettimeout()) == (number, -1, 3)

    class Special(socket.socket):
        """Encrypts, perhaps."""

    with Special() as special:
        with pytest.raises(TypeError, match="only a plain socket"):
            adopt(special)
        assert adopt_request(special) is special
    with pytest.raises(RequestAborted):
        raise RequestAborted
    with socket.socket() as sock:
        assert cooperative(sock) is sock  # there is no table here


def test_a_reset_ends_who_reads_and_who_writes(bench: Bench) -> None:
    """Both rows of one socket, each with an error of its connection."""
    client, server = _adopted(tcp_pair())
    errors: list[str] = []

    def reader() -> None:
        with pytest.raises(ConnectionError) as info:
            while server.recv(10):
                pass
            raise BrokenPipeError  # the writer has met the reset, which the system tells once
        errors.append(type(info.value).__name__)

    def writer() -> None:
        with pytest.raises(ConnectionError) as info:
            server.sendall(bytes(1 << 24))
        errors.append(type(info.value).__name__)

    with server:
        bench.run(reader, writer, lambda: reset(client))
    assert len(errors) == 2
    assert "ConnectionResetError" in errors


@pytest.mark.parametrize("write", [False, True])
def test_a_wait_that_ends_otherwise_leaves_no_trace(bench: Bench, ends: Ends, write: bool) -> None:
    """Woken for something else a row waits in one place, timed out in none: events there are not for it."""
    _, server = ends
    rows: list[Row] = []

    def waiters() -> tuple[Row, ...]:
        return server._watch.writers if write else server._watch.readers

    def work() -> None:
        row = current_row()
        assert row is not None
        rows.append(row)
        server.settimeout(0.02)
        with pytest.raises(TimeoutError):
            server.sendall(bytes(1 << 23)) if write else server.recv(1)
        assert waiters() == ()

    def other() -> None:
        for _ in range(3):
            assert waiters() == (rows[0],)
            rows[0].table.wake(rows[0])
            _pause(0)
            _pause(0)

    bench.run(work, other)


def test_two_rows_may_read_one_socket(bench: Bench) -> None:
    """Each arrival is one's, and the other waits on; the end is for both."""
    with cooperating(tcp_pair()) as (client, server):
        got: list[bytes] = []

        def reader() -> None:
            while data := server.recv(1):
                got.append(data)

        def writer() -> None:
            for number in range(5):
                client.sendall(b"%d" % number)
                while len(got) <= number:
                    _pause(0)
            client.shutdown(socket.SHUT_WR)

        bench.run(reader, reader, writer)
        assert got == [b"0", b"1", b"2", b"3", b"4"]
