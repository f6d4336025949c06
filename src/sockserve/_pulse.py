"""Sockets that tell since when they wait for their peer: what requests get where there is an idle deadline."""

import socket
import sys
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

from ._table.polling import wait_for
from ._table.sending import SendableFile, send_file
from ._traffic import has_traffic
from ._typing import Buffer, override

__all__ = (
    "LENGTH",
    "MOVED",
    "PIECE",
    "WAITS",
    "WRITING",
    "Pulse",
    "PulsedSocket",
    "StampedSocket",
    "WatchedSocket",
    "pulsed",
    "waits_since",
    "watched",
)

T = TypeVar("T")


class Pulse(Protocol):
    """
    Numbers that a socket writes, and that whoever keeps its deadline reads, by the indices below.

    A list, or memory that two processes share. Times are those of `time.monotonic`, 0.0 stands for no.
    """

    def __getitem__(self, index: int, /) -> float: ...
    def __setitem__(self, index: int, value: float, /) -> None: ...


#: Since when it waits for something to read. It begins with the first read that finds nothing, and ends with one
#: that does: timeouts in between, after which it is tried again, are one wait.
WAITS = 0
#: When bytes went out, or began to; 0.0 too where the system is asked (`traffic_of`).
MOVED = 1
#: Whether it is writing: then it waits for the peer since `MOVED`.
WRITING = 2
LENGTH = 3

#: Bytes for one call that writes: a peer that does not take so many within the deadline counts as silent.
PIECE = 16 * 1024

_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it

_plain = socket.socket
_recv, _recv_into = _plain.recv, _plain.recv_into
_send, _sendall = _plain.send, _plain.sendall


class PulsedSocket(socket.socket):
    """A connection with a pulse: the base of those that write it. Whoever makes one gives it that, at once."""

    __slots__ = ("pulse",)

    pulse: Pulse

    @override
    def dup(self) -> Self:
        """See `socket.socket.dup`: it is the same connection."""
        made = super().dup()
        made.pulse = self.pulse
        return made


class WatchedSocket(PulsedSocket):
    """
    One that takes note of its reads. It is used like any other, and waits as a plain one does.

    Each read costs 0.2 us more (measured). Its writes are not looked at: of a TCP connection the system knows.
    """

    __slots__ = ()

    @override
    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """See `socket.socket.recv`."""
        pulse = self.pulse
        pulse[WAITS] = pulse[WAITS] or monotonic()
        data = _recv(self, bufsize, flags)
        pulse[WAITS] = 0.0
        return data

    @override
    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """See `socket.socket.recv_into`."""
        pulse = self.pulse
        pulse[WAITS] = pulse[WAITS] or monotonic()
        size = _recv_into(self, buffer, nbytes, flags)
        pulse[WAITS] = 0.0
        return size

    @override
    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, _Address]:
        """See `socket.socket.recvfrom`."""
        return self._read(lambda: _plain.recvfrom(self, bufsize, flags))

    @override
    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, _Address]:
        """See `socket.socket.recvfrom_into`."""
        return self._read(lambda: _plain.recvfrom_into(self, buffer, nbytes, flags))

    if sys.platform != "win32":  # it has none

        @override
        def recvmsg(
            self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
        ) -> tuple[bytes, list[tuple[int, int, bytes]], int, _Address]:
            """See `socket.socket.recvmsg`."""
            return self._read(lambda: _plain.recvmsg(self, bufsize, ancbufsize, flags))

        @override
        def recvmsg_into(
            self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0, /
        ) -> tuple[int, list[tuple[int, int, bytes]], int, _Address]:
            """See `socket.socket.recvmsg_into`."""
            return self._read(lambda: _plain.recvmsg_into(self, buffers, ancbufsize, flags))

    def _read(self, attempt: Callable[[], T]) -> T:
        pulse = self.pulse
        pulse[WAITS] = pulse[WAITS] or monotonic()
        found = attempt()
        pulse[WAITS] = 0.0
        return found


