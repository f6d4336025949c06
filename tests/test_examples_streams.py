"""The examples on streams, by plain sockets: each protocol byte by byte, and what no good client sends."""

import os
import random
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from example_clients import load
from fakes import FakeClock, FakeCore, FakeJob
from recorder import FAILSAFE
from sockserve import MessageError, Server, SyncStrategy, TcpTransport, ThreadStrategy, UnixStreamTransport
from sockserve.messages import MessageClient

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

resp = load("_resp")
store = load("resp_store")
messages = load("resp_messages")
control = load("control_socket")
bounded = load("bounded_threads")


# RESP2.

COMMANDS = [[b"SET", b"key", b"a\r\nb"], [b"ECHO", b""], [b"PING"], [b"ECHO", b"two words"], [b"GET", b"key"]]
PIPELINE = (
    b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\r\nb\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*0\r\n\r\nPING\r\n"
    b"ECHO 'two words'\r\n*-1\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
)


def parsed(*chunks: bytes) -> list[list[bytes]]:
    parser = resp.CommandParser()
    return [command for chunk in chunks for command in parser.feed(chunk)]


def test_a_pipeline_is_read_however_it_was_cut() -> None:
    """Every place to cut it in two, every byte by itself, and random pieces give the same commands."""
    for cut in range(len(PIPELINE) + 1):
        assert parsed(PIPELINE[:cut], PIPELINE[cut:]) == COMMANDS
    assert parsed(*(bytes([byte]) for byte in PIPELINE)) == COMMANDS
    dice = random.Random(2)
    for _ in range(100):
        cuts = sorted(dice.choices(range(len(PIPELINE)), k=5))
        assert parsed(*(PIPELINE[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))) == COMMANDS


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*65537\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$1048577\r\n", "invalid bulk length"),
        (b"*2\r\n$1048576\r\n" + bytes(1 << 20) + b"\r\n$1\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGPONG\r\n", "expected the end of a bulk string"),
        (b'ECHO "half\r\n', "unbalanced quotes in request"),
        (bytes(65537), "too big inline request"),
    ],
)
def test_what_is_not_resp_is_refused(said: bytes, says: str) -> None:
    """A client out of step, or one that asks for too much memory, is told so at once."""
    with pytest.raises(resp.ProtocolError) as caught:
        parsed(b"*1\r\n$4\r\nPING\r\n" + said)
    assert str(caught.value) == says


def test_the_longest_that_is_taken() -> None:
    """The limits are what may be, not what may not."""
    whole = bytes(1 << 20)
    assert parsed(*[b"*1\r\n$1048576\r\n", whole, b"\r\n"] * 2) == [[whole]] * 2
    assert parsed(b" " * 65531 + b"PING\r", b"\n") == [[b"PING"]]


def commands(*chunks: bytes) -> list[list[bytes]]:
    """The same by the framing."""
    decoder = messages.Resp().decoder()
    found = [messages.strings(message) for chunk in chunks for message in decoder.feed(chunk)]
    return [command for command in found if command]


def test_a_framing_reads_what_the_parser_reads() -> None:
    """Wherever the stream is cut."""
    for cut in range(len(PIPELINE) + 1):
        assert commands(PIPELINE[:cut], PIPELINE[cut:]) == COMMANDS
    assert commands(*(bytes([byte]) for byte in PIPELINE)) == COMMANDS


@pytest.mark.parametrize(
    "said",
    [
        b"*x\r\n",
        b"*65537\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$1048577\r\n",
        b"*2\r\n$1048570\r\n" + bytes(1 << 20),
        bytes(65537),
    ],
)
def test_a_framing_refuses_what_is_no_command(said: bytes) -> None:
    """As soon as it can be known, behind what came before."""
    decoder = messages.Resp().decoder()
    assert list(decoder.feed(b"PING\r\n")) == [b"PING\r\n"]
    with pytest.raises(MessageError):
        list(decoder.feed(said))


def test_a_store_by_messages_without_a_server() -> None:
    """The handler alone: replies, errors, the end."""
    client = MessageClient(partial(messages.RespHandler, store=store.Store()))
    assert client.send(b"SET a 1\r\nINCR a\r\nGET") == b"+OK\r\n:2\r\n"
    assert client.send(b" a\r\nNONSENSE\r\n") == b"$1\r\n2\r\n-ERR unknown command 'NONSENSE'\r\n"
    assert client.send(b"QUIT\r\nPING\r\n") == b"+OK\r\n"
    assert client.closed


