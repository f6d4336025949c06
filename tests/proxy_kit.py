"""What the tests of the PROXY protocol share: headers, made by hand."""

import socket
import struct
from typing import Any

from recorder import FAILSAFE
from sockserve import InetAddress

#: Whom the proxy of these tests speaks for: addresses for documentation (RFC 5737).
CLIENT, ENTRANCE = InetAddress("192.0.2.7", 51234), InetAddress("198.51.100.9", 443)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31


def line(source: Any = CLIENT, destination: Any = ENTRANCE) -> bytes:
    """Version 1."""
    family = "TCP6" if ":" in source[0] else "TCP4"
    return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def binary(body: bytes, *, kind: int = TCP4, command: int = PROXY, size: int | None = None) -> bytes:
    """Version 2, of whatever is given."""
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body) if size is None else size) + body


def packed(source: Any = CLIENT, destination: Any = ENTRANCE) -> bytes:
    """Two addresses of version 2."""
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    hosts = (socket.inet_pton(family, host) for host, _ in (source, destination))
    return b"".join(hosts) + struct.pack("!HH", source[1], destination[1])


def tlv(kind: int, value: bytes) -> bytes:
    """An addition of version 2."""
    return struct.pack("!BH", kind, len(value)) + value


def connect(address: Any) -> socket.socket:
    """Connect, as a proxy does, and say nothing yet."""
    unix = isinstance(address, str)
    sock = _Client(getattr(socket, "AF_UNIX", -1) if unix else socket.AF_INET)
    sock.settimeout(FAILSAFE)
    sock.connect(str(address) if unix else tuple(address))
    return sock


class _Client(socket.socket):
    """Sends its end when it is closed: a forked handler has a copy of it."""

    def close(self) -> None:
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was quicker
        super().close()
