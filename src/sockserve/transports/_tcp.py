"""Connections over TCP."""

import os
import socket
import sys

import attrs

from .._validators import boolean, callable_or_none, count
from ..abc import Configure
from ..addresses import InetAddress, inet_address
from ..errors import ListenError
from ._inet import bind_inet, check_address, check_reuse_port, inet_peer, reuse_port
from ._stream import StreamListener

__all__ = ("TcpTransport",)


@attrs.frozen
class TcpTransport:
    """
    Accept TCP connections, over IPv4, IPv6 or both.

    Args:
        address: Host and port. The host is an IP address, a name that is resolved once in `listen` (the first
            result is bound), or ``""``: every interface, IPv4 and IPv6 in one socket, IPv4 alone where the system
            has no IPv6. Port 0 takes a free port.
        backlog: Connections that the kernel queues before they are accepted; SOMAXCONN, the most that it allows,
            since a short queue drops bursts of clients.
        reuse_address: Bind although connections of an earlier server linger in TIME_WAIT (SO_REUSEADDR). True:
            else a restart fails for a minute. On Windows, where that option would let two servers share the port,
            the port is claimed for this one alone (SO_EXCLUSIVEADDRUSE).
        reuse_port: Share the port with other sockets that ask for it too (SO_REUSEPORT). False: a second server
            on the port should be an error.
        nodelay: Send small writes at once (TCP_NODELAY). True: else a reply in two writes waits for a delayed
            acknowledgement, some 40 ms.
        keepalive: Let the kernel probe silent peers (SO_KEEPALIVE).
        configure: Called with the socket before it is bound, for options of your own. Accepted connections
            inherit most of them (socket(7), tcp(7)).

    Raises:
        OptionError: A value is wrong; the text says which and what fits.
        CompositionError: The platform lacks what an option asks for.

    Resource handling:
        Opens nothing before `listen`, whose listener the server closes.

    Examples:
        >>> from sockserve import TcpTransport
        >>> TcpTransport(("127.0.0.1", 80)) == TcpTransport(("127.0.0.1", 80), nodelay=True)
        True
        >>> TcpTransport(("127.0.0.1", 80), backlog=-1)
        Traceback (most recent call last):
        sockserve.errors.OptionError: TcpTransport: backlog must be a whole number from 0 to 2147483647, not -1
    """

    address: InetAddress = attrs.field(converter=check_address)
    backlog: int = attrs.field(default=socket.SOMAXCONN, validator=count(0), kw_only=True)
    reuse_address: bool = attrs.field(default=True, validator=boolean, kw_only=True)
    reuse_port: bool = attrs.field(default=False, validator=boolean, kw_only=True)
    nodelay: bool = attrs.field(default=True, validator=boolean, kw_only=True)
    keepalive: bool = attrs.field(default=False, validator=boolean, kw_only=True)
    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_reuse_port(self, self.reuse_port)

    @property
    def stream(self) -> bool:
        """Yes: requests are connections."""
        return True

    def sharing(self, address: object = None, /) -> "TcpTransport":
        """See `sockserve.abc.SharingTransport`: with ``reuse_port``, at the port of *address*."""
        port = address.port if isinstance(address, InetAddress) else self.address.port
        return attrs.evolve(self, address=(self.address.host, port), reuse_port=True)

    def listen(self) -> StreamListener[InetAddress]:
        """
        Resolve, bind and listen.

        Raises:
            ListenError: The name is not known, the address in use or not to be had.
        """
        sock = bind_inet(self.address, socket.SOCK_STREAM, self._prepare, dual=True)
        try:
            sock.listen(self.backlog)
            sock.setblocking(False)
            return StreamListener(
                sock,
                inet_address(sock.getsockname()),
                inet_peer,
                tune=None if _INHERITS else self._tune,
            )
        except OSError as error:
            sock.close()
            raise ListenError.from_os_error(error, self.address) from error

    def _prepare(self, sock: socket.socket) -> None:
        if self.reuse_address:
            sock.setsockopt(socket.SOL_SOCKET, _REUSE_ADDRESS, 1)
        if self.reuse_port:
            reuse_port(sock)
        self._tune(sock)
        if self.configure is not None:
            self.configure(sock)

    def _tune(self, sock: socket.socket) -> None:
        if self.nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


_REUSE_ADDRESS: int = socket.SO_REUSEADDR if os.name == "posix" else getattr(socket, "SO_EXCLUSIVEADDRUSE", 0)

#: Whether accepted connections have the listener's TCP_NODELAY and SO_KEEPALIVE (tcp(7); measured on Linux: two
#: system calls saved for each connection).
_INHERITS = sys.platform == "linux"