def test_http_without_a_server() -> None:
    """Wherever a pipeline is cut; too long a body, and what is no HTTP, are refused once."""
    http = load("http_messages")
    pipeline = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    whole = MessageClient(http.HttpHandler).send(pipeline)
    assert whole.count(b"HTTP/1.1 200 ") == 2
    assert whole.endswith(b"\r\n\r\nbody")
    for cut in range(1, len(pipeline)):
        client = MessageClient(http.HttpHandler)
        assert client.send(pipeline[:cut]) + client.send(pipeline[cut:]) == whole
    long = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + bytes(1_500_000)
    for said, status in ((long, b"413"), (b"nonsense\r\n\r\n", b"400")):
        client = MessageClient(http.HttpHandler)
        assert client.send(said).startswith(b"HTTP/1.1 " + status)
        assert client.closed


def test_replies() -> None:
    """Every kind of reply has its form."""
    encoded = resp.encode(["OK", b"a\r\nb", 7, -7, None, [b""]])
    assert encoded == b"*6\r\n+OK\r\n$4\r\na\r\nb\r\n:7\r\n:-7\r\n$-1\r\n*1\r\n$0\r\n\r\n"
    assert resp.encode_error(f"about {resp.text(b'GET' + bytes([13, 10]))}") == b"-ERR about GET  \r\n"


def run(keys: Any, line: str) -> Any:
    """Run a command; an error is given as its text."""
    try:
        return store.execute(keys, *line.encode().split())
    except store.CommandError as error:
        return str(error)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("PING there", b"there"),
        ("SELECT 0", "OK"),
        ("SELECT 1", "DB index is out of range"),
        ("SELECT 00", "value is not an integer or out of range"),
        ("SET key value EX", "syntax error"),
        ("SET key value XX 1", "syntax error"),
        ("SET key value PX 0", "invalid expire time in 'set' command"),
        ("GET", "wrong number of arguments for 'get' command"),
        ("INCR text", "value is not an integer or out of range"),
        ("INCRBY most 1", "increment or decrement would overflow"),
        ("INCRBY most 9223372036854775808", "value is not an integer or out of range"),
        ("EXPIRE nothing 1", 0),
        ("EXPIRE text -1", 1),
        ("TTL text", -1),
        ("CONFIG GET Append*", [b"appendonly", b"no"]),
        ("CONFIG SET save", "unknown subcommand 'SET'"),
        ("COMMAND DOCS", []),
        ("HELLO 3", "unknown command 'HELLO'"),
    ],
)
def test_commands(line: str, reply: object) -> None:
    """Commands answer as those of Redis do, also where they cannot be done."""
    keys = store.Store()
    run(keys, "SET text x")
    run(keys, "SET most 9223372036854775807")
    assert run(keys, line) == reply


def test_keys_expire() -> None:
    """A key is there until its time has come, and no longer; setting it again gives it another."""
    clock = FakeClock()
    keys = store.Store(clock)
    for line in ("SET a 1 EX 10", "SET b 1 PX 2500", "SET c 1 EX 1", "SET c 1", "SET d 1", "EXPIRE d 20"):
        run(keys, line)
    clock.advance(2.4)
    assert run(keys, "MGET a b c d") == [b"1"] * 4
    clock.advance(0.1)
    assert run(keys, "EXISTS a b c d") == 3
    assert (run(keys, "TTL a"), run(keys, "TTL c"), run(keys, "TTL d")) == (8, -1, 18)
    clock.advance(100)
    assert [run(keys, line) for line in ("DBSIZE", "FLUSHALL", "DBSIZE")] == [1, "OK", 0]


def test_forgotten_deadlines_take_no_memory() -> None:
    """A key that is set again and again does not leave its old deadlines behind."""
    keys = store.Store(FakeClock())
    for _ in range(1000):
        run(keys, "SET key value EX 1000")
    assert len(keys._queue) < 100


@pytest.fixture
def redis() -> Iterator[socket.socket]:
    """A client of the store, in this process."""
    server = Server(TcpTransport(("127.0.0.1", 0)), ThreadStrategy(), partial(store.converse, store.Store()))
    with server.running(), socket.create_connection(server.address, FAILSAFE) as client:
        yield client


def everything(client: socket.socket) -> bytes:
    """Return what comes until the end."""
    with client.makefile("rb") as file:
        return file.read()


def test_a_pipeline_by_tcp_however_it_was_cut(redis: socket.socket) -> None:
    """The same over a connection: each part sent by itself, and all answered in order."""
    for byte in PIPELINE * 2:
        redis.sendall(bytes([byte]))
    redis.sendall(b"QUIT\r\nPING\r\n")
    replies = b"+OK\r\n$0\r\n\r\n+PONG\r\n$9\r\ntwo words\r\n$4\r\na\r\nb\r\n"
    assert everything(redis) == replies * 2 + b"+OK\r\n"


def test_a_protocol_error_ends_the_connection(redis: socket.socket) -> None:
    """What came before is answered, then the error, then nothing."""
    redis.sendall(b"PING\r\n*1\r\n!")
    redis.sendall(b"\r\n")
    assert everything(redis) == b"+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n"


