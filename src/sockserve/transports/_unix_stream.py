"""Connections over Unix stream sockets."""

import os
import socket

import attrs

from .._validators import TEXT, callable_or_none, count, octal
from ..abc import Configure
from ..addresses import RawAddress, UnixAddress, unix_address
from ._stream import StreamListener
from ._unix_path import bind_unix, check_path, check_platform, path_from_text
from ._unix_peer import credentials
from ._unix_rights import Rights, check_group, check_mode, check_owner

__all__ = ("UnixStreamTransport",)


@attrs.frozen
class UnixStreamTransport:
    r"""
    Accept connections at a path, or under an abstract name.

    Args:
        path: Where the socket's file is made; ``"\0name"`` is a name in Linux's abstract namespace, which has
            no file. The file of a server that is gone is replaced; that of a server that lives, or any other
            file, is an error. Our own file is removed when the server closes.
        mode: Permission bits of the file, exactly these, whatever the umask; None leaves 0o777 less the umask. A
            client needs the right to write.
        owner: Whose the file is to be: a user's name or number; None leaves it the process's. Only root may say.
        group: The file's group, by name or number; a process that is not root may name one that it is in.
        backlog: Connections that the kernel queues before they are accepted; SOMAXCONN, the most it allows.
        configure: Called with the socket before it is bound, for options of your own.

    Raises:
        OptionError: A value is wrong; the text says which and what fits.
        CompositionError: The platform has no Unix sockets.
    """

    path: str = attrs.field(converter=check_path, metadata={TEXT: path_from_text})
    mode: int | None = attrs.field(default=None, validator=check_mode, kw_only=True, metadata={TEXT: octal})
    owner: str | int | None = attrs.field(default=None, validator=check_owner, kw_only=True)
    group: str | int | None = attrs.field(default=None, validator=check_group, kw_only=True)
    backlog: int = attrs.field(default=socket.SOMAXCONN, validator=count(0), kw_only=True)
    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_platform(self)

    @property
    def stream(self) -> bool:
        """Yes: requests are connections."""
        return True

    def listen(self) -> StreamListener[UnixAddress]:
        """
        Bind and listen.

        Raises:
            ListenError: The path is in use or not to be had.
        """
        rights = Rights(self.mode, self.owner, self.group)
        sock, remove = bind_unix(self.path, socket.SOCK_STREAM, rights, self.configure, self.backlog)
        sock.setblocking(False)
        return StreamListener(sock, unix_address(sock.getsockname()), stream_peer, cleanup=remove)


def stream_peer(request: socket.socket, raw: RawAddress) -> UnixAddress:
    """Make the client's address: the name it bound, else ``unix:``, with its credentials where there are any."""
    assert raw is None or isinstance(raw, str | bytes)
    pid, uid, gid = credentials(request)
    return UnixAddress(os.fsdecode(raw) if raw else "unix:", pid=pid, uid=uid, gid=gid)
