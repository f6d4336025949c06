"""A socket whose calls park the row that makes them, where a plain one would block its thread."""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .._traffic import has_traffic
from .._typing import Buffer, override
from .connecting import connect
from .files import reader
from .receiving import MSG_DONTWAIT, receive, receive_into
from .sending import SendableFile, send_file
from .waiting import WaitingSocket, beneath
from .watch import would_block

__all__ = ("CooperativeSocket", "adopt", "adopt_request")

T = TypeVar("T")

_plain = socket.socket
_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it


class CooperativeSocket(WaitingSocket):
    """
    A socket for handlers in a table. It is used like any other.

    The descriptor itself never blocks; timeouts are this object's own. A call that has to wait parks the request,
    and the thread goes on with others. Outside a table (in a thread that a handler has started, in a process that
    it has forked) it waits for itself, with poll(2).

    Args:
        family: As of `socket.socket`.
        type: As of `socket.socket`.
        proto: As of `socket.socket`.
        fileno: As of `socket.socket`.
    """

    __slots__ = ()

    # Reading.

    @override
    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """See `socket.socket.recv`."""
        if flags:
            return receive(self, bufsize, flags)
        watch = self._watch
        deadline: float | None = None
        while True:
            if watch.tries > 0:
                try:
                    data = _recv(self, bufsize)
                except BlockingIOError:
                    watch.tries = 0
                else:
                    if len(data) < bufsize and watch.short:
                        watch.tries = 0
                    else:
                        watch.tries = watch.tries - 1 or -1
                    return data
            if bufsize <= 0:
                return _recv(self, bufsize)  # what needs nothing waits for nothing
            deadline = watch.wait_readable(self, self._patience, deadline)

    @override
    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """See `socket.socket.recv_into`."""
        if flags:
            return receive_into(self, buffer, nbytes, flags)
        room = nbytes or (buffer.nbytes if type(buffer) is memoryview else _size(buffer))
        watch = self._watch
        deadline: float | None = None
        while True:
            if watch.tries > 0:
                try:
                    size = _recv_into(self, buffer, nbytes)
                except BlockingIOError:
                    watch.tries = 0
                else:
                    if size < room and watch.short:
                        watch.tries = 0
                    else:
                        watch.tries = watch.tries - 1 or -1
                    return size
            if room <= 0 or (nbytes and nbytes > _size(buffer)):
                return _recv_into(self, buffer, nbytes)  # nothing to wait for, or an error
            deadline = watch.wait_readable(self, self._patience, deadline)

    @override
    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, _Address]:
        """See `socket.socket.recvfrom`."""
        return self.when_readable(lambda: _plain.recvfrom(self, bufsize, flags), flags)

    @override
    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, _Address]:
        """See `socket.socket.recvfrom_into`."""
        return self.when_readable(lambda: _plain.recvfrom_into(self, buffer, nbytes, flags), flags)

    if sys.platform != "win32":  # it has none

        @override
        def recvmsg(
            self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
        ) -> tuple[bytes, list[tuple[int, int, bytes]], int, _Address]:
            """See `socket.socket.recvmsg`."""
            return self.when_readable(lambda: _plain.recvmsg(self, bufsize, ancbufsize, flags), flags)

        @override
        def recvmsg_into(
            self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0, /
        ) -> tuple[int, list[tuple[int, int, bytes]], int, _Address]:
            """See `socket.socket.recvmsg_into`."""
            into = list(buffers)
            return self.when_readable(lambda: _plain.recvmsg_into(self, into, ancbufsize, flags), flags)

    @override
    def accept(self) -> "tuple[CooperativeSocket, _Address]":
        """See `socket.socket.accept`; the new socket parks too."""
        request, address = self.when_readable(lambda: _plain.accept(self))
        return adopt(request), address

    if not TYPE_CHECKING:  # the base's signature, which is a dozen of them, holds

        def makefile(self, mode="r", buffering=None, **options):
            """See `socket.socket.makefile`."""
            if mode not in _READING or options:
                return super().makefile(mode, buffering, **options)
            self._io_refs += 1
            return reader(self, buffering)

    # Writing.

    @override
    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """See `socket.socket.send`."""
        return self.when_writable(lambda: _send(self, data, flags), flags)

    @override
    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """See `socket.socket.sendall`: one time limit for all of it."""
        watch = self._watch
        watch.sends -= 1
        if watch.sends < 0:
            watch.has_sent_its_share(self._patience)
        try:
            sent = _send(self, data, flags)
        except BlockingIOError:
            sent = 0
        if type(data) is not bytes or sent != len(data):
            self._send_rest(data, sent, flags)

    def _send_rest(self, data: Buffer, sent: int, flags: int) -> None:
        deadline: float | None = None
        with memoryview(data) as whole, whole.cast("B") as view:
            while sent < len(view):
                if flags & MSG_DONTWAIT:
                    raise would_block()
                deadline = self.wait_writable(deadline)
                with view[sent:] as rest, contextlib.suppress(BlockingIOError):
                    sent += _send(self, rest, flags)

    @override
    def sendto(self, data: Buffer, *flags_and_address: _Address) -> int:
        """See `socket.socket.sendto`."""
        flags = flags_and_address[0] if len(flags_and_address) > 1 else 0
        return self.when_writable(lambda: _plain.sendto(self, data, *flags_and_address), flags)

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
            parts, more = list(buffers), list(ancdata)
            return self.when_writable(lambda: _plain.sendmsg(self, parts, more, flags, address), flags)

    @override
    def sendfile(self, file: SendableFile, offset: int = 0, count: int | None = None) -> int:
        """See `socket.socket.sendfile`."""
        return send_file(self, file, offset, count)

    # Connecting.

    @override
    def connect(self, address: _Address, /) -> None:
        """See `socket.socket.connect`."""
        number = connect(self, address)
        if number:
            raise OSError(number, os.strerror(number))

    @override
    def connect_ex(self, address: _Address, /) -> int:
        """See `socket.socket.connect_ex`."""
        try:
            return connect(self, address)
        except TimeoutError:
            return errno.EAGAIN  # as the plain one says


