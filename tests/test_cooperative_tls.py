"""TLS that parks does what `ssl.SSLSocket` does, with both pollers, and holds nobody while OpenSSL waits."""

import contextlib
import io
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fakes import FakeClock
from kinds import receive
from recorder import FAILSAFE
from sockserve import RequestAborted, sleep
from sockserve._securing import GOODBYE_SECONDS, say_goodbye, secure
from sockserve._table.sockets import CooperativeSocket, adopt
from sockserve._table.tls import CooperativeSSLSocket
from sockserve._table.watch import SHARE
from table_kit import PAIRS, POLLERS, Bench, reset, tcp_pair, unix_pair
from tls_kit import NAME, beside, client_context, new_context, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_pause = sleep


@pytest.fixture(params=list(POLLERS))
def bench(request: pytest.FixtureRequest) -> Bench:
    """A table with each poller."""
    return Bench(POLLERS[request.param])


@attrs.define
class Ends:
    """A client that is driven by hand, and a socket that parks."""

    raw: socket.socket
    client: ssl.SSLSocket
    server: CooperativeSSLSocket

    def shake_hands(self) -> None:
        """Of the client's side, in this thread, step by step; called in a row."""
        _by_steps(self.client, self.client.do_handshake)


def _by_steps(sock: ssl.SSLSocket, step: Callable[[], Any]) -> Any:
    """Repeat what a client that does not block cannot do yet; the others have their turn in between."""
    while True:
        try:
            return step()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            _pause(0)


def _secured(sock: CooperativeSocket, context: ssl.SSLContext) -> CooperativeSSLSocket:
    made = secure(sock, context, None)
    assert isinstance(made, CooperativeSSLSocket)
    return made


