"""A socket that somebody else has opened: systemd, a parent process, a test."""

import errno
import os
import socket
import sys
from typing import Any, TypeAlias

import attrs

from .._validators import callable_or_none
from ..abc import Configure, Listener
from ..addresses import InetAddress, inet_address, unix_address
from ..errors import CompositionError, ListenError, OptionError, OptionTypeError
from ._datagram import DatagramListener
from ._inet import datagram_peer, inet_peer
from ._stream import StreamListener
from ._udp import MAX_PACKET_SIZE
from ._unix_datagram import datagram_peer as unix_peer
from ._unix_stream import stream_peer

__all__ = ("AdoptedTransport",)

#: Which kind of request and of address comes is known at run time only.
_AnyListener: TypeAlias = Listener[Any, Any]  # type: ignore[explicit-any]  # see above


@attrs.frozen
class AdoptedTransport:
    """
    Serve an open socket: a listening one, or a bound one for datagrams.

    Which it is, and its family, are read from it when this object is made. A datagram may have
    65535 bytes.

    Args:
        sock_or_fd: A socket object stays the caller's, who closes it after the server (the server works on a
            duplicate of its descriptor). A descriptor becomes ours: the server closes it, and this object can be
            listened at once only.
        configure: Called with the socket when it is taken over, for options of your own; it is bound by then.

    Raises:
        OptionTypeError: It is neither a socket nor a descriptor.
        OptionError: The descriptor is not an open socket.
        CompositionError: The socket does not listen, is not bound, or is of a family or kind that cannot be
            served.

    Resource handling:
        A socket's file is never removed, and its O_NONBLOCK flag, which other processes share, not changed. On a
        listening socket that blocks, each accept is preceded by a poll(2); still, a process that shares it may
        take the client in between, and the accept then waits for the next. Set it non-blocking to be safe.
    """

    sock_or_fd: socket.socket | int = attrs.field()
    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)
    _stream: bool = attrs.field(init=False, eq=False, repr=False)
    # Not empty once a descriptor is somebody's: its number, closed twice, could be another's by then.
    _taken: list[bool] = attrs.field(init=False, eq=False, repr=False, factory=list)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_stream", _check(self.sock_or_fd))

    @property
    def stream(self) -> bool:
        """Whether requests are connections: read from the socket."""
        return self._stream

    def listen(self) -> _AnyListener:
        """
        Take the socket over.

        Raises:
            ListenError: It has been closed since, or another server has taken the descriptor.
        """
        sock = self._take()
        try:
            self._check_again(sock)
        except (CompositionError, OSError) as error:
            self._give_back(sock)
            raise ListenError(errno.EBADF, self.sock_or_fd, f"it is another socket by now ({error})") from error
        try:
            if self.configure is not None:
                self.configure(sock)
            return _stream_listener(sock) if self._stream else _datagram_listener(sock)
        except BaseException as error:
            self._give_back(sock)
            if isinstance(error, OSError):
                raise ListenError.from_os_error(error, self.sock_or_fd) from error
            raise

    def _take(self) -> socket.socket:
        if self._taken:
            what = "another server has taken this descriptor; give each its own (os.dup)"
            raise ListenError(errno.EBUSY, self.sock_or_fd, what)
        try:
            if isinstance(self.sock_or_fd, socket.socket):
                return _duplicate(self.sock_or_fd)
            sock = _wrap(self.sock_or_fd)
        except OSError as error:
            raise ListenError.from_os_error(error, self.sock_or_fd) from error
        self._taken.append(True)
        return sock

    def _check_again(self, sock: socket.socket) -> None:
        if _kind(sock) != self._stream:
            raise CompositionError(f"{sock!r} is of another kind")

    def _give_back(self, sock: socket.socket) -> None:
        """Undo `_take`: a duplicate is closed, a descriptor stays its owner's."""
        if isinstance(self.sock_or_fd, socket.socket):
            sock.close()
        else:
            sock.detach()
            self._taken.clear()


def _check(given: object) -> bool:
    """Whether *given* is a listening stream socket (True) or a bound datagram socket (False)."""
    if isinstance(given, socket.socket):
        if given.fileno() < 0:
            raise OptionError(f"AdoptedTransport: {given!r} is closed")
        return _kind(given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise OptionTypeError(f"AdoptedTransport takes a socket or a file descriptor, not {given!r}")
    try:
        sock = _wrap(given)
    except (OSError, ValueError) as error:
        raise OptionError(f"AdoptedTransport: descriptor {given} is not an open socket ({error})") from error
    try:
        return _kind(sock)
    finally:
        sock.detach()


def _wrap(fd: int) -> socket.socket:
    """Make a socket object of *fd*, its O_NONBLOCK flag as it was: `socket.setdefaulttimeout` would set it."""
    blocking = _blocking(fd)
    sock = socket.socket(fileno=fd)
    if sock.gettimeout() is not None:
        sock.setblocking(blocking)
    return sock


def _duplicate(sock: socket.socket) -> socket.socket:
    fd = os.dup(sock.fileno())
    try:
        return _wrap(fd)
    except BaseException:
        os.close(fd)
        raise


def _blocking(fd: int) -> bool:
    if sys.platform == "win32":
        return True  # unknown there
    else:  # noqa: RET505 - else mypy calls it unreachable on Windows
        return os.get_blocking(fd)


def _kind(sock: socket.socket) -> bool:
    unix = getattr(socket, "AF_UNIX", None)
    if sock.family not in {socket.AF_INET, socket.AF_INET6, unix}:
        raise CompositionError(f"AdoptedTransport: {sock!r} is of a family that cannot be served; IP and Unix can")
    if sock.type == socket.SOCK_STREAM:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise CompositionError(f"AdoptedTransport: {sock!r} does not listen; call its listen() first")
        return True
    if sock.type != socket.SOCK_DGRAM:
        raise CompositionError(f"AdoptedTransport: {sock!r} is neither a stream nor a datagram socket")
    name = sock.getsockname()
    if not (name[1] if isinstance(name, tuple) else name):
        raise CompositionError(f"AdoptedTransport: {sock!r} is not bound; call its bind() first")
    return False


def _stream_listener(sock: socket.socket) -> _AnyListener:
    poll = _blocking(sock.fileno())
    if sock.family in _INET:
        return StreamListener[InetAddress](sock, inet_address(sock.getsockname()), inet_peer, poll=poll)
    return StreamListener(sock, unix_address(sock.getsockname()), stream_peer, poll=poll)


def _datagram_listener(sock: socket.socket) -> _AnyListener:
    if sock.family in _INET:
        return DatagramListener[InetAddress](sock, inet_address(sock.getsockname()), datagram_peer(sock), _MOST)
    return DatagramListener(sock, unix_address(sock.getsockname()), unix_peer, _MOST)


_INET = (socket.AF_INET, socket.AF_INET6)
_MOST = MAX_PACKET_SIZE
