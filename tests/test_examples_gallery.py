"""Chat, metrics, TFTP and kept HTTP connections: by plain sockets, and by the clients that people use."""

import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_clients import FOLDER, ask, load, serving, strategy_options
from fakes import FakeClock
from recorder import FAILSAFE
from sockserve import SelectorStrategy, Server, TcpTransport, ThreadStrategy, UdpTransport
from sockserve.abc import Strategy

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

pytestmark = pytest.mark.timeout(30)

chat = load("chat")
statsd = load("statsd_sink")
tftp = load("tftp_files")

#: In threads, and on the table: the same code.
both = pytest.mark.parametrize(
    "strategy", [ThreadStrategy(daemon=True), SelectorStrategy()], ids=["thread", "selector"]
)


# chat.


@attrs.define(eq=False)
class Guest:
    """Somebody with a terminal."""

    sock: socket.socket
    lines: IO[str]

    def says(self, text: str) -> None:
        self.sock.sendall(f"{text}\n".encode())

    def hears(self) -> str:
        return self.lines.readline().rstrip("\n")


@pytest.fixture
def room(strategy: Strategy) -> Iterator[Any]:
    """A room, and a way into it."""
    transport = TcpTransport(("127.0.0.1", 0), configure=small_buffers)
    with (
        Server(transport, strategy, partial(chat.ChatHandler, room=chat.Room())).running(grace=0) as server,
        ExitStack() as guests,
    ):

        def enter(name: str) -> Guest:
            sock = guests.enter_context(socket.socket())
            small_buffers(sock)
            sock.connect(server.address)
            sock.settimeout(FAILSAFE)
            guest = Guest(sock, guests.enter_context(sock.makefile("r")))
            assert guest.hears() == "your name?"
            guest.says(name)
            return guest

        yield enter


def small_buffers(sock: socket.socket) -> None:
    """Let little be under way that nobody has read."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


@both
def test_what_one_says_the_others_hear(room: Any) -> None:
    """And not who says it; who comes and goes is told."""
    ann = room("ann")
    assert ann.hears() == "here are: ann"
    bob = room("bob")
    assert bob.hears() == "here are: ann, bob"
    assert ann.hears() == "* bob is here"
    ann.says("hello\x1b[2J")
    bob.says("you too")
    assert bob.hears() == "ann: hello\N{REPLACEMENT CHARACTER}[2J"
    assert ann.hears() == "bob: you too"
    bob.sock.shutdown(socket.SHUT_WR)
    assert bob.hears() == ""
    assert ann.hears() == "* bob has left"


@both
@pytest.mark.parametrize(
    ("name", "says"), [("ann", "somebody has that name"), ("a b", "that is no name"), ("", "that is no name")]
)
def test_who_cannot_come_in_is_told_why(room: Any, name: str, says: str) -> None:
    """A name is one word, and one member's."""
    assert room("ann").hears() == "here are: ann"
    guest = room(name)
    assert (guest.hears(), guest.hears()) == (says, "")


@both
def test_who_does_not_read_is_cut_off_and_holds_nobody_up(room: Any) -> None:
    """The others speak and hear all along."""
    ann = room("ann")
    assert ann.hears() == "here are: ann"
    bob = room("bob")
    assert bob.hears() == "here are: ann, bob"
    silent = room("silent")
    assert silent.hears() == "here are: ann, bob, silent"  # and nothing more
    for guest in (ann, bob):
        while guest.hears() != "* silent is here":
            pass
    number = 0
    heard = ""
    while heard != "* silent has left":
        ann.says(f"{number} {'x' * 480}")
        heard = bob.hears()
        assert heard in {f"ann: {number} {'x' * 480}", "* silent has left"}
        number += 1
    bob.says("gone")
    assert [ann.hears(), ann.hears()] == ["* silent has left", "bob: gone"]


def test_netcat_in_the_room() -> None:
    """A client as people have it."""
    if shutil.which("nc") is None:
        pytest.skip("nc is not installed; on Debian it is in the package netcat-openbsd")
    with serving("chat", "--tcp", "127.0.0.1:0", *strategy_options("selector")) as example:
        with subprocess.Popen(
            ["nc", *example.endpoint()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as ann:
            assert ann.stdin
            assert ann.stdout
            ann.stdin.write("ann\n")
            assert [next(ann.stdout), next(ann.stdout)] == ["your name?\n", "here are: ann\n"]
            shown = ask("nc", "-N", *example.endpoint(), said="bob\nhello\n")
            assert shown == "your name?\nhere are: ann, bob\n"
            assert [next(ann.stdout) for _ in range(3)] == ["* bob is here\n", "bob: hello\n", "* bob has left\n"]
            ann.kill()


# statsd_sink.


@pytest.mark.parametrize(
    ("packet", "report"),
    [
        (b"a:1|c\na:2|c\n", {"a": 3}),
        (b"a:1|c|@0.1", {"a": 10}),
        (b"a:1|c|@7", {"a": 1}),
        (b"a:1|c|#env:test,x", {"a": 1}),
        (b"a:5|g\na:+2|g\na:-10|g", {"a": -3}),
        (b"a:5|g\na:2|g", {"a": 2}),
        (b"a:30|ms\na:10|ms\na:20|h", {"a.count": 3, "a.mean": 20, "a.p90": 20, "a.max": 30}),
        (b"a:x|s\na:y|s\na:x|s", {"a.count": 2}),
        (b"a\nb:|c\nc:1|z\nd:one|c\ne:nan|c\nf:inf|g\ng:1|c|@0\nh:1|c|@..\n\xff:1|c", {"sink.bad": 9}),
        (b"", {}),
    ],
)
def test_what_metrics_come_to(packet: bytes, report: dict[str, float]) -> None:
    """By StatsD's rules; what is no metric is counted."""
    metrics = statsd.Metrics()
    metrics.add(packet)
    assert dict(metrics.report()) == pytest.approx(report)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100) | st.from_regex(statsd.METRIC, fullmatch=True).map(str.encode))
