"""Datagrams over Unix sockets."""

import socket

import attrs

from .._validators import TEXT, callable_or_none, count, octal
from ..abc import Configure
from ..addresses import RawAddress, UnixAddress, unix_address
from ._datagram import DatagramListener
from ._udp import MAX_PACKET_SIZE
from ._unix_path import bind_unix, check_path, check_platform, path_from_text
from ._unix_rights import Rights, check_group, check_mode, check_owner

__all__ = ("UnixDatagramTransport",)


@attrs.frozen
class UnixDatagramTransport:
    """
    Receive datagrams at a path, or under an abstract name.

    A client is answered where it has bound a name of its own; one that has not is ``UnixAddress("")``.

    Args:
        path: As for `UnixStreamTransport`.
        mode: Permission bits of the file, exactly these, whatever the umask; None leaves 0o777 less the umask. A
            client needs the right to write.
        owner: Whose the file is to be: a user's name or number; None leaves it the process's. Only root may say.
        group: The file's group, by name or number; a process that is not root may name one that it is in.
        max_packet_size: Bytes of a datagram; a longer one is dropped with an event, never cut. 65535, as for
            `UdpTransport`; the kernel's own bound is the sender's SO_SNDBUF.
        configure: Called with the socket before it is bound: buffer sizes, for instance.

    Raises:
        OptionError: A value is wrong; the text says which and what fits.
        CompositionError: The platform has no Unix sockets.
    """

    path: str = attrs.field(converter=check_path, metadata={TEXT: path_from_text})
    mode: int | None = attrs.field(default=None, validator=check_mode, kw_only=True, metadata={TEXT: octal})
    owner: str | int | None = attrs.field(default=None, validator=check_owner, kw_only=True)
    group: str | int | None = attrs.field(default=None, validator=check_group, kw_only=True)
    max_packet_size: int = attrs.field(default=MAX_PACKET_SIZE, validator=count(1), kw_only=True)
    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_platform(self)

    @property
    def stream(self) -> bool:
        """No: requests are datagrams."""
        return False

    def listen(self) -> DatagramListener[UnixAddress]:
        """
        Bind.

        Raises:
            ListenError: The path is in use or not to be had.
        """
        rights = Rights(self.mode, self.owner, self.group)
        sock, remove = bind_unix(self.path, socket.SOCK_DGRAM, rights, self.configure)
        address = unix_address(sock.getsockname())
        return DatagramListener(sock, address, datagram_peer, self.max_packet_size, cleanup=remove)


def datagram_peer(raw: RawAddress) -> UnixAddress:
    """Make the client's address of a received datagram."""
    assert raw is None or isinstance(raw, str | bytes)
    return unix_address(raw)
