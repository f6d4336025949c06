"""
The header of the PROXY protocol, both versions, from bytes: nothing here reads or waits.

The source is HAProxy's doc/proxy-protocol.txt (2020/03/05): section 2.1 for version 1, a line of text, 2.2 for
version 2, which is binary, and the name of each rule that is kept here.
"""

import ipaddress
import os
import re
import struct
from typing import TypeAlias

import attrs

from ..addresses import Address, InetAddress, UnixAddress, inet_address

__all__ = ("MOST", "Header", "HeaderDecoder", "HeaderError")

#: Bytes of a header of version 1, with its CRLF (2.1: the longest possible line).
_MOST_1 = 107
#: Bytes of a header of version 2. Its length field allows 65551, of which 232 are addresses (2.2): the rest is for
#: additions (TLVs), which a sender has no business to fill the memory with. nginx's limit is the same
#: (NGX_PROXY_PROTOCOL_MAX_HEADER).
MOST = 4096

_BEGIN_1 = b"PROXY "
_BEGIN_2 = b"\r\n\r\n\0\r\nQUIT\n"
#: The beginning, version and command, family and protocol, bytes that follow.
_FIXED_2 = struct.Struct("!12sBBH")


class HeaderError(ValueError):
    """What has come is no header of the PROXY protocol; the text says why."""


@attrs.frozen
class Header:
    """
    What a header says.

    Args:
        version: 1 or 2.
        source: Whom the proxy speaks for; None where it does not say.
        destination: Where that one has connected to; None where it does not say.
    """

    version: int
    source: Address | None = None
    destination: Address | None = None


class HeaderDecoder:
    """
    Finds the header in what one peer sends, however it is cut, and takes no byte beyond its end.

    Attributes:
        header: What it says; None until it is complete.
    """

    __slots__ = ("_seen", "header")

    def __init__(self) -> None:
        self._seen = bytearray()
        self.header: Header | None = None

    def feed(self, data: bytes) -> int:
        """
        Take in what has come, and return how many bytes of it are the header's: all, until it is complete.

        Raises:
            HeaderError: It is no header, or one beyond the limit: as soon as that can be known.
        """
        before = len(self._seen)
        self._seen += data
        end = self._end()
        if end is None:
            return len(data)
        seen = bytes(self._seen[:end])
        self.header = _version_1(seen) if seen.startswith(_BEGIN_1) else _version_2(seen)
        return end - before

    def eof(self) -> HeaderError:
        """Make the error for a peer that says nothing more."""
        if not self._seen:
            return HeaderError("the peer has closed the connection without a word")
        return HeaderError(f"the peer has closed the connection after {len(self._seen)} bytes of its header")

    def _end(self) -> int | None:
        """Say where the header ends; None where that has not come yet."""
        seen = self._seen
        if _BEGIN_2.startswith(seen[: len(_BEGIN_2)]):
            return self._end_2()
        if not _BEGIN_1.startswith(seen[: len(_BEGIN_1)]):
            raise HeaderError(f"it begins with {bytes(seen[:16])!r}, which is not of the PROXY protocol")
        end = seen.find(b"\n", 0, _MOST_1) + 1
        if not end:
            if len(seen) >= _MOST_1:
                raise HeaderError(f"the line of version 1 is longer than {_MOST_1} bytes")
            return None
        if seen[end - 2] != 0x0D:
            raise HeaderError("the line of version 1 ends without a carriage return")
        return end

    def _end_2(self) -> int | None:
        seen = self._seen
        if len(seen) > len(_BEGIN_2) and seen[12] not in _COMMANDS:
            raise HeaderError(f"version and command are 0x{seen[12]:02x}, neither 0x20 (LOCAL) nor 0x21 (PROXY)")
        if len(seen) < _FIXED_2.size:
            return None
        *_, size = _FIXED_2.unpack_from(seen)
        end: int = _FIXED_2.size + size
        if end > MOST:
            raise HeaderError(f"a header of {end} bytes is longer than {MOST}")
        return end if len(seen) >= end else None


# Version 1.

_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_Host: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_FAMILIES_1: dict[bytes, type[_Host]] = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}


def _version_1(line: bytes) -> Header:
    words = line[:-2].split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(1)  # and whatever else it says is to be ignored
    if words[1] not in _FAMILIES_1:
        raise HeaderError(f"{words[1]!r} is none of TCP4, TCP6, UNKNOWN")
    if len(words) != 6:
        raise HeaderError(f"{line!r} has not the six words of version 1, each after one space")
    make = _FAMILIES_1[words[1]]
    hosts = [_host(make, word) for word in words[2:4]]
    ports = [_port(word) for word in words[4:]]
    source, destination = (_inet(host, port) for host, port in zip(hosts, ports, strict=True))
    return Header(1, source, destination)


def _host(make: type[_Host], word: bytes) -> _Host:
    try:
        host = make(word.decode("ascii"))
    except ValueError:
        raise HeaderError(f"{word!r} is no {make.__name__}") from None
    if isinstance(host, ipaddress.IPv6Address) and host.scope_id is not None:
        raise HeaderError(f"{word!r} has a scope, which means nothing on another machine")
    return host


def _port(word: bytes) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65535:
        raise HeaderError(f"{word!r} is no port")
    return int(word)


def _inet(host: _Host, port: int) -> InetAddress:
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    if mapped is not None:  # before Python 3.13 its text does not show that it is
        return InetAddress(str(mapped), port)
    return inet_address((str(host), port, 0, 0) if host.version == 6 else (str(host), port))


# Version 2.

_LOCAL, _PROXY = 0x20, 0x21
_COMMANDS = (_LOCAL, _PROXY)
_UNSPEC, _INET, _INET6, _UNIX = range(4)
#: By family: the bytes of one address; source and destination come first, then (not for Unix) their ports.
_SIZES = {_INET: 4, _INET6: 16, _UNIX: 108}
_PROTOCOLS = (0, 1, 2)  # unspecified, stream, datagram


def _version_2(seen: bytes) -> Header:
    _, command, kind, _ = _FIXED_2.unpack_from(seen)
    if command == _LOCAL:
        return Header(2)  # whatever follows
    family, protocol = kind >> 4, kind & 0x0F
    if family not in {_UNSPEC, *_SIZES} or protocol not in _PROTOCOLS:
        raise HeaderError(f"family and protocol 0x{kind:02x} are not assigned")
    if _UNSPEC in {family, protocol}:
        return Header(2)
    rest, size = seen[_FIXED_2.size :], _SIZES[family]
    ports = 0 if family == _UNIX else 4
    if len(rest) < 2 * size + ports:
        raise HeaderError(f"{len(rest)} bytes are too few for two addresses of {size} bytes and their ports")
    hosts = rest[:size], rest[size : 2 * size]
    if family == _UNIX:
        return Header(2, *map(_unix, hosts))
    make: type[_Host] = ipaddress.IPv4Address if family == _INET else ipaddress.IPv6Address
    source, destination = struct.unpack_from("!HH", rest, 2 * size)
    return Header(2, _inet(make(hosts[0]), source), _inet(make(hosts[1]), destination))


def _unix(padded: bytes) -> UnixAddress:
    r"""Give the path, or ``"\0name"``; ``unix:`` where there is none, as for a client of our own."""
    name = padded.rstrip(b"\0") if padded.startswith(b"\0") else padded.partition(b"\0")[0]
    return UnixAddress(os.fsdecode(name) or "unix:")