def test_replies_larger_than_a_chunk(redis: socket.socket) -> None:
    """Many replies to few bytes are not gathered in memory; all arrive."""
    value = b"x" * 100_000
    redis.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value + b"\r\n" + b"GET k\r\n" * 20 + b"QUIT\r\n")
    assert everything(redis) == b"+OK\r\n" + b"$100000\r\n%b\r\n" % value * 20 + b"+OK\r\n"


# control_socket.


@pytest.fixture
def operator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Who controls a daemon, in this process, that has little patience."""
    monkeypatch.setattr(control.ControlHandler, "timeout", 0.05)
    handler = partial(control.ControlHandler, daemon=control.Daemon())
    server = Server(UnixStreamTransport(folder / "control"), ThreadStrategy(), handler)
    with server.running(), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(FAILSAFE)
        client.connect(server.address)
        yield client


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", "error: idle for too long"),
        (b"whoami\n", "pid {pid} uid {uid} gid {gid}\nerror: idle for too long"),
        (b"get k\nset  k  a b \r\nget k\nstop\n", "error: 'k' is not set\nok\na b\nstopping"),
        (b"\nget \xff\nstop\n", "error: no command ''; try help\nerror: '\\\\xff' is not set\nstopping"),
        (b"set k " + b"x" * 4090, "error: not a line"),
    ],
)
def test_control_lines(operator: socket.socket, said: bytes, answer: str) -> None:
    """Each line has its answer; an operator who says nothing, or no end of a line, is sent away."""
    operator.sendall(said)
    ours = answer.replace("{pid}", str(os.getpid())).replace("{uid}", str(os.getuid()))
    assert everything(operator).decode() == ours.replace("{gid}", str(os.getgid())) + "\n"


def test_half_a_command_is_not_obeyed(operator: socket.socket) -> None:
    """An operator who is cut off in the middle of a line has not said it."""
    operator.sendall(b"stop")
    operator.shutdown(socket.SHUT_WR)
    assert everything(operator) == b"error: not a line\n"


def test_stop_ends_the_daemon(folder: Path) -> None:
    """After ``stop`` the server is served no longer, under a strategy that could do nothing else meanwhile."""
    handler = partial(control.ControlHandler, daemon=control.Daemon())
    with (
        Server(UnixStreamTransport(folder / "control"), SyncStrategy(), handler) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(server.address)
        client.sendall(b"stop\n")
        server.serve_forever()
        assert everything(client) == b"stopping\n"


# bounded_threads.


class FakeLoop:
    """Has a clock, and counts who says that there is room again."""

    def __init__(self) -> None:
        self.time = FakeClock()
        self.resumed = threading.Semaphore(0)

    def resume(self) -> None:
        self.resumed.release()


def test_the_bound_holds() -> None:
    """The runner is full with as many jobs as allowed; the end of one makes room, and says so."""
    loop, gate = FakeLoop(), threading.Semaphore(0)
    runner = bounded.BoundedThreads(workers=2).start(loop, FakeCore())
    jobs = [FakeJob(gate.acquire) for _ in range(3)]
    runner.submit(jobs[0])
    assert not runner.full
    runner.submit(jobs[1])
    assert runner.full
    gate.release()
    assert loop.resumed.acquire(timeout=FAILSAFE)
    assert not runner.full
    runner.submit(jobs[2])
    gate.release(2)
    runner.close(None)
    assert all(job.done.is_set() for job in jobs)


def test_a_thread_that_cannot_start_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is refused, and the bound stays what it was."""
    runner = bounded.BoundedThreads(workers=1).start(FakeLoop(), FakeCore())
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(threading.Thread, "start", lambda thread: 1 / 0)
        runner.submit(FakeJob())
    assert not runner.full


def test_close_keeps_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end is abandoned at the deadline, and does not hold the interpreter."""
    loop, gate, waits = FakeLoop(), threading.Event(), list[float | None]()
    runner = bounded.BoundedThreads().start(loop, FakeCore())
    runner.submit(FakeJob(gate.wait))
    (thread,) = runner.threads
    with monkeypatch.context() as patch:
        patch.setattr(thread, "join", waits.append)
        for deadline in (loop.time() + 3, loop.time() - 1, None):
            runner.close(deadline)
    gate.set()
    runner.close(None)
    assert (waits, thread.daemon, thread.is_alive()) == ([3.0, 0.0, None], True, False)


def test_closed_from_a_handler() -> None:
    """A handler that closes the server does not wait for itself."""
    runner = bounded.BoundedThreads().start(FakeLoop(), FakeCore())
    runner.submit(FakeJob(partial(runner.close, None)))
    runner.close(None)
