"""What all stream transports share: an accepted connection, and the listener that accepts it."""

import errno
import functools
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard, TypeVar, cast

import attrs

from .._pulse import WatchedSocket, pulsed, watched
from .._traffic import exchanged
from .._typing import override
from ..abc import Arrival, Patience
from ..addresses import RawAddress
from ._listener import SocketListener
from ._ready import readable

if TYPE_CHECKING:
    import ssl

__all__ = ("StreamArrival", "StreamListener")

A = TypeVar("A")


class StreamArrival(Arrival[socket.socket, A]):
    """
    An accepted connection.

    Resource handling:
        `finish` or `disown` closes the socket; a handler that closes or detaches it earlier does no harm.
    """

    #: The slots are filled where a handshake or a proxy's header has come in, and where the input has been ended:
    #: most need neither.
    __slots__ = ("_greeted", "_input_ended")

    request: socket.socket

    @property
    @override
    def stream(self) -> bool:
        """Yes: there is something to shut and close."""
        return True

    @override
    def replace(self, request: object, /) -> None:
        """Serve *request* in place of the accepted socket."""
        if not isinstance(request, socket.socket):
            raise TypeError(f"a connection is replaced by a socket, not by {request!r}")
        self.request = request

    @override
    def open(self) -> socket.socket:
        """Return the socket; one with a pulse where that is needed, and the listener has not made such a one."""
        if type(self.request) is _PlainSocket and self._has_idle_deadline():
            self.request = watched(self.request)
            self._shut_again()
        return self.request

    def _has_idle_deadline(self) -> bool:
        serving = getattr(self, "serving", None)  # None: it is nobody's, in a test of a listener
        return serving is not None and serving.deadlines.idle is not None

    @override
    def start_tls(self, context: "ssl.SSLContext", patience: Patience | None = None) -> "ssl.SSLSocket":
        """Go on with TLS over the connection, and serve the result in its place."""
        if _is_tls(self.request):
            return super().start_tls(context)
        from .._securing import secure, shake_hands  # noqa: PLC0415 - loads ssl, which only who has a context has

        self.request = secured = secure(self.request, context, self.client_address)
        self._shut_again()
        shake_hands(secured, patience or Patience.of(self.serving.deadlines.handshake), self.client_address)
        if patience is None:  # in the middle of a request: else it is greeted when all has been opened
            self.greet()
        return secured

    @property
    @override
    def greeted(self) -> tuple[int, int] | None:
        """See `Arrival.greeted`."""
        found: tuple[int, int] | None = getattr(self, "_greeted", None)
        return found or super().greeted

    @override
    def greet(self) -> None:
        """See `Arrival.greet`."""
        self._greeted = exchanged(self.request)

    def _shut_again(self) -> None:
        """Who wanted an end of it while one object gave way to the other has spoken to the old one."""
        if self.aborted:
            self._shut(socket.SHUT_RDWR)
        elif hasattr(self, "_input_ended"):
            self._shut(socket.SHUT_RD)

    @override
    def finish(self) -> None:
        """Send the end of the stream, whoever else has a copy of the socket, and close this one."""
        if _is_tls(self.request) and not self.aborted:
            from .._securing import say_goodbye  # noqa: PLC0415 - loaded already

            say_goodbye(self.request)
        try:
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # reset by the peer, or closed or detached by the handler
        try:
            self.request.close()
        except OSError:
            pass  # the handler has closed its descriptor by number

    @override
    def release(self) -> None:
        """Close this process's copy; the connection goes on in the other."""
        self.request.close()

    @override
    def end_input(self) -> None:
        """Shut the reading side: a read that waits returns the end of the stream."""
        self._input_ended = True
        self._shut(socket.SHUT_RD)

    @override
    def abort(self) -> None:
        """Shut both sides: reads return the end of the stream, writes raise BrokenPipeError."""
        self.aborted = True  # what the handler meets now is our doing, not its fault
        self._shut(socket.SHUT_RDWR)

    @property
    @override
    def told_to_end(self) -> bool:
        """Whether the server has shut it, or its reading side."""
        return self.aborted or hasattr(self, "_input_ended")

    def _shut(self, how: int) -> None:
        # The plain method on the object, never a bare number: a number could be another client's by now, and
        # subclasses (TLS) do more than shut.
        try:
            socket.socket.shutdown(self.request, how)
        except OSError:
            pass  # it has ended meanwhile

    @override
    def peer_gone(self, error: BaseException, /) -> bool:
        """
        Whether *error* is of the kind that a lost peer causes, and this connection has really lost its own.

        A handler that talks to others can meet the same errors there: that is not for us to hide.
        """
        if not isinstance(error, ConnectionError | TimeoutError):
            return "ssl" in sys.modules and self._tls_failed(error)
        return self.aborted or self._lost()

    def _lost(self) -> bool:
        return self._disconnected() if self.request.family in _INET else self._hung_up()

    def _tls_failed(self, error: BaseException) -> bool:
        """
        Whether *error* is one of TLS, and this connection's own has come to an end.

        Where the peer has said goodbye before it was lost, OpenSSL calls a failed write an end, not an error.
        """
        import ssl  # noqa: PLC0415 - loaded already

        from .._securing import failed  # noqa: PLC0415 - loaded already

        if not isinstance(error, ssl.SSLError) or not isinstance(self.request, ssl.SSLSocket):
            return False
        if self.aborted or failed(self.request):
            return True
        return isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError) and self._lost()

    def _disconnected(self) -> bool:
        try:
            self.request.getpeername()
        except OSError as error:
            return self.request.fileno() >= 0 and error.errno in _NOT_CONNECTED
        return False

    def _hung_up(self) -> bool:
        """Ask poll(2): a Unix socket still knows the name of a peer that has gone (measured, Linux 6)."""
        if sys.platform == "win32":
            raise NotImplementedError
        if self.request.fileno() < 0:
            return False
        poller = select.poll()
        poller.register(self.request, 0)
        return bool(poller.poll(0))