@contextlib.contextmanager
def securing(
    pair: tuple[socket.socket, socket.socket],
    context: ssl.SSLContext | None = None,
    **attributes: Any,
) -> Iterator[Ends]:
    """Make both ends, whose handshake is still to come."""
    raw, accepted = pair
    client = client_context(**attributes).wrap_socket(
        raw, server_hostname=NAME, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    client.settimeout(0)
    with client, _secured(adopt(accepted), context or server_context()) as server:
        yield Ends(raw, client, server)


@pytest.fixture(params=[(pair, version) for pair in PAIRS for version in ("TLSv1_2", "TLSv1_3")], ids="-".join)
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """TCP and Unix, with the old and the new way to shake hands."""
    pair, version = request.param
    with securing(PAIRS[pair](), maximum_version=ssl.TLSVersion[version]) as made:
        yield made


@pytest.fixture
def secured(bench: Bench, ends: Ends) -> Ends:
    """The handshake is done."""
    bench.run(ends.shake_hands, ends.server.do_handshake)
    assert ends.server.version() is not None
    return ends


def test_the_handshake_parks(bench: Bench, ends: Ends) -> None:
    """A client that takes its time holds nobody; what OpenSSL wants is read and written in between."""
    log: list[str] = []

    def server() -> None:
        ends.server.do_handshake()
        log.append("done")

    def other() -> None:
        for _ in range(3):
            _pause(0)
            log.append("other")
        ends.shake_hands()

    bench.run(server, other)
    assert log == ["other"] * 3 + ["done"]
    assert ends.server.version() == ends.client.version()
    assert ends.server.server_side


READS: dict[str, Callable[[ssl.SSLSocket], bytes]] = {
    "recv": lambda sock: sock.recv(100),
    "read": lambda sock: sock.read(100),
    "recv_into": lambda sock: _into(lambda buffer: sock.recv_into(buffer)),
    "recv_into some": lambda sock: _into(lambda buffer: sock.recv_into(buffer, 50)),
    "read into": lambda sock: _into(lambda buffer: sock.read(100, buffer)),
    "makefile": lambda sock: sock.makefile("rb", buffering=0).read(100),
}


def _into(read: Callable[[bytearray], Any]) -> bytes:
    buffer = bytearray(100)
    size = read(buffer)
    return bytes(buffer[:size])


@pytest.mark.parametrize("read", READS)
def test_reading_parks_until_there_is_something(bench: Bench, secured: Ends, read: str) -> None:
    """Again and again, and gives the end of the stream at last; others run meanwhile."""
    log: list[object] = []

    def reader() -> None:
        while data := READS[read](secured.server):
            log.append(data)
        log.append(READS[read](secured.server))  # the end stays

    def other() -> None:
        for data in (b"one", b"two", b"end"):
            log.append(None)
            secured.client.sendall(data)
            while log[-1] != data:
                _pause(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            secured.client.unwrap()

    bench.run(reader, other)
    assert log == [None, b"one", None, b"two", None, b"end", b""]


def test_what_is_decrypted_already_is_not_waited_for(bench: Bench, secured: Ends) -> None:
    """A record is read in parts; its rest makes no descriptor readable."""
    secured.client.sendall(b"x" * 10_000)
    found: list[int] = []

    def reader() -> None:
        while sum(found) < 10_000:
            found.append(len(secured.server.recv(3000)))
            assert secured.server.pending() == 10_000 - sum(found)

    bench.run(reader)
    assert found == [3000, 3000, 3000, 1000]


WRITES: dict[str, Callable[[ssl.SSLSocket, bytes], object]] = {
    "send": lambda sock, data: sock.send(data),
    "write": lambda sock, data: sock.write(data),
    "sendall": lambda sock, data: sock.sendall(data),
    "sendall a view": lambda sock, data: sock.sendall(memoryview(data).cast("I")),
    "makefile": lambda sock, data: sock.makefile("wb", buffering=0).write(data),
    "sendfile": lambda sock, data: sock.sendfile(io.BytesIO(data)),
}


@pytest.mark.parametrize("write", WRITES)
def test_writing_parks_until_there_is_room(bench: Bench, secured: Ends, write: str) -> None:
    """What a slow reader leaves is waited for; nothing is lost or sent twice."""
    data = bytes(range(256)) * 4096
    got = bytearray()

    def writer() -> None:
        WRITES[write](secured.server, data)
        say_goodbye(secured.server)

    def slow() -> None:
        while piece := _by_steps(secured.client, lambda: secured.client.recv(70_000)):
            got.extend(piece)
            _pause(0)

    bench.run(writer, slow)
    assert got == data


def test_a_file_is_sent(bench: Bench, secured: Ends, tmp_path: Path) -> None:
    """From a place in it, through TLS, never past it."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        bench.run(lambda: secured.server.sendfile(file, 2, 5))
        assert file.tell() == 7
    secured.client.settimeout(FAILSAFE)
    assert secured.client.recv(100) == b"23456"


def test_both_directions_at_a_time(bench: Bench, secured: Ends) -> None:
    """One row reads while another's write waits for room: neither is in the other's way."""
    data = bytes(range(256)) * 4096
    there, back = bytearray(), bytearray()

    def reader() -> None:
        while len(there) < len(data):
            there.extend(secured.server.recv(5000))

    def client() -> None:
        sent = 0
        while sent < len(data) or len(back) < len(data):
            with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                sent += secured.client.send(data[sent : sent + 16384])
            with contextlib.suppress(ssl.SSLWantReadError):
                back.extend(secured.client.recv(1000 if sent < len(data) else 65536))
            _pause(0)

    bench.run(lambda: secured.server.sendall(data), reader, client)
    assert there == back == data


def test_writers_take_turns(bench: Bench, secured: Ends) -> None:
    """What one has begun is complete before the next begins: OpenSSL would take it for the same, or give up."""
    secured.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    size, got = 3_000_000, bytearray()

    def client() -> None:  # in a thread: there may be room for a second writer at any time
        secured.client.settimeout(FAILSAFE)
        while len(got) < 3 * size:
            got.extend(secured.client.recv(65536))

    writers = [lambda byte=byte: secured.server.sendall(byte * size) for byte in (b"a", b"b", b"c")]
    with beside(client):
        bench.run(*writers)
    assert got == b"a" * size + b"b" * size + b"c" * size


def test_a_share_and_no_more(bench: Bench, secured: Ends) -> None:
    """A client that always has data does not keep the others from their turn; nor one that always has room."""
    secured.client.sendall(b"x" * 200)
    log: list[str] = []

    def greedy() -> None:
        for _ in range(100):
            secured.server.recv(1)
            log.append("read")
        for _ in range(100):
            secured.server.sendall(b"y")
            log.append("write")

    def other() -> None:
        while len(log) < 200:
            log.append("other")
            _pause(0)

    bench.run(greedy, other)
    longest = max(map(len, "".join("x" if each != "other" else " " for each in log).split()))
    assert longest <= 2 * SHARE  # what arrives gives it another


@pytest.mark.parametrize("way", ["recv", "do_handshake", "unwrap", "sendall", "send"])
def test_a_timeout_ends_a_wait(way: str) -> None:
    """Of each call that may wait, after so many seconds of the loop's clock: all of it, not each part."""
    clock = FakeClock()
    bench = Bench(clock=clock)
    with securing(tcp_pair()) as ends:
        if way != "do_handshake":
            bench.run(ends.shake_hands, ends.server.do_handshake)
        ends.server.settimeout(5.0)
        calls: dict[str, Callable[[], object]] = {
            "recv": lambda: ends.server.recv(1),
            "do_handshake": ends.server.do_handshake,
            "unwrap": ends.server.unwrap,
            "sendall": lambda: ends.server.sendall(b"x" * 50_000_000),
            "send": lambda: ends.server.send(b"x" * 50_000_000),
        }
        began = clock.now

        def time_passes() -> None:
            while clock.now < began + 5.0:
                _pause(0)
                if not select.select([], [ends.server], [], 0)[0]:
                    clock.advance(1.0)

        def waiter() -> None:
            with pytest.raises(TimeoutError, match="timed out"):
                calls[way]()

        bench.run(waiter, time_passes)
        assert clock.now >= began + 5.0


def test_not_to_wait(secured: Ends) -> None:
    """With a timeout of 0 each call says at once what OpenSSL wants, as the plain class does."""
    server = secured.server
    server.setblocking(False)
    assert server.gettimeout() == 0.0
    with pytest.raises(ssl.SSLWantReadError):
        server.recv(1)
    with pytest.raises(ssl.SSLWantWriteError):
        while True:
            server.send(b"x" * 65536)
    with pytest.raises(ssl.SSLWantWriteError):
        server.unwrap()


def test_a_writer_that_is_not_to_wait_does_not_come_between(bench: Bench, secured: Ends) -> None:
    """It is told to try later, while another's write is in the middle."""
    secured.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    size, got = 10_000_000, bytearray()

    def other() -> None:
        _pause(0)
        patience = secured.server.gettimeout()
        secured.server.settimeout(0)
        with pytest.raises(ssl.SSLWantWriteError, match="another"):
            secured.server.send(b"y")
        secured.server.settimeout(patience)
        while len(got) < size:
            got.extend(_by_steps(secured.client, lambda: secured.client.recv(65536)))

    bench.run(lambda: secured.server.sendall(b"x" * size), other)
    assert got == b"x" * size


def test_the_timeout_is_the_former_sockets() -> None:
    """As wrap_socket has it; the descriptor itself never blocks."""
    raw, accepted = tcp_pair()
    with raw, adopt(accepted) as server:
        server.settimeout(3.0)
        with _secured(server, server_context()) as made:
            assert server.fileno() == -1
            assert made.gettimeout() == made.timeout == 3.0
            assert not os.get_blocking(made.fileno())


def test_end_of_stream_without_a_goodbye(bench: Bench, secured: Ends) -> None:
    """It reads as the end, and a reset as what it is."""
    found: list[object] = []
    socket.socket.shutdown(secured.client, socket.SHUT_WR)
    bench.run(lambda: found.append(secured.server.recv(1)))
    assert found == [b""]


def test_a_reset_wakes_who_reads(bench: Bench) -> None:
    """With the error of the system, or as the end: `ssl` itself loses that error in CPython 3.11."""
    with securing(tcp_pair()) as ends:
        bench.run(ends.shake_hands, ends.server.do_handshake)

        def reader() -> None:
            with contextlib.suppress(ConnectionResetError):
                assert ends.server.recv(1) == b""

        def other() -> None:
            _pause(0)
            number = ends.client.detach()
            reset(socket.socket(fileno=number))

        bench.run(reader, other)


def test_in_clear_again(bench: Bench) -> None:
    """After unwrap on both sides the same object parks in clear."""
    with securing(unix_pair()) as ends:
        bench.run(ends.shake_hands, ends.server.do_handshake)
        found: list[bytes] = []

        def server() -> None:
            assert ends.server.unwrap() is ends.server
            found.append(ends.server.recv(100))
            ends.server.sendall(b"clear too")

        def client() -> None:
            _by_steps(ends.client, ends.client.unwrap)
            _pause(0)
            socket.socket.sendall(ends.client, b"clear")
            while not found:
                _pause(0)

        bench.run(server, client)
        assert found == [b"clear"]
        ends.client.settimeout(FAILSAFE)
        assert socket.socket.recv(ends.client, 100) == b"clear too"


@pytest.mark.parametrize("way", ["close", "detach"])
def test_closing_wakes_who_waits(bench: Bench, secured: Ends, way: str) -> None:
    """Its descriptor has left the loop before it is somebody else's. What it gets is an error, or no data."""

    def reader() -> None:
        with contextlib.suppress(OSError, ValueError):
            assert secured.server.recv(1) == b""

    def closer() -> None:
        _pause(0)
        number = getattr(secured.server, way)()
        if way == "detach":
            assert os.get_blocking(number)
            os.close(number)

    bench.run(reader, closer)
    assert secured.server.fileno() == -1


def test_the_end_of_serving_ends_every_wait(bench: Bench, ends: Ends) -> None:
    """A handshake that is parked raises RequestAborted, and so does what it tries after it."""
    caught: list[BaseException] = []

    def waiter() -> None:
        for block in (False, True):
            try:
                ends.server.do_handshake(block)
            except RequestAborted as error:
                caught.append(error)

    bench.run(waiter, until=lambda: bool(bench.runner.rows()) and bench.runner.rows()[0].state == "READING")
    assert len(caught) == 2


def test_outside_of_the_loop_it_waits_for_itself(secured: Ends) -> None:
    """In a thread that a handler has started: the loop is not asked."""

    def client() -> None:
        secured.client.settimeout(FAILSAFE)
        secured.client.sendall(b"x")
        assert len(receive(secured.client, 1_000_000)) == 1_000_000
        socket.socket.shutdown(secured.client, socket.SHUT_WR)

    with beside(client):
        assert secured.server.recv(10) == b"x"
        secured.server.sendall(b"y" * 1_000_000)
        assert secured.server.recv(10) == b""
    secured.server.settimeout(0.001)
    with _securing_alone() as alone, pytest.raises(TimeoutError):
        alone.settimeout(0.001)
        alone.do_handshake()


def test_one_thread_writes_while_another_finds_nothing_to_read() -> None:
    """A read that finds nothing says so, whatever the other thread does to the connection at that moment."""
    count, size = 3_000, 1000
    raw, accepted = tcp_pair()
    with securing((raw, accepted)) as ends:
        ends.client.settimeout(FAILSAFE)
        with beside(ends.client.do_handshake):
            ends.server.settimeout(FAILSAFE)
            ends.server.do_handshake()
        ends.server.settimeout(0)
        written = threading.Event()

        def write() -> None:
            for _ in range(count):
                ends.server.sendall(b"x" * size)
                assert len(receive(ends.client, size)) == size

        def read() -> None:
            while not written.is_set():
                with pytest.raises(ssl.SSLWantReadError):
                    ends.server.recv(1)

        with beside(read):
            try:
                write()
            finally:
                written.set()


@contextlib.contextmanager
def _securing_alone() -> Iterator[CooperativeSSLSocket]:
    raw, accepted = tcp_pair()
    with raw, _secured(adopt(accepted), server_context()) as made:
        yield made


def test_in_a_forked_child_it_waits_for_itself(bench: Bench, secured: Ends) -> None:
    """The parent's loop is not touched: the parent's other connection goes on."""
    found: list[bytes] = []

    def handler() -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                secured.server.settimeout(FAILSAFE)
                status = 0 if secured.server.recv(100) == b"for the child" else 2
            finally:
                os._exit(status)
        secured.client.sendall(b"for the child")
        _, status = os.waitpid(pid, 0)
        found.append(bytes([os.waitstatus_to_exitcode(status)]))

    bench.run(handler)
    assert found == [b"\0"]


def test_in_a_forked_child_nobody_writes_before(bench: Bench, secured: Ends) -> None:
    """Who held the lock does so in the parent."""
    found: list[bytes] = []

    def handler() -> None:
        with secured.server._writing:
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    secured.server.settimeout(FAILSAFE)
                    secured.server.sendall(b"by the child")
                    status = 0
                finally:
                    os._exit(status)
            _, status = os.waitpid(pid, 0)
            assert status == 0
        found.append(_by_steps(secured.client, lambda: secured.client.recv(100)))

    bench.run(handler)
    assert found == [b"by the child"]


def test_a_goodbye_waits_for_room_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind what a slow client has not read; not for ever, and not for the client's own."""
    clock = FakeClock()
    bench = Bench(clock=clock)
    ended: list[float] = []
    monkeypatch.setattr(time, "monotonic", clock)
    with securing(tcp_pair()) as ends:
        bench.run(ends.shake_hands, ends.server.do_handshake)

        def server() -> None:
            ends.server.settimeout(0)
            with contextlib.suppress(ssl.SSLWantWriteError):
                while True:
                    ends.server.send(b"x" * 65536)
            say_goodbye(ends.server)
            ended.append(clock.now)

        def time_passes() -> None:
            while clock.now < 1000.0 + GOODBYE_SECONDS:
                _pause(0)
                clock.advance(1.0)

        bench.run(server, time_passes)
        assert ended == [1000.0 + GOODBYE_SECONDS]


def test_no_descriptor_is_readable_and_yet_a_read_may_have_to_write(bench: Bench) -> None:
    """A client that wants new keys is answered from within a read; where there is no room that waits for it."""
    with securing(tcp_pair(), new_context()) as ends:
        bench.run(ends.shake_hands, ends.server.do_handshake)
        log: list[str] = []

        class Wanting:
            """Wants to write once, then to read once, then gives what it has."""

            def __init__(self) -> None:
                self.wants: list[type[ssl.SSLError]] = [ssl.SSLWantWriteError, ssl.SSLWantReadError]

            def __call__(self) -> bytes:
                if self.wants:
                    log.append(self.wants[0].__name__)
                    raise self.wants.pop(0)
                return b"data"

        def reader() -> None:
            ends.server.settimeout(0)
            with contextlib.suppress(ssl.SSLWantWriteError):
                while True:
                    ends.server.send(b"x" * 65536)
            log.append(ends.server._attempt(Wanting(), None).decode())

        def client() -> None:
            while len(log) < 2:
                with contextlib.suppress(ssl.SSLWantReadError):
                    ends.client.recv(65536)
                _pause(0)
            log.append("client")
            ends.client.sendall(b"wakes the reader")

        bench.run(reader, client)
        assert log == ["SSLWantWriteError", "SSLWantReadError", "client", "data"]