def test_nothing_that_is_sent_is_an_error(packet: bytes) -> None:
    """The report can be made, whatever came."""
    metrics = statsd.Metrics()
    metrics.add(packet)
    for name, value in metrics.report():
        assert f"{name} {value:.15g}".isascii()


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, members of sets, and timings: what is one too many is bad, what is known goes on."""
    monkeypatch.setattr(statsd, "MAX_NAMES", 3)
    monkeypatch.setattr(statsd, "MAX_KEPT", 2)
    metrics = statsd.Metrics()
    metrics.add(b"a:1|c\nb:1|ms\nc:x|s\nd:1|c\na:1|c\nb:2|ms\nb:3|ms\nc:y|s\nc:z|s\nc:y|s")
    report = dict(metrics.report())
    assert (report["a"], report["b.count"], report["c.count"], report["sink.bad"]) == (2, 2, 2, 4)


def test_an_interval_is_reported_by_the_first_of_the_next() -> None:
    """Gauges stay; what is left is reported at the end."""
    clock, lines = FakeClock(), list[str]()
    sink = statsd.Sink(10.0, lines.append, clock)
    start = clock()
    sink.take(b"a:1|c\ng:7|g")
    clock.advance(9.5)
    sink.take(b"a:1|c")
    assert lines == []
    clock.advance(0.5)
    sink.take(b"a:1|c")
    assert lines == [f"a 2 {start + 10:.0f}", f"g 7 {start + 10:.0f}"]
    sink.close()
    assert lines[2:] == [f"a 1 {start + 10:.0f}", f"g 7 {start + 10:.0f}"]


def test_netcat_counts() -> None:
    """A datagram from a shell, as people do it; the report comes with the next one."""
    with serving("statsd_sink", "--udp", "127.0.0.1:0", "--interval", "0", *strategy_options("selector")) as sink:
        for _ in range(2):
            ask("nc", "-u", "-q0", *sink.endpoint(), said="page.views:3|c\n")
        assert re.fullmatch(r"page\.views 3 \d+", sink.line())


# tftp_files.


def request(*words: str, kind: int = 1) -> bytes:
    return struct.pack("!H", kind) + "".join(f"{word}\0" for word in words).encode()


@pytest.fixture
def files(folder: Path) -> Path:
    """What is served, and a secret beside it."""
    (folder / "secret").write_bytes(b"secret")
    (folder / "shared").mkdir()
    (folder / "shared" / "small").write_bytes(b"small")
    (folder / "shared" / "even").write_bytes(bytes(1024))
    return folder / "shared"


@attrs.define(eq=False)
class TftpClient:
    """A client that shows each packet."""

    sock: socket.socket
    address: tuple[str, int]
    peer: Any = None

    def send(self, packet: bytes) -> None:
        self.sock.sendto(packet, self.peer or self.address)

    def hears(self) -> bytes:
        packet, self.peer = self.sock.recvfrom(2000)
        return packet


@pytest.fixture
def client(strategy: Strategy, files: Path) -> Iterator[TftpClient]:
    """One that asks a server of *files*."""
    server = Server(UdpTransport(("127.0.0.1", 0)), strategy, partial(tftp.TftpHandler, folder=files))
    with server.running(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(FAILSAFE)
        yield TftpClient(sock, server.address)


@both
def test_a_file_comes_block_by_block(client: TftpClient) -> None:
    """From a port of its own; one that is a multiple of the block ends with an empty one."""
    client.send(request("even", "octet"))
    for number, size in ((1, 512), (2, 512), (3, 0)):
        assert client.hears() == struct.pack("!HH", 3, number) + bytes(size)
        client.send(struct.pack("!HH", 4, number))
    assert client.peer != client.address


@both
def test_options_are_agreed_on_first(client: TftpClient) -> None:
    """The size of a block, and that of the file; others are passed over (RFC 2347)."""
    client.send(request("even", "OCTET", "tsize", "0", "BLKSIZE", "1400", "timeout", "3", "blksize2", "x"))
    assert client.hears() == request("blksize", "1400", "tsize", "1024", kind=6)
    client.send(struct.pack("!HH", 4, 0))
    assert client.hears() == struct.pack("!HH", 3, 1) + bytes(1024)
    client.send(struct.pack("!HH", 4, 1))


@both
def test_what_was_lost_is_sent_again_and_what_comes_late_is_passed_over(
    client: TftpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old acknowledgement brings nothing, or from there on everything would go twice."""
    monkeypatch.setattr(tftp, "PATIENCE", 0.05)
    client.send(request("even", "octet"))
    first = client.hears()
    assert client.hears() == first
    client.send(struct.pack("!HH", 4, 1))
    client.send(struct.pack("!HH", 4, 1))
    second = struct.pack("!HH", 3, 2) + bytes(512)
    assert [client.hears(), client.hears()] == [second, second]  # and not the third
    client.send(struct.pack("!HH", 5, 0) + b"enough\0")


