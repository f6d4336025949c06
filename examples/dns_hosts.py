"""
A DNS server (RFC 1035, by UDP) for the names of a hosts file: A, AAAA and PTR records.

    python examples/dns_hosts.py --udp 127.0.0.1:5353 --strategy sync /etc/hosts
    dig @127.0.0.1 -p 5353 localhost AAAA

It knows its file and nothing else: there is no recursion, no zone transfer and no TCP, so that an answer which
does not fit in a datagram arrives in part, and says so.
"""

import enum
import functools
import ipaddress
import itertools
import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from _choose import UDP, CommandLine, checked
from sockserve import DatagramRequestHandler

#: Seconds that a resolver may keep an answer: short, since people edit hosts files and expect to see it.
TTL: Final = 60
#: Bytes of an answer to a client that does not say what it takes (RFC 1035, 2.3.4).
PLAIN_SIZE: Final = 512
#: Bytes that we take, and tell the client (RFC 6891, 6.2.3): what passes everywhere in one piece.
OUR_SIZE: Final = 1232

HEADER = struct.Struct("!6H")  # id, flags, the counts of questions, answers, authorities, additional records
QUESTION = struct.Struct("!HH")  # type, class: after a name
RECORD = struct.Struct("!HHIH")  # type, class, time to live, bytes of data: after a name

QR, OPCODE, AA, TC, RD, CD = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0010
A, PTR, AAAA, OPT = 1, 12, 28, 41
IN, ANY_CLASS = 1, 255
DNSSEC_OK = 0x8000
ROOT = b"\0"
#: The name in the question, which always begins at the same place, by a compression pointer (RFC 1035, 4.1.4).
ASKED_NAME = struct.pack("!H", 0xC000 | HEADER.size)


class Rcode(enum.IntEnum):
    """How it went. Those above 15 need EDNS (RFC 6895, 2.3)."""

    NOERROR = 0
    FORMERR = 1
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class FormatError(Exception):
    """A message breaks off, or is not what RFC 1035 allows."""


def encode_name(name: str) -> bytes:
    """Write *name* as DNS does: each label behind its length, lower case."""
    labels = name.lower().removesuffix(".").encode("idna").split(b".")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + ROOT
    if len(encoded) > 255 or b"" in labels:
        raise ValueError(f"{name!r} is no name")
    return encoded


def skip_name(packet: bytes, at: int, *, compressed: bool = True) -> int:
    """Find the end of the name at *at*. It is walked and never followed, so a loop of pointers does no harm."""
    start = at
    while at < len(packet) and at - start < 255:
        length = packet[at]
        if length == 0:
            return at + 1
        if length >= 0xC0 and compressed:
            return at + 2
        if length > 63:
            break
        at += 1 + length
    raise FormatError


def take(packet: bytes, fields: struct.Struct, at: int) -> tuple[int, ...]:
    """Unpack *fields*, if they are there."""
    if at + fields.size > len(packet):
        raise FormatError
    return fields.unpack_from(packet, at)


@attrs.frozen
class Edns:
    """What a client says about itself in an OPT record (RFC 6891)."""

    size: int
    ttl: int  # extended rcode, version and flags, where other records have their time to live

    @property
    def version(self) -> int:
        """Of EDNS; 0 is all that there is."""
        return self.ttl >> 16 & 0xFF

    def reply(self, rcode: Rcode) -> bytes:
        """Make the OPT record of the answer: each that has one gets one (6.1.1)."""
        return ROOT + RECORD.pack(OPT, OUR_SIZE, rcode >> 4 << 24 | self.ttl & DNSSEC_OK, 0)


@attrs.frozen
class Query:
    """A question, and what is around it."""

    question: bytes
    name: bytes
    kind: int
    dns_class: int
    edns: Edns | None


def parse_query(packet: bytes) -> Query:
    """
    Read a whole query.

    Raises:
        FormatError: It has not exactly one question (RFC 9619), or is broken.
    """
    _, _, questions, *others = HEADER.unpack_from(packet)
    if questions != 1:
        raise FormatError
    # Nothing stands before this name, so a pointer in it could only lead nowhere.
    end = skip_name(packet, HEADER.size, compressed=False)
    kind, dns_class = take(packet, QUESTION, end)
    name = packet[HEADER.size : end].lower()  # lengths are below 64, and A is 65: only letters change
    at = end + QUESTION.size
    question = packet[HEADER.size : at]
    found: list[Edns] = []
    for _ in range(sum(others)):  # as long as the packet lasts
        at = skip_name(packet, at)
        record, size, ttl, length = take(packet, RECORD, at)
        at += RECORD.size + length
        if record == OPT:
            found.append(Edns(size, ttl))
    if at > len(packet) or len(found) > 1:
        raise FormatError
    return Query(question, name, kind, dns_class, found[0] if found else None)


