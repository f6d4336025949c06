"""The documented handler classes, exactly as programs know them: `sockserve.handlers` has better ones."""

import io
import socket
from typing import Any, ClassVar, TypeAlias, cast

from .. import socketserver as names
from .._typing import override
from ._base import BaseServer
from ._types import ClientAddress

__all__ = ("BaseRequestHandler", "DatagramRequestHandler", "StreamRequestHandler")

_Socket: TypeAlias = socket.socket  # one of the documented attributes is called socket


class BaseRequestHandler:
    """
    Answer one request; made once for each, and done when it is made.

    Args:
        request: The connection, or the pair (bytes, socket to answer through).
        client_address: Whom it came from.
        server: The server.
    """

    request: Any
    client_address: ClientAddress
    server: BaseServer

    def __init__(self, request: Any, client_address: ClientAddress, server: BaseServer) -> None:
        self.request, self.client_address, self.server = request, client_address, server
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()

    def setup(self) -> None:
        """Get ready, before `handle`. What it raises ends the request, without `finish`."""

    def handle(self) -> None:
        """Do the work of the request."""

    def finish(self) -> None:
        """Clean up, after `handle` whether it returned or raised."""


class StreamRequestHandler(BaseRequestHandler):
    """
    Answer a connection through files: read from ``rfile``, write to ``wfile``.

    Attributes:
        rbufsize: Buffer of ``rfile`` in bytes; -1 is the io module's default.
        wbufsize: Buffer of ``wfile`` in bytes; 0 sends each write at once and whole.
        timeout: Seconds after which a read or write raises; None waits.
        disable_nagle_algorithm: Set TCP_NODELAY on the connection.
    """

    rbufsize: ClassVar[int] = -1
    wbufsize: ClassVar[int] = 0
    timeout: ClassVar[float | None] = None
    disable_nagle_algorithm: ClassVar[bool] = False

    connection: Any
    rfile: io.BufferedIOBase
    wfile: io.BufferedIOBase

    @override
    def setup(self) -> None:
        """Make ``connection``, ``rfile`` and ``wfile``."""
        self.connection = connection = self.request
        if self.timeout is not None:
            connection.settimeout(self.timeout)
        if self.disable_nagle_algorithm:
            connection.setsockopt(names.socket.IPPROTO_TCP, names.socket.TCP_NODELAY, True)
        self.rfile = connection.makefile("rb", self.rbufsize)
        if self.wbufsize == 0:
            self.wfile = names._SocketWriter(connection)
        else:
            self.wfile = connection.makefile("wb", self.wbufsize)

    @override
    def finish(self) -> None:
        """Send what is still in ``wfile``, and close both files."""
        if not self.wfile.closed:
            try:
                self.wfile.flush()
            except OSError:
                pass  # the client has gone: `handle` has met it, or has nothing more to do with it
        self.wfile.close()
        self.rfile.close()


class DatagramRequestHandler(BaseRequestHandler):
    """
    Answer a datagram: ``packet`` is the data and ``rfile`` reads it; what is written to ``wfile`` goes back.

    The reply is one datagram, and always sent: an empty one where nothing was written.
    """

    packet: bytes
    socket: _Socket
    rfile: io.BufferedIOBase
    wfile: io.BufferedIOBase

    @override
    def setup(self) -> None:
        """Make ``packet``, ``socket``, ``rfile`` and ``wfile``."""
        self.packet, self.socket = self.request
        self.rfile = io.BytesIO(self.packet)
        self.wfile = io.BytesIO()  # a program may put another file here

    @override
    def finish(self) -> None:
        """Send the reply."""
        self.socket.sendto(cast("io.BytesIO", self.wfile).getvalue(), self.client_address)
