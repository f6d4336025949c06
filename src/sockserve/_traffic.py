"""What the kernel knows of a connection's traffic, without a step in the way of a single byte."""

import array
import socket
import struct
import sys

import attrs

__all__ = ("Traffic", "exchanged", "has_traffic", "traffic_of", "unread")

#: The beginning of Linux's struct tcp_info (include/uapi/linux/tcp.h): 8 bytes, 24 numbers of 32 bits, 4 of 64,
#: 6 of 32. Linux has had all of that since 4.6; what it had before, and what other systems have, does not fit.
_INFO = struct.Struct("=8x24I4Q6I")
_UNACKED, _LAST_SENT, _LAST_RECEIVED, _LAST_ACK = 4, 9, 11, 12
_ACKED, _RECEIVED, _NOT_SENT, _SEGMENTS_SENT = 26, 27, 30, 33

#: ioctl(2): how much there is to read.
_FIONREAD = 0x541B if sys.platform == "linux" else 0x4004667F


@attrs.frozen
class Traffic:
    """
    Of one TCP connection; ages are seconds, counted in the kernel's ticks (1 to 10 ms).

    Attributes:
        received: Bytes that have come.
        segments: With data, that were sent.
        acknowledged: Bytes that the peer's system has taken.
        stalled: Whether there are bytes that it has not taken yet.
        since_received: The age of the last bytes that came; without any, of the connection.
        since_sent: The age of the last bytes that were sent.
        since_acknowledged: The age of the peer's last sign of life. It may have taken nothing by it.
    """

    received: int
    segments: int
    acknowledged: int
    stalled: bool
    since_received: float
    since_sent: float
    since_acknowledged: float


def traffic_of(sock: socket.socket) -> Traffic | None:
    """Ask; None where it is no TCP connection, or the system does not tell."""
    found = _info(sock)
    if found is None:
        return None
    return Traffic(
        received=found[_RECEIVED],
        segments=found[_SEGMENTS_SENT],
        acknowledged=found[_ACKED],
        stalled=found[_UNACKED] > 0 or found[_NOT_SENT] > 0,
        since_received=found[_LAST_RECEIVED] / 1000,
        since_sent=found[_LAST_SENT] / 1000,
        since_acknowledged=found[_LAST_ACK] / 1000,
    )


def _info(sock: socket.socket) -> tuple[int, ...] | None:
    if sys.platform != "linux" or sock.family not in _INET:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:  # of another protocol, or closed
        return None
    return _INFO.unpack(info) if len(info) == _INFO.size else None


_INET = (socket.AF_INET, socket.AF_INET6)

#: Kinds of sockets, by the C type's numbers, of whose traffic the system tells.
_told: dict[tuple[int, int, int], bool] = {}


def has_traffic(sock: socket.socket, kind: tuple[int, int, int]) -> bool:
    """Whether `traffic_of` tells of sockets of this *kind*, such as *sock*: their family, type and protocol."""
    told = _told.get(kind)
    if told is None:
        told = _told[kind] = traffic_of(sock) is not None
    return told


def exchanged(sock: socket.socket) -> tuple[int, int]:
    """Say how many bytes have come and were read, and how many segments were sent; 0 where nothing tells."""
    found = _info(sock)
    return (0, 0) if found is None else (found[_RECEIVED] - (unread(sock) or 0), found[_SEGMENTS_SENT])


def unread(sock: socket.socket) -> int | None:
    """Say how many bytes have come and were not read; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415 - Windows has none

    size = array.array("i", (0,))
    try:
        fcntl.ioctl(sock.fileno(), _FIONREAD, size)
    except (OSError, ValueError):
        return None
    return size[0]