class Zone:
    """The answers to all questions, made in advance: what is left to do for each is to find and to copy."""

    def __init__(self) -> None:
        self._records: defaultdict[tuple[bytes, int], list[bytes]] = defaultdict(list)
        self._names: set[bytes] = set()

    def add(self, address: str, names: Sequence[str]) -> None:
        """
        Let *names* have *address*, and the address the first of the names.

        Raises:
            ValueError: One of them is none.
        """
        ip = ipaddress.ip_address(address)
        for name in names:
            self._add_record(encode_name(name), A if ip.version == 4 else AAAA, ip.packed)
        self._add_record(encode_name(ip.reverse_pointer), PTR, encode_name(names[0]))

    def _add_record(self, name: bytes, kind: int, data: bytes) -> None:
        record = ASKED_NAME + RECORD.pack(kind, IN, TTL, len(data)) + data
        records = self._records[name, kind]
        if record not in records:
            records.append(record)
        # The names above a name exist too, though they may have no records (RFC 8020).
        while name != ROOT:
            self._names.add(name)
            name = name[1 + name[0] :]

    def find(self, query: Query) -> tuple[Rcode, Sequence[bytes]]:
        """Find the records that were asked for."""
        if query.edns is not None and query.edns.version != 0:
            return Rcode.BADVERS, ()
        if query.dns_class not in {IN, ANY_CLASS}:
            return Rcode.REFUSED, ()
        if query.name not in self._names:
            return Rcode.NXDOMAIN, ()
        return Rcode.NOERROR, self._records.get((query.name, query.kind), ())

    def answer(self, packet: bytes) -> bytes | None:
        """Answer a packet; None for one that had better not be."""
        if len(packet) < HEADER.size:
            return None
        _, flags, *_ = HEADER.unpack_from(packet)
        if flags & QR:  # a response: two servers that answer these would talk to each other for ever
            return None
        if flags & OPCODE:
            return compose(packet, Rcode.NOTIMP)
        try:
            query = parse_query(packet)
        except FormatError:
            return compose(packet, Rcode.FORMERR)
        rcode, records = self.find(query)
        return compose(packet, rcode, query, records)


def compose(packet: bytes, rcode: Rcode, query: Query | None = None, records: Sequence[bytes] = ()) -> bytes:
    """Write the answer to *packet*, with as many records as the client takes; TC says that some are missing."""
    identity, flags, *_ = HEADER.unpack_from(packet)
    flags = QR | flags & (OPCODE | RD | CD) | rcode & 0xF
    if rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        flags |= AA
    question = query.question if query else b""
    edns = query.edns if query else None
    opt = edns.reply(rcode) if edns else b""
    limit = max(PLAIN_SIZE, edns.size) if edns else PLAIN_SIZE
    room = limit - HEADER.size - len(question) - len(opt)
    fitting = sum(total <= room for total in itertools.accumulate(map(len, records)))
    if fitting < len(records):
        flags |= TC
    header = HEADER.pack(identity, flags, bool(query), fitting, 0, bool(edns))
    return b"".join([header, question, *records[:fitting], opt])


def read_hosts(path: str) -> Zone:
    """
    Read a file of lines ``ADDRESS NAME...  # comment``.

    Raises:
        OSError: It cannot be read.
        ValueError: A line is wrong; the text says which.
    """
    zone = Zone()
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        address, *names = line.partition("#")[0].split() or [""]
        try:
            if names:
                zone.add(address.partition("%")[0], names)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return zone


class DnsHandler(DatagramRequestHandler):
    """Answers a query."""

    def __init__(self, *request: Any, zone: Zone) -> None:
        self.zone = zone  # first: the base class does all the work while it is made
        super().__init__(*request)

    def handle(self) -> None:
        """Reply, if there is something to say; to write nothing is to send nothing."""
        reply = self.zone.answer(self.packet)
        if reply is not None:
            self.wfile.write(reply)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a hosts file until told to stop."""
    command = CommandLine(__doc__, UDP)
    command.add_argument("zone", metavar="FILE", type=checked(read_hosts), help="such as /etc/hosts")
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(DnsHandler, zone=options.zone))


if __name__ == "__main__":
    main()
