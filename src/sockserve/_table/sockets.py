"""A socket whose calls park the row that makes them, where a plain one would block its thread."""

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeAlias, TypeVar, cast

from .._typing import Buffer, override
from .receiving import MSG_DONTWAIT, NEVER_WAITS, receive, receive_into
from .sending import SendableFile, send_file
from .sleeping import sleep
from .watch import SHARE, Watch, would_block

__all__ = ("CooperativeSocket", "adopt", "adopt_request")

T = TypeVar("T")

_plain = socket.socket
_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it


class CooperativeSocket(socket.socket):
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

    __slots__ = ("_patience", "_watch")

    def __init__(
        self,
        family: int = -1,
        type: int = -1,  # noqa: A002 - the base's
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._patience: float | None = _plain.gettimeout(self)
        _plain.setblocking(self, False)
        self._watch = Watch(stream=_is_tcp(self))

    # How long to wait.

    @override
    def settimeout(self, value: float | None, /) -> None:
        """Let calls raise TimeoutError after so many seconds; 0: BlockingIOError at once; None: wait."""
        if value is not None:
            value = float(value)
            if not value >= 0.0:
                raise ValueError("Timeout value out of range")
            if value == 0.0:
                # Whoever polls a socket for himself is told what the system says, always.
                self._watch.short = False
                self._watch.tries = SHARE
        self._patience = value

    @override
    def gettimeout(self) -> float | None:
        """Return the seconds after which calls time out."""
        return self._patience

    @property
    @override
    def timeout(self) -> float | None:
        """The seconds after which calls time out."""
        return self._patience

    @override
    def setblocking(self, flag: bool, /) -> None:
        """Wait without a limit, or not at all."""
        self.settimeout(None if flag else 0.0)

    @override
    def getblocking(self) -> bool:
        """Whether calls wait at all."""
        return self._patience != 0.0

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
        room = nbytes or _size(buffer)
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

    def when_readable(self, attempt: Callable[[], T], flags: int = 0) -> T:
        """Make *attempt*, with its *flags*, until it has something to read."""
        if flags & NEVER_WAITS:
            return attempt()
        watch = self._watch
        deadline: float | None = None
        while True:
            if watch.tries > 0:
                try:
                    found = attempt()
                except BlockingIOError:
                    watch.tries = 0
                else:
                    watch.tries = watch.tries - 1 or -1
                    return found
            deadline = watch.wait_readable(self, self._patience, deadline)

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
                deadline = self._watch.wait_writable(self, self._patience, deadline)
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

    def when_writable(self, attempt: Callable[[], T], flags: int = 0) -> T:
        """Make *attempt*, with its *flags*, until there is room."""
        if flags & MSG_DONTWAIT:
            return attempt()
        watch = self._watch
        watch.sends -= 1
        if watch.sends < 0:
            watch.has_sent_its_share(self._patience)
        deadline: float | None = None
        while True:
            try:
                return attempt()
            except BlockingIOError:
                deadline = watch.wait_writable(self, self._patience, deadline)

    @override
    def sendfile(self, file: SendableFile, offset: int = 0, count: int | None = None) -> int:
        """See `socket.socket.sendfile`."""
        return send_file(self, file, offset, count)

    # Connecting.

    @override
    def connect(self, address: _Address, /) -> None:
        """See `socket.socket.connect`."""
        number = self._connect(address)
        if number:
            raise OSError(number, os.strerror(number))

    @override
    def connect_ex(self, address: _Address, /) -> int:
        """See `socket.socket.connect_ex`."""
        try:
            return self._connect(address)
        except TimeoutError:
            return errno.EAGAIN  # as the plain one says

    def _connect(self, address: _Address) -> int:
        number = _plain.connect_ex(self, address)
        if number == 0 or self._patience == 0.0:
            return number
        if number == errno.EAGAIN:
            # A Unix socket, whose server's queue is full: nothing tells when there is room.
            return self._connect_later(address)
        if number not in _IN_PROGRESS:
            return number
        deadline: float | None = None
        while True:
            deadline = self._watch.wait_writable(self, self._patience, deadline)
            number = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number or self._is_connected():
                return number

    def _is_connected(self) -> bool:
        try:
            self.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            return False
        return True

    def _connect_later(self, address: _Address) -> int:
        until = None if self._patience is None else time.monotonic() + self._patience
        pause = _PAUSE
        while until is None or time.monotonic() + pause < until:
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            number = _plain.connect_ex(self, address)
            if number != errno.EAGAIN:
                return number
        return errno.EAGAIN

    # Its end.

    @override
    def detach(self) -> int:
        """See `socket.socket.detach`; the descriptor blocks, unless the socket did not."""
        self._watch.end()
        if self.fileno() >= 0 and self._patience is None:
            _plain.setblocking(self, True)
        return super().detach()

    def _real_close(self) -> None:
        """Close the descriptor: what `close` calls when no file of the socket is open any more."""
        self._watch.end()
        super()._real_close()  # type: ignore[misc]  # typeshed knows only the public ones

    def __del__(self) -> None:
        """Leave the loop also where nobody has closed it: its number will be another's."""
        watch: Watch | None = getattr(self, "_watch", None)
        if watch is not None and watch.loop is not None:
            watch.end()
        super().__del__()  # type: ignore[misc]  # the C type's, which closes it with a ResourceWarning

    @contextlib.contextmanager
    def blocking(self) -> Iterator[Self]:
        """
        Let the descriptor itself block during a ``with`` block: lend it to a process that expects that.

        O_NONBLOCK belongs to the open file, which a child shares. Calls of this socket block the table meanwhile.
        """
        self._watch.end()
        _plain.setblocking(self, True)
        try:
            yield self
        finally:
            if self.fileno() >= 0:
                _plain.setblocking(self, False)


_recv = socket.socket.recv
_recv_into = socket.socket.recv_into
_send = socket.socket.send

#: connect(2). On Windows it is WSAEWOULDBLOCK.
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS))
#: Seconds between two tries to connect to a Unix socket, at first, and at most.
_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
_INET = (socket.AF_INET, socket.AF_INET6)
_TCP = (0, socket.IPPROTO_TCP)  # SCTP's are streams too, and read one message at a time


