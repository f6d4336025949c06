"""
The documented handler classes, generic in what they serve and typed.

A handler is anything that can be called with ``(request, client_address, server)``. These classes do their whole
work while they are made, as socketserver's do: ``setup()``, ``handle()``, then ``finish()`` whenever ``setup()``
returned.
"""

import contextlib
import functools
import io
import socket
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, cast

from ._typing import Buffer, TypeVar, override
from .abc import DatagramRequest
from .addresses import Address, InetAddress, UnixAddress, scoped_sockaddr
from .errors import PeerGoneError
from .starttls import start_tls

if TYPE_CHECKING:
    import ssl

    from .server import Server

__all__ = ("BaseRequestHandler", "DatagramRequestHandler", "StreamRequestHandler", "handler_name")

_Socket: TypeAlias = socket.socket  # one of the documented attributes is called socket

# Unparametrised, the base class takes any request, as typeshed's does: a union would make every subclass that
# uses `self.request` narrow it first.
RequestT = TypeVar("RequestT", default=Any)
AddressT = TypeVar("AddressT", default=Address)


class BaseRequestHandler(Generic[RequestT, AddressT]):
    """
    Answer one request; made once for each, and done when it is made.

    Args:
        request: The connected socket, or for datagrams the pair (bytes, socket to answer through). The server
            closes it; the handler may.
        client_address: Whom it came from.
        server: The server that accepted it.
    """

    request: RequestT
    client_address: AddressT
    server: "Server[RequestT, AddressT]"

    #: What such a handler serves: connections (True), datagrams (False), or both (None).
    serves_streams: ClassVar[bool | None] = None

    def __init__(self, request: RequestT, client_address: AddressT, server: "Server[RequestT, AddressT]") -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        try:
            self.setup()
        except BaseException:
            self._release()
            raise
        try:
            self.handle()
        except BaseException:
            with contextlib.suppress(PeerGoneError):  # no departure hides what went wrong
                self.finish()
            raise
        self.finish()

    def setup(self) -> None:
        """Get ready, before `handle`. What it raises ends the request without `finish`."""

    def handle(self) -> None:
        """Do the work of the request."""

    def finish(self) -> None:
        """Clean up, after `handle` whether it returned or raised."""

    def _release(self) -> None:
        """Let go of what a `setup` that failed half-way has opened."""


class StreamRequestHandler(BaseRequestHandler[socket.socket, AddressT]):
    """
    Answer a connection through files: read from ``rfile``, write to ``wfile``.

    Attributes:
        rbufsize: Buffer of ``rfile`` in bytes; -1, the io module's default, makes it a buffered reader.
        wbufsize: Buffer of ``wfile`` in bytes; 0, the default, sends each write at once and whole.
        timeout: Seconds after which a read or write of the connection raises TimeoutError; None waits.
        disable_nagle_algorithm: Set TCP_NODELAY on the connection. `TcpTransport` does already.
    """

    serves_streams: ClassVar[bool | None] = True

    rbufsize: ClassVar[int] = -1
    wbufsize: ClassVar[int] = 0
    timeout: ClassVar[float | None] = None
    disable_nagle_algorithm: ClassVar[bool] = False

    request: socket.socket
    connection: socket.socket
    rfile: io.BufferedIOBase
    wfile: io.BufferedIOBase

    @override
    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``."""
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        if self.disable_nagle_algorithm:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._make_files()

    def _make_files(self) -> None:
        self.rfile = _makefile(self.connection, "rb", self.rbufsize)
        if self.wbufsize == 0:
            self.wfile = _SocketWriter(self.connection)
        else:
            self.wfile = _makefile(self.connection, "wb", self.wbufsize)

    def start_tls(self, context: "ssl.SSLContext") -> "ssl.SSLSocket":
        """
        Go on with TLS (STARTTLS): ``request``, ``connection``, ``rfile`` and ``wfile`` are new ones afterwards.

        What is in ``wfile`` is sent before. What ``rfile`` has read ahead is dropped: it came unencrypted, and
        somebody in between may have put it there.

        Args:
            context: Of the server's side, with a certificate.

        Raises:
            TlsHandshakeError: As `sockserve.start_tls`, whose other errors it has too.
        """
        self.wfile.flush()
        self._release()
        self.request = self.connection = secured = start_tls(self.connection, context)
        self._make_files()
        return secured

    @override
    def finish(self) -> None:
        """Send what is still in ``wfile``, and close both files."""
        if not self.wfile.closed:
            try:
                self.wfile.flush()
            except OSError:
                # The peer went away. `handle` has met the error, or had nothing more to do with the peer.
                pass
        self._release()

    @override
    def _release(self) -> None:
        for name in ("wfile", "rfile"):
            file: io.IOBase | None = self.__dict__.get(name)
            if file is not None:
                _close(file)


def _makefile(sock: socket.socket, mode: Literal["rb", "wb"], buffering: int) -> io.BufferedIOBase:
    """Make a file of *sock*; without a buffer it is a `socket.SocketIO`, which has the same methods."""
    return cast("io.BufferedIOBase", sock.makefile(mode, buffering))


def _close(file: io.IOBase) -> None:
    """Close *file*, whose buffer may hold what can no longer be sent."""
    try:
        file.close()
    except OSError:
        pass  # close() flushes again; it closes all the same (io.BufferedWriter.close)


class _SocketWriter(io.BufferedIOBase):
    """The ``wfile`` without a buffer: `write` sends everything."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        self._sock.sendall(data)
        if type(data) is bytes:
            return len(data)
        with memoryview(data) as view:
            return view.nbytes

    @override
    def fileno(self) -> int:
        return self._sock.fileno()


