"""The examples on datagrams, by plain sockets: each protocol byte by byte, and what no good client sends."""

import contextlib
import random
import socket
import struct
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from example_clients import load
from recorder import FAILSAFE
from sockserve import Server, SyncStrategy, UdpTransport, UnixDatagramTransport
from sockserve.abc import Transport

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

dns = load("dns_hosts")
syslog = load("syslog_sink")


# dns_hosts.

A, PTR, TXT, AAAA = 1, 12, 16, 28
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
QR, AA, TC, RD, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0020, 0x0010

ZONE = dns.Zone()
ZONE.add("192.0.2.1", ["a.b.example"])
ZONE.add("2001:db8::1", ["a.b.example"])
for last in range(60):
    ZONE.add(f"198.51.100.{last}", ["many.example"])


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def header(flags: int = RD, questions: int = 1, additional: int = 0) -> bytes:
    return struct.pack("!6H", 0xBEEF, flags, questions, 0, 0, additional)


def query(text: str, kind: int = A, flags: int = RD, dns_class: int = 1, edns: bytes = b"") -> bytes:
    return header(flags, additional=bool(edns)) + name(text) + struct.pack("!HH", kind, dns_class) + edns


def opt(size: int = 1232, *, rcode: int = 0, version: int = 0, flags: int = 0, length: int = 0) -> bytes:
    return b"\0" + struct.pack("!HHBBHH", 41, size, rcode, version, flags, length)


class Reply(NamedTuple):
    flags: int  # without the rcode
    rcode: int
    answers: int
    body: bytes  # between the header and what follows
    edns: bytes


def answer(packet: bytes) -> Reply:
    reply = ZONE.answer(packet)
    identity, flags, questions, answers, authorities, additional = struct.unpack_from("!6H", reply)
    end = len(reply) - additional * len(opt())
    assert (identity, questions, authorities) == (0xBEEF, end > 12, 0)
    return Reply(flags & ~15, flags & 15, answers, reply[12:end], reply[end:])


def record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        ("a.b.example", A, bytes([192, 0, 2, 1])),
        ("A.b.EXAMPLE", A, bytes([192, 0, 2, 1])),
        ("a.b.example", AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::1")),
        ("1.2.0.192.in-addr.arpa", PTR, name("a.b.example")),
        ("1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.IP6.arpa", PTR, name("a.b.example")),
    ],
)
def test_answers(text: str, kind: int, data: bytes) -> None:
    """A record is found whatever the case of its name, and the question comes back byte for byte."""
    asked = query(text, kind)
    assert answer(asked) == (QR | AA | RD, NOERROR, 1, asked[12:] + record(kind, data), b"")


@pytest.mark.parametrize(
    ("asked", "rcode"),
    [
        (query("no.example"), NXDOMAIN),
        (query("x." * 126 + "x"), NXDOMAIN),  # 255 bytes, the most
        (query("a.b.example", TXT), NOERROR),
        (query("b.example"), NOERROR),  # has no record, but a name below it
        (query("192.in-addr.arpa", PTR), NOERROR),
        (query("a.b.example", dns_class=255) + b"more", NOERROR),
        (query("a.b.example", dns_class=3), REFUSED),
    ],
)
def test_nothing_to_tell(asked: bytes, rcode: int) -> None:
    """No name, no data and no such class are three things."""
    reply = answer(asked)
    assert reply.rcode == rcode
    assert bool(reply.flags & AA) == (rcode != REFUSED)


def test_flags_are_copied() -> None:
    """RD and CD come back, nothing else does."""
    for flags in (0, RD, CD, RD | CD):
        assert answer(query("a.b.example", flags=flags | AD | TC)).flags == QR | AA | flags


QUESTION = name("a.b.example") + struct.pack("!HH", A, 1)


@pytest.mark.parametrize(
    "packet",
    [
        header(questions=0),
        header(questions=2) + QUESTION * 2,
        header() + b"\xc0\x0c" + struct.pack("!HH", A, 1),  # a name that is itself
        header() + b"\x40a\0" + struct.pack("!HH", A, 1),
        query("x." * 126 + "xx"),  # 256 bytes
        header(additional=1) + QUESTION,
        header(additional=65535) + QUESTION + opt(),
        header(additional=2) + QUESTION + opt() * 2,
        query("a.b.example", edns=opt(length=1)),
        *(query("a.b.example", edns=opt())[:cut] for cut in range(12, 40)),
    ],
)
def test_broken_queries(packet: bytes) -> None:
    """What is not one whole question is a format error, said in a bare header."""
    assert answer(packet) == (QR | RD, FORMERR, 0, b"", b"")