def _size(buffer: Buffer) -> int:
    if isinstance(buffer, memoryview):
        return buffer.nbytes
    with memoryview(buffer) as view:
        return view.nbytes


def _beneath(sock: socket.socket) -> socket.socket:
    """Give the C type's view, whose family and type are plain numbers: enum members cost more than a call."""
    return cast("socket.socket", super(_plain, sock))


def _is_tcp(sock: socket.socket) -> bool:
    beneath = _beneath(sock)
    return beneath.type == socket.SOCK_STREAM and beneath.family in _INET and beneath.proto in _TCP


def adopt(sock: socket.socket) -> CooperativeSocket:
    """
    Turn a socket into one that parks; the old object has lost its descriptor.

    Raises:
        TypeError: It is of another class, which may do more than a socket: encrypt, for instance.
    """
    if isinstance(sock, CooperativeSocket):
        return sock
    if type(sock) is not _plain:
        raise TypeError(f"only a plain socket.socket can park, not {sock!r}")
    beneath = _beneath(sock)
    family, kind, proto, patience = beneath.family, beneath.type, sock.proto, sock.gettimeout()
    fd = sock.detach()
    try:
        made = CooperativeSocket(family, kind, proto, fd)
    except BaseException:
        socket.close(fd)
        raise
    made._patience = patience
    return made


def adopt_request(request: object) -> object:
    """Turn an accepted connection into one that parks; a socket of another class stays as it is, and blocks."""
    return adopt(request) if type(request) is _plain else request