@both
@pytest.mark.parametrize(
    ("packet", "number"),
    [
        (request("nothing", "octet"), 1),
        (request("../secret", "octet"), 1),
        (request("/../secret", "octet"), 1),
        (request("", "octet"), 1),
        (request("a" * 300, "octet"), 1),
        (request("small", "netascii"), 4),
        (request("small"), 4),
        (request("small", "octet", "tsize"), 4),
        (request("small", "octet", kind=2), 2),
        (b"\0\1small\0octet", 4),
        (b"", 4),
    ],
    ids=range(11),
)
def test_what_cannot_be_had_is_an_error(client: TftpClient, packet: bytes, number: int) -> None:
    """By its number; what lies elsewhere is not told from what is not there."""
    client.send(packet)
    assert client.hears()[:4] == struct.pack("!HH", 5, number)


@attrs.define(eq=False)
class Acknowledging:
    """Stands for the socket of a transfer: acknowledges at once, or never."""

    silent: bool = False
    sent: list[bytes] = attrs.field(factory=list)

    def send(self, packet: bytes) -> None:
        self.sent.append(packet)

    def settimeout(self, seconds: float) -> None:
        """Nothing to wait for."""

    def recv(self, size: int) -> bytes:
        if self.silent:
            raise TimeoutError
        kind, number = self.sent[-1][:2], self.sent[-1][2:4]
        return b"\0\4" + (number if kind == b"\0\3" else b"\0\0")


def test_blocks_are_counted_beyond_65535(files: Path) -> None:
    """Their numbers begin again at 0."""
    (files / "long").write_bytes(bytes(8 * 70_000))
    sock = Acknowledging()
    with (files / "long").open("rb") as file:
        tftp.TftpHandler.transfer(None, sock, file, {"blksize": "8"})
    numbers = [struct.unpack("!H", packet[2:4])[0] for packet in sock.sent[1:]]
    assert numbers == [number % 65536 for number in range(1, 70_002)]


def test_a_client_that_has_gone_is_given_up() -> None:
    """After five times the same."""
    sock = Acknowledging(silent=True)
    with pytest.raises(tftp.ClientGoneError):
        tftp.exchange(sock, b"packet", 1)
    assert sock.sent == [b"packet"] * 5


@pytest.mark.parametrize("strategy", ["thread", "selector", "fork"])
def test_curl_by_tftp(strategy: str) -> None:
    """curl gets a file of many blocks, and is told what there is not."""
    with serving("tftp_files", "--udp", "127.0.0.1:0", *strategy_options(strategy), str(FOLDER)) as server:
        curl = ["curl", "--silent", "--show-error"]
        url = f"tftp://{server.addresses[0]}"
        assert ask(*curl, f"{url}/tftp_files.py") == (FOLDER / "tftp_files.py").read_text()
        assert (
            ask(*curl, "--write-out", "%{exitcode}", "--stderr", "-", "--fail-early", f"{url}/chat.py")[-1] == "0"
        )


# http_files.


def test_http_connections_are_kept_by_the_hundred() -> None:
    """One thread has 300 of them, each of which asks again."""
    question = b"GET /http_files.py HTTP/1.1\r\nHost: x\r\n\r\n"
    expected = (FOLDER / "http_files.py").read_bytes()
    with (
        serving("http_files", "--tcp", "127.0.0.1:0", *strategy_options("selector"), str(FOLDER)) as server,
        ExitStack() as clients,
    ):
        host, port = server.endpoint()
        socks = [clients.enter_context(socket.create_connection((host, int(port)), FAILSAFE)) for _ in range(300)]
        for _ in range(2):
            for sock in socks:
                sock.sendall(question)
            for sock in socks:
                with sock.makefile("rb") as answer:
                    assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
                    length = None
                    while (line := answer.readline()) != b"\r\n":
                        if line.startswith(b"Content-Length: "):
                            length = int(line.split()[1])
                    assert answer.read(length) == expected
        with open(f"/proc/{server.process.pid}/status") as status:
            assert "Threads:\t1\n" in status.read()