class StampedSocket(WatchedSocket):
    """One that takes note of its writes, too: where nobody else does."""

    __slots__ = ()

    @override
    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """See `socket.socket.sendall`: one time limit for all of it."""
        patience = self.gettimeout()
        until = None if patience is None else monotonic() + patience
        with memoryview(data) as whole, whole.cast("B") as view:
            sent = 0
            while True:
                with view[sent : sent + PIECE] as piece:
                    sent += self._write(lambda: _send(self, piece, flags))
                if sent >= view.nbytes:
                    return
                if until is not None and monotonic() > until:
                    raise TimeoutError("timed out")

    @override
    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """See `socket.socket.send`. One that blocks sends everything, as a plain one does."""
        if self.gettimeout() is not None or _size(data) <= PIECE:
            return self._write(lambda: _send(self, data, flags))
        self.sendall(data, flags)
        return _size(data)

    @override
    def sendto(self, data: Buffer, *flags_and_address: _Address) -> int:
        """See `socket.socket.sendto`."""
        return self._write(lambda: _plain.sendto(self, data, *flags_and_address))

    if sys.platform != "win32":  # it has none

        @override
        def sendmsg(
            self,
            buffers: Iterable[Buffer],
            ancdata: Iterable[tuple[int, int, Buffer]] = (),
            flags: int = 0,
            address: _Address = None,
            /,
        ) -> int:
            """See `socket.socket.sendmsg`."""
            return self._write(lambda: _plain.sendmsg(self, buffers, ancdata, flags, address))

    @override
    def sendfile(self, file: SendableFile, offset: int = 0, count: int | None = None) -> int:
        """See `socket.socket.sendfile`."""
        return send_file(self, file, offset, count, chunk=PIECE)

    def when_writable(self, attempt: Callable[[], T], flags: int = 0) -> T:
        """Make *attempt*, and wait for room as long as the socket's timeout says."""
        while True:
            try:
                return self._write(attempt)
            except BlockingIOError:
                wait_for(self, write=True, timeout=self.gettimeout())

    def _write(self, attempt: Callable[[], T]) -> T:
        pulse = self.pulse
        pulse[MOVED] = monotonic()
        pulse[WRITING] = 1.0
        try:
            return attempt()
        finally:
            pulse[WRITING] = 0.0


def waits_since(pulse: Pulse) -> tuple[float, float]:
    """Say since when the socket waits for its peer (0.0: it does not), and when it last wrote."""
    moved = pulse[MOVED]
    return pulse[WAITS] or (moved if pulse[WRITING] else 0.0), moved


def _size(buffer: Buffer) -> int:
    with memoryview(buffer) as view:
        return view.nbytes


def pulsed(sock: socket.socket) -> Callable[[int, int, int, int], "WatchedSocket"]:
    """Choose what makes connections of the kind of *sock*, which may be their listener, of a descriptor."""
    beneath = cast("socket.socket", super(_plain, sock))  # plain numbers: enum members cost more than a call
    return _make_watched if has_traffic(sock, (beneath.family, beneath.type, sock.proto)) else _make_stamped


def _make_watched(family: int, kind: int, proto: int, fd: int) -> WatchedSocket:
    made = WatchedSocket(family, kind, proto, fd)
    made.pulse = [0.0] * LENGTH
    return made


def _make_stamped(family: int, kind: int, proto: int, fd: int) -> WatchedSocket:
    made = StampedSocket(family, kind, proto, fd)
    made.pulse = [0.0] * LENGTH
    return made


def watched(sock: socket.socket, pulse: Pulse | None = None) -> WatchedSocket:
    """
    Turn a plain connection into one with a pulse; the old object has lost its descriptor.

    Args:
        sock: The connection.
        pulse: What is written, where another process reads it. None: a list, and what the system tells of TCP
            connections is not written.
    """
    beneath = cast("socket.socket", super(_plain, sock))
    kind = beneath.family, beneath.type, sock.proto
    patience = sock.gettimeout()
    make = pulsed(sock) if pulse is None else StampedSocket
    fd = sock.detach()
    try:
        made = make(*kind, fd)
    except BaseException:
        socket.close(fd)
        raise
    if pulse is not None:
        made.pulse = pulse
    if made.gettimeout() != patience:
        made.settimeout(patience)
    return made
