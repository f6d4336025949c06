"""Connections within one machine's memory: no address to be free, no port, no file."""

import errno
import itertools
import json
import os
import socket
import sys
import weakref
from collections.abc import Callable

import attrs

from .._validators import callable_or_none
from ..abc import Configure
from ..addresses import InetAddress
from ..errors import CompositionError, ListenError
from ..transports._stream import StreamArrival

__all__ = ("MEMORY", "MemoryTransport", "connect_memory")

#: The host of every address here. The top-level domain ``test`` is reserved (RFC 6761, 6.2): it is nobody's.
MEMORY = "memory.test"

_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)  # Windows has none

_ports = itertools.count(1)
_listening: "weakref.WeakValueDictionary[int, MemoryListener]" = weakref.WeakValueDictionary()


@attrs.frozen
class MemoryTransport:
    """
    Accept connections that `connect` makes, each a pair of sockets, in this process or one that it has forked.

    In place of `TcpTransport` in tests: there is nothing to be in use or left behind, and a client has whatever
    address the test gives it. Handlers and strategies meet real sockets.

    Args:
        configure: Called with the socket that brings connections, once it is there.

    Raises:
        CompositionError: The platform is not POSIX: sockets cannot be handed over there.
    """

    configure: Configure | None = attrs.field(default=None, validator=callable_or_none, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if sys.platform == "win32":
            raise CompositionError("MemoryTransport: this platform cannot hand sockets over; use TcpTransport")

    @property
    def stream(self) -> bool:
        """Yes: requests are connections."""
        return True

    def listen(self) -> "MemoryListener":
        """
        Be there to be connected to.

        Raises:
            ListenError: There are no descriptors to be had.
        """
        address = InetAddress(MEMORY, next(_ports))
        try:
            receiver, sender = socket.socketpair(_AF_UNIX, _kind())
        except OSError as error:
            raise ListenError.from_os_error(error, address) from error
        receiver.setblocking(False)
        listener = MemoryListener(address, receiver, sender)
        try:
            if self.configure is not None:
                self.configure(receiver)
        except BaseException:
            listener.close()
            raise
        _listening[address.port] = listener
        return listener


def _kind() -> int:
    """Messages that keep their bounds; macOS has them for datagrams alone."""
    return getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM) if sys.platform == "linux" else socket.SOCK_DGRAM


@attrs.define(eq=False)
class MemoryListener:
    """
    Brings connections to a server: each arrives as a message that carries its socket (unix(7), SCM_RIGHTS).

    So the kernel keeps the queue, and a process that was forked shares it.
    """

    address: InetAddress
    _receiver: socket.socket
    _sender: socket.socket

    @property
    def stream(self) -> bool:
        """Yes: arrivals are connections."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that gets readable when somebody has connected."""
        return self._receiver.fileno()

    def accept(self) -> StreamArrival[InetAddress]:
        """Return the next connection; at once."""
        if sys.platform == "win32":
            raise NotImplementedError
        message, fds, _, _ = socket.recv_fds(self._receiver, 1024, 1)
        if not fds:  # the kernel drops what has no room in the table (unix(7), MSG_CTRUNC)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        request = socket.socket(fileno=fds[0])
        request.settimeout(None)  # whatever socket.setdefaulttimeout says
        host, port = json.loads(message)
        return StreamArrival(request, InetAddress(host, port))

    def send(self, sock: socket.socket, client_address: InetAddress) -> None:
        """Hand the server's end of a connection over."""
        if sys.platform == "win32":
            raise NotImplementedError
        socket.send_fds(self._sender, [json.dumps(client_address).encode()], [sock.fileno()])

    def close(self) -> None:
        """Refuse connections from here on. Those that were not accepted end."""
        _listening.pop(self.address.port, None)
        self.close_copy()

    def close_copy(self) -> None:
        """Close this process's descriptors."""
        self._receiver.close()
        self._sender.close()


def connect_memory(
    address: InetAddress,
    client_address: InetAddress | None,
    make: Callable[[int], socket.socket] = lambda fd: socket.socket(fileno=fd),
) -> socket.socket:
    """
    Connect to a `MemoryTransport` that listens at *address*.

    Args:
        address: Of the server.
        client_address: What the handler sees as its client's. None: one that no other has.
        make: Makes the client's socket of its descriptor.

    Raises:
        ConnectionRefusedError: None listens there.
    """
    listener = _listening.get(address.port)
    if listener is None:
        raise ConnectionRefusedError(f"nothing listens at {address}")
    mine, theirs = socket.socketpair()
    with theirs:
        try:
            listener.send(theirs, client_address or InetAddress(MEMORY, next(_ports)))
        except BaseException:
            mine.close()
            raise
    return make(mine.detach())