def _is_tls(request: socket.socket) -> "TypeGuard[ssl.SSLSocket]":
    """Whether *request* is secured. Plain ones, which most are, are told by one look."""
    kind = type(request)
    if kind is _PlainSocket or kind is WatchedSocket:
        return False
    loaded = sys.modules.get("ssl")
    return loaded is not None and isinstance(request, loaded.SSLSocket)


_INET = (socket.AF_INET, socket.AF_INET6)
#: getpeername(2): ENOTCONN; macOS says EINVAL of a connection that was reset.
_NOT_CONNECTED = (errno.ENOTCONN, errno.EINVAL)


#: Whether a socket from accept(2) blocks whatever its listener does (accept(2): "on Linux, the new socket does not
#: inherit file status flags such as O_NONBLOCK"; the BSDs' does).
_BLOCKS = sys.platform == "linux"


#: The class that this module was imported with: programs put others in its place (gevent, tests).
_PlainSocket = socket.socket


def _shortcuts(sock: socket.socket) -> tuple[Callable[[], tuple[int, RawAddress]], Callable[[], None]]:
    """
    Give what accepts a bare descriptor, and what closes the socket's own.

    `socket.socket.accept` turns the listener's family and kind into enum members for each connection, which costs
    more than the system call; its `close` is three functions, of which a forked child pays for each. What they
    call are methods of the C type beneath (CPython's socket.py, PyPy's too), without public names. Sockets of
    another class, which may do more, get their own.
    """
    if type(sock) is _PlainSocket:
        beneath = cast("socket.socket", super(_PlainSocket, sock))
        accept: Callable[[], tuple[int, RawAddress]] | None = getattr(beneath, "_accept", None)
        if accept is not None:
            return accept, beneath.close
    return functools.partial(_accept_public, sock), sock.close


def _accept_public(sock: socket.socket) -> tuple[int, RawAddress]:
    request, raw = sock.accept()
    return request.detach(), cast("RawAddress", raw)


@attrs.define(eq=False)
class StreamListener(SocketListener[A]):
    """
    A listening socket.

    Args:
        peer: Makes the client's address from the accepted socket and what accept(2) gave.
        tune: Called with every accepted socket, for options that it does not inherit here.
        poll: Ask whether something has arrived before each accept. For sockets whose O_NONBLOCK flag is not ours
            to set.
    """

    peer: Callable[[socket.socket, RawAddress], A]
    tune: Callable[[socket.socket], None] | None = None
    poll: bool = False
    #: Close a forked child's copy of the descriptor, and nothing else: what is in the file system is the parent's.
    close_copy: Callable[[], None] = attrs.field(init=False)
    _accept: Callable[[], tuple[int, RawAddress]] = attrs.field(init=False)
    _make: Callable[[int, int, int, int], socket.socket] | None = attrs.field(init=False, default=None)
    _family: int = attrs.field(init=False)
    _type: int = attrs.field(init=False)
    _proto: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._accept, self.close_copy = _shortcuts(self.sock)
        self._family, self._type, self._proto = int(self.sock.family), int(self.sock.type), self.sock.proto

    @property
    def stream(self) -> bool:
        """Yes: arrivals are connections."""
        return True

    def watch_arrivals(self) -> None:
        """See `sockserve.abc.PulseListener`."""
        self._make = pulsed(self.sock)

    def accept(self) -> StreamArrival[A]:
        """Accept one connection; its socket blocks, whatever the listener and `socket.setdefaulttimeout` say."""
        if self.poll and not readable(self.sock):
            raise BlockingIOError
        fd, raw = self._accept()
        try:
            # Looked up now: programs put another class there.
            request = (self._make or socket.socket)(self._family, self._type, self._proto, fd)
        except BaseException:
            socket.close(fd)
            raise
        try:
            if not _BLOCKS or request.gettimeout() is not None:
                request.settimeout(None)
            if self.tune is not None:
                self.tune(request)
            return StreamArrival(request, self.peer(request, raw))
        except OSError as error:
            # It was reset meanwhile: macOS answers setsockopt(2) with EINVAL then, which would condemn a listener.
            request.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, f"it was gone at once: {error}") from error
        except BaseException:
            request.close()
            raise
