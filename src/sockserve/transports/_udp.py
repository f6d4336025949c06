"""Datagrams over UDP."""

import socket

import attrs

from .._validators import boolean, callable_or_none, count
from ..abc import Configure
from ..addresses import InetAddress, inet_address
from ._datagram import DatagramListener
from ._inet import bind_inet, check_address, check_reuse_port, datagram_peer, reuse_port

__all__ = ("UdpTransport",)

#: Bytes: the length field of UDP has 16 bits (RFC 768).
MAX_PACKET_SIZE = 65535


@attrs.frozen
class UdpTransport:
    """
    Receive UDP datagrams, over IPv4 or IPv6.

    Args:
        address: Host and port, as for `TcpTransport`, but that ``""`` is IPv4 alone: a socket for both would
            answer IPv4 clients from addresses that some of them do not recognise.
        max_packet_size: Bytes of a datagram; a longer one is dropped with an event, never cut. 65535, all that
            UDP allows.
        reuse_port: Share the port with other sockets that ask for it too (SO_REUSEPORT); the kernel then spreads
            clients over them.
        configure: Called with the socket before it is bound: buffer sizes, multicast, SO_REUSEADDR.

    Raises:
        OptionError: A value is wrong; the text says which and what fits.
        CompositionError: The platform lacks what an option asks for.
    """

    address: InetAddress = attrs.field(converter=check_address)
    max_packet_size: int = attrs.field(default=MAX_PACKET_SIZE, validator=count(1, MAX_PACKET_SIZE), kw_only=True)
    reuse_port: bool = attrs.field(default=False, validator=boolean, kw_only=True)
    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_reuse_port(self, self.reuse_port)

    @property
    def stream(self) -> bool:
        """No: requests are datagrams."""
        return False

    def sharing(self, address: object = None, /) -> "UdpTransport":
        """See `sockserve.abc.SharingTransport`: with ``reuse_port``, at the port of *address*."""
        port = address.port if isinstance(address, InetAddress) else self.address.port
        return attrs.evolve(self, address=(self.address.host, port), reuse_port=True)

    def listen(self) -> DatagramListener[InetAddress]:
        """
        Resolve and bind.

        Raises:
            ListenError: The name is not known, the address in use or not to be had.
        """
        sock = bind_inet(self.address, socket.SOCK_DGRAM, self._prepare, dual=False)
        return DatagramListener(sock, inet_address(sock.getsockname()), datagram_peer(sock), self.max_packet_size)

    def _prepare(self, sock: socket.socket) -> None:
        if self.reuse_port:
            reuse_port(sock)
        if self.configure is not None:
            self.configure(sock)