class DatagramRequestHandler(BaseRequestHandler[DatagramRequest, AddressT]):
    """
    Answer a datagram: ``packet`` is the data and ``rfile`` reads it; what is written to ``wfile`` goes back.

    The reply is one datagram, sent when `handle` is done, also where it raised; nothing written, nothing sent.
    ``socket`` is the listener's own: it is not for the handler to close.
    """

    serves_streams: ClassVar[bool | None] = False

    packet: bytes
    socket: _Socket
    rfile: io.BytesIO
    wfile: io.BytesIO

    @override
    def setup(self) -> None:
        """Make ``packet``, ``socket``, ``rfile`` and ``wfile``."""
        self.packet, self.socket = self.request
        self.rfile = io.BytesIO(self.packet)
        self.wfile = io.BytesIO()

    @override
    def finish(self) -> None:
        """
        Send what was written, if anything was.

        Raises:
            PeerGoneError: The client has no address to send to, or nothing is bound to it any more.
        """
        if reply := self.wfile.getvalue():
            send_reply(self.socket, reply, self.client_address)


def send_reply(sock: socket.socket, reply: bytes, address: object) -> None:
    """Send one datagram to a client, or say in one kind of error that it cannot be reached."""
    if isinstance(address, InetAddress):
        sock.sendto(reply, scoped_sockaddr(address) if "%" in address.host else address)
    elif isinstance(address, UnixAddress):
        _send_unix(sock, reply, address)
    else:  # another transport's own kind of address
        sock.sendto(reply, cast("str", address))


def _send_unix(sock: socket.socket, reply: bytes, address: UnixAddress) -> None:
    if not address.replies:
        raise PeerGoneError("the client has not bound its Unix datagram socket: there is no address to reply to")
    try:
        sock.sendto(reply, address)
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError) as error:
        raise PeerGoneError(f"nothing is bound to {str(address)!r} any more") from error


def unwrap(handler: object) -> object:
    """Look through `functools.partial` at what is called in the end."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler


def handler_name(handler: object) -> str:
    """Give the dotted name of a handler, for people."""
    target = unwrap(handler)
    name = getattr(target, "__qualname__", None)
    return f"{getattr(target, '__module__', '?')}.{name}" if name else repr(target)


#: The standard library's handlers, told by name: nothing has to be imported to compare.
_STDLIB = {
    ("socketserver", "StreamRequestHandler"): True,
    ("socketserver", "DatagramRequestHandler"): False,
}


def serves_streams(handler: object) -> bool | None:
    """Whether *handler* can only serve connections (True), only datagrams (False), or does not say (None)."""
    target = unwrap(handler)
    if not isinstance(target, type):
        return None
    if issubclass(target, BaseRequestHandler):
        return target.serves_streams
    for base in target.__mro__:
        if (kind := _STDLIB.get((base.__module__, base.__qualname__))) is not None:
            return kind
    return None