_recv = socket.socket.recv
_recv_into = socket.socket.recv_into
_send = socket.socket.send

#: Modes of a binary file that is only read.
_READING = ("rb", "br")


def _size(buffer: Buffer) -> int:
    if isinstance(buffer, memoryview):
        return buffer.nbytes
    with memoryview(buffer) as view:
        return view.nbytes


def adopt(sock: socket.socket, *, stamps: bool = False) -> CooperativeSocket:
    """
    Turn a socket into one that parks; the old object has lost its descriptor.

    With *stamps* it notes what it sends, unless the system does.

    Raises:
        TypeError: It is of another class, which may do more than a socket: encrypt, for instance.
    """
    if isinstance(sock, CooperativeSocket):
        return sock
    if type(sock) is not _plain:
        raise TypeError(f"only a plain socket.socket can park, not {sock!r}")
    plainly = beneath(sock)
    family, kind, proto, patience = plainly.family, plainly.type, sock.proto, sock.gettimeout()
    made_of: type[CooperativeSocket] = CooperativeSocket
    if stamps and not has_traffic(sock, (family, kind, proto)):
        from .stamping import StampingSocket  # noqa: PLC0415 - derived from ours

        made_of = StampingSocket
    fd = sock.detach()
    try:
        made = made_of(family, kind, proto, fd)
    except BaseException:
        socket.close(fd)
        raise
    made._patience = patience
    return made


def adopt_request(request: object, *, stamps: bool = False) -> object:
    """Turn an accepted connection into one that parks; a socket of another class stays as it is, and blocks."""
    return adopt(request, stamps=stamps) if type(request) is _plain else request