def test_other_operations() -> None:
    """Notifications, updates and the like are not implemented; the operation comes back."""
    for opcode in range(1, 16):
        assert answer(query("a.b.example", flags=opcode << 11)) == (QR | opcode << 11, NOTIMP, 0, b"", b"")


def test_what_is_not_answered() -> None:
    """A response, which two servers could send each other for ever, and what is too short to be answered."""
    assert ZONE.answer(query("a.b.example", flags=QR)) is None
    assert [ZONE.answer(header()[:length]) for length in range(12)] == [None] * 12


@pytest.mark.parametrize(
    ("edns", "flags", "count"),
    [
        (b"", TC, (512 - 12 - 18) // 16),
        (opt(100), TC, (512 - 12 - 18 - 11) // 16),
        (opt(41 + 40 * 16), TC, 40),  # to the byte
        (opt(4096), 0, 60),
    ],
)
def test_truncation(edns: bytes, flags: int, count: int) -> None:
    """A client gets as many whole records as it takes, and hears that there are more."""
    reply = answer(query("many.example", edns=edns))
    assert (reply.flags & TC, reply.rcode, reply.answers) == (flags, NOERROR, count)
    assert len(reply.body) == 18 + 16 * count


def test_edns() -> None:
    """OPT is answered by OPT, that has our size and the client's DO; an unknown version gets BADVERS."""
    do = 0x8000
    assert answer(query("no.example", edns=opt(flags=do | 1))).edns == opt(flags=do)
    bad = answer(query("a.b.example", edns=opt(version=1)))
    assert (bad.flags, bad.rcode, bad.answers) == (QR | RD, 0, 0)
    assert bad.edns == opt(rcode=1)  # the upper bits of 16, whose lower ones are in the header
    other = b"\0" + struct.pack("!HHIH", 250, 1, 0, 2) + b"ab"
    assert answer(header(additional=2) + QUESTION + other + opt()).answers == 1


def test_noise() -> None:
    """Whatever comes, nothing breaks, and who is answered gets his own id."""
    dice = random.Random(3)
    for _ in range(2000):
        packet = bytearray(query("a.b.example", edns=opt()))
        for _ in range(dice.randrange(1, 4)):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        reply = ZONE.answer(bytes(packet))
        assert reply is None or (reply[:2] == packet[:2] and len(reply) <= 512)


@pytest.mark.parametrize(
    "line", ["300.1.2.3 a", f"192.0.2.1 {'x' * 64}", "192.0.2.1 a..b", f"192.0.2.1 {'x.' * 127}x"]
)
def test_hosts_with_mistakes(folder: Path, line: str) -> None:
    """A mistake is an error that names the line."""
    path = folder / "hosts"
    path.write_text(f"127.0.0.1 localhost\n{line}\n")
    with pytest.raises(ValueError, match=f"{path}, line 2: .+"):
        dns.read_hosts(str(path))


def test_hosts(folder: Path) -> None:
    """Comments, tabs, scopes, addresses without a name and repeated lines are what hosts files have."""
    path = folder / "hosts"
    path.write_text("# all\n\nfe80::1%lo0\tHost.example # one\n192.0.2.1\nfe80::1 host.example\n")
    packet = query("host.EXAMPLE", AAAA)
    reply = dns.read_hosts(str(path)).answer(packet)
    assert reply[12:] == packet[12:] + record(AAAA, socket.inet_pton(socket.AF_INET6, "fe80::1"))


def test_dns_by_udp() -> None:
    """A socket gets the answers, and none to a response."""
    server = Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), partial(dns.DnsHandler, zone=ZONE))
    with server.running(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(FAILSAFE)
        client.connect(server.address)
        client.send(query("a.b.example", flags=QR))
        client.send(query("a.b.example"))
        assert client.recv(1000) == ZONE.answer(query("a.b.example"))


# syslog_sink.


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        # RFC 3164, with a host and as programs on the same machine write it.
        (b"<0>Jan  2 03:04:05 box boot: up", "Jan  2 03:04:05 box kern.emerg boot: up"),
        (b"<191>Nov 23 08:00:00 ::1 a/b.c[x-1]: t: u", "Nov 23 08:00:00 ::1 local7.debug a/b.c[x-1]: t: u"),
        (b"<22>Nov 23 08:00:00 app[7]: hello", "Nov 23 08:00:00 HERE mail.info app[7]: hello"),
        (b"<13>Nov 23 08:00:00 app: -\n", "Nov 23 08:00:00 HERE user.notice app: -"),
        (b"<13>Nov 23 08:00:00 box no tag here", "Nov 23 08:00:00 box user.notice no tag here"),
        # RFC 5424.
        (b"<34>1 2026-11-23T08:00:00Z box app 7 id - hello", "2026-11-23T08:00:00Z box auth.crit app[7]: hello"),
        (b"<165>1 - - - - - - \xef\xbb\xbfgr\xc3\xbcezi", "NOW HERE local4.notice gr\u00fcezi"),
        (b'<165>1 - box app 7 id [a@1 k="]\\"\\]"][b] hi', "NOW box local4.notice app[7]: hi"),
        (b'<165>1 - box app 7 id [a@1 k="]', 'NOW HERE local4.notice 1 - box app 7 id [a@1 k="]'),
        # A priority, and then what is neither (RFC 3164, 4.3.2).
        (
            b"<34>2 2026-11-23T08:00:00Z box app 7 id - x",
            "NOW HERE auth.crit 2 2026-11-23T08:00:00Z box app 7 id - x",
        ),
        # No priority, or none that is possible (4.3.3).
        (b"just text", "NOW HERE user.notice just text"),
        (b"", "NOW HERE user.notice "),
        (b"<192>x", "NOW HERE user.notice <192>x"),
        (b"<013>x", "NOW HERE user.notice <013>x"),
        # One line, whatever is sent.
        (b"<13>a\nb\r\0c\x1b[1m\x7f\n\0", r"NOW HERE user.notice a\nb\r\x00c\x1b[1m\x7f"),
        (b"<13>\xff\xe2\x80\xa8\xe2\x80\xaex", r"NOW HERE user.notice \xff\u2028\u202ex"),
    ],
)
def test_messages(packet: bytes, line: str) -> None:
    """Each message is one line; nothing is lost where it is not understood."""
    assert syslog.parse(packet, "HERE", "NOW").line() == line


