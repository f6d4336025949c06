"""The servers of the four kinds of socket."""

import socket
import sys
from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

from .. import socketserver as names
from .._typing import override
from ._base import BaseServer
from ._mistakes import forget_uses, note_use, warn_if_used
from ._types import ClientAddress, InetBindAddress, Request, RequestHandlerFactory, UnixBindAddress

__all__ = ["TCPServer", "UDPServer"]

_Socket: TypeAlias = socket.socket  # one of the documented attributes is called socket


class TCPServer(BaseServer):
    """
    A server for TCP: its socket is bound and listens when it is made.

    Args:
        server_address: Host and port.
        RequestHandlerClass: Called with (request, client address, server) for each request.
        bind_and_activate: Whether to call `server_bind` and `server_activate` now, rather than by hand.

    Attributes:
        address_family: Of the socket.
        socket_type: Of the socket.
        request_queue_size: Clients that the kernel queues.
        allow_reuse_address: Whether `server_bind` sets SO_REUSEADDR.
        allow_reuse_port: Whether `server_bind` sets SO_REUSEPORT.
        socket: What listens. It may be replaced at any time.
        server_address: After `server_bind` what the kernel says.
    """

    # From where programs replace it; and the attribute of that name hides the module here.
    address_family: int = names.socket.AF_INET
    socket_type: int = names.socket.SOCK_STREAM
    request_queue_size: int = 5 if sys.version_info < (3, 15) else names.socket.SOMAXCONN
    allow_reuse_address: bool = False
    allow_reuse_port: bool = False

    socket: _Socket
    # As the standard library's annotations have it.
    server_address: InetBindAddress  # type: ignore[mutable-override]

    def __init__(
        self,
        server_address: InetBindAddress,
        RequestHandlerClass: RequestHandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        # By name: another base class, a thread for instance, may come next.
        BaseServer.__init__(self, server_address, RequestHandlerClass)
        self.socket = names.socket.socket(self.address_family, self.socket_type)
        if bind_and_activate:
            try:
                self.server_bind()
                self.server_activate()
            except BaseException:
                self.server_close()
                raise

    if not TYPE_CHECKING:  # else type checkers would let any attribute be set

        def __setattr__(self, name, value):
            warn_if_used(self, name, value)
            super().__setattr__(name, value)

    def server_bind(self) -> None:
        """Bind the socket to ``server_address``, and replace that by what the kernel says."""
        if self.allow_reuse_address and hasattr(names.socket, "SO_REUSEADDR"):
            self.socket.setsockopt(names.socket.SOL_SOCKET, names.socket.SO_REUSEADDR, 1)
        reuse_port: int | None = getattr(names.socket, "SO_REUSEPORT", None)
        # Newer kernels refuse SO_REUSEPORT for Unix sockets, where it means nothing.
        if self.allow_reuse_port and reuse_port is not None and _is_inet(self.address_family):
            self.socket.setsockopt(names.socket.SOL_SOCKET, reuse_port, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()  # pyright: ignore[reportIncompatibleVariableOverride]
        note_use(self, "server_bind")

    @override
    def server_activate(self) -> None:
        """Let the kernel queue clients."""
        self.socket.listen(self.request_queue_size)
        note_use(self, "server_activate")

    @override
    def server_close(self) -> None:
        """Close the socket."""
        self.socket.close()
        forget_uses(self)

    def fileno(self) -> int:
        """Return the descriptor of the socket, as selectors ask for it."""
        return self.socket.fileno()

    @override
    def get_request(self) -> tuple[_Socket, ClientAddress]:
        """Accept a connection."""
        return self.socket.accept()

    @override
    def shutdown_request(self, request: Request) -> None:
        """Send the end of the stream, whoever else has the connection open, then `close_request`."""
        try:
            cast("_Socket", request).shutdown(names.socket.SHUT_WR)
        except OSError:
            pass  # the client has gone, or the handler has closed it
        self.close_request(request)

    @override
    def close_request(self, request: Request) -> None:
        """Close the connection."""
        cast("_Socket", request).close()


def _is_inet(family: int) -> bool:
    return family in (socket.AF_INET, socket.AF_INET6)


class UDPServer(TCPServer):
    """
    A server for UDP: a request is a datagram and the socket to answer through.

    Attributes:
        max_packet_size: Bytes of a datagram; what is longer is cut.
    """

    allow_reuse_address = False
    allow_reuse_port = False
    socket_type: int = names.socket.SOCK_DGRAM
    max_packet_size: ClassVar[int] = 8192

    @override
    def get_request(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[tuple[bytes, _Socket], ClientAddress]:
        """Receive a datagram."""
        packet, client_address = self.socket.recvfrom(self.max_packet_size)
        return (packet, self.socket), client_address

    @override
    def server_activate(self) -> None:
        """Nothing: a bound socket receives."""

    @override
    def shutdown_request(self, request: Request) -> None:
        """Only `close_request`: there is no connection."""
        self.close_request(request)

    @override
    def close_request(self, request: Request) -> None:
        """Nothing: the socket is the server's."""


if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
    __all__ += ["UnixDatagramServer", "UnixStreamServer"]

    class UnixStreamServer(TCPServer):
        """A server for Unix stream sockets: ``server_address`` is a path."""

        address_family: int = socket.AF_UNIX

        if TYPE_CHECKING:
            server_address: UnixBindAddress  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]

            def __init__(
                self,
                server_address: UnixBindAddress,
                RequestHandlerClass: RequestHandlerFactory,
                bind_and_activate: bool = True,
            ) -> None: ...

    class UnixDatagramServer(UDPServer):
        """A server for Unix datagram sockets: ``server_address`` is a path."""

        address_family: int = socket.AF_UNIX

        if TYPE_CHECKING:
            server_address: UnixBindAddress  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]

            def __init__(
                self,
                server_address: UnixBindAddress,
                RequestHandlerClass: RequestHandlerFactory,
                bind_and_activate: bool = True,
            ) -> None: ...