def test_long_messages_take_no_time() -> None:
    """The expressions do not go back and forth in what almost fits."""
    for piece in (b"<13>1 - a b c d [", b"<13>1 - a b c d " + b"[x]" * 20000, b"<13>Nov 23 08:00:00 "):
        for filler in (b'"', b"\\", b"[", b"]", b":", b" ", b"x"):
            syslog.parse(piece + filler * 60000, "HERE", "NOW")


@contextlib.contextmanager
def sink(transport: Transport[Any, Any], path: Path) -> Iterator[tuple[Server[Any, Any], socket.socket]]:
    """A server that writes to *path*, and a client without a name that is connected to it."""
    with syslog.append_to(str(path)) as file:
        handler = partial(syslog.SyslogHandler, sink=syslog.Sink(file))
        with Server(transport, SyncStrategy(), handler) as server:
            family = socket.AF_UNIX if isinstance(transport, UnixDatagramTransport) else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.connect(server.address)
                yield server, client


def test_sink_by_udp(folder: Path) -> None:
    """Lines are appended to a file, with the sender and the time where a message has none; no reply is sent."""
    path = folder / "messages"
    path.write_text("before\n")
    with sink(UdpTransport(("127.0.0.1", 0)), path) as (server, client):
        for packet in (b"one", b"<14>two"):
            client.send(packet)
            assert server.handle_request()
        client.settimeout(0)
        with pytest.raises(BlockingIOError):
            client.recv(100)
    before, one, two = path.read_text().splitlines()
    time, rest = one.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert (before, rest) == ("before", "127.0.0.1 user.notice one")
    assert two.endswith(" 127.0.0.1 user.info two")


def test_sink_by_a_unix_socket(folder: Path) -> None:
    """A client without a name is this machine."""
    with sink(UnixDatagramTransport(folder / "log"), folder / "messages") as (server, client):
        client.send(b"<14>Nov 23 08:00:00 app: here")
        assert server.handle_request()
    assert (folder / "messages").read_text() == f"Nov 23 08:00:00 {socket.gethostname()} user.info app: here\n"
