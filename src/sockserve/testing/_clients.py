"""Clients of a server under test: what each address is connected to with, and what is said over it."""

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from .._typing import override
from ..addresses import InetAddress, UnixAddress
from ._memory import MEMORY, connect_memory
from ._recorder import FAILSAFE

__all__ = ("Client", "Connect", "connect")

#: Makes a client's socket, connected to the server that listens at this address.
Connect: TypeAlias = Callable[[object], socket.socket]


class ClientSocket(socket.socket):
    """
    Sends its end when it is closed, whoever else has a copy: a handler that was forked has one.

    Args:
        file: What it is bound to in the file system, removed at the end.
    """

    file: str | None = None

    @override
    def close(self) -> None:
        """Send the end, and close."""
        with contextlib.suppress(OSError):  # the server was quicker, or it is no connection
            self.shutdown(socket.SHUT_RDWR)
        super().close()
        if self.file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.file)
            os.rmdir(os.path.dirname(self.file))
            self.file = None


def connect(address: object, *, stream: bool = True, client_address: InetAddress | None = None) -> socket.socket:
    """
    Return a socket that is connected to the server at *address*; who calls closes it.

    It waits for nothing longer than 30 seconds: that is a failure. A server that listens at every interface is
    reached by loopback.

    Args:
        address: A server's ``address``: of TCP, UDP, Unix sockets, or a `MemoryTransport`.
        stream: Whether the server takes connections rather than datagrams.
        client_address: What a handler sees as the client's: of a `MemoryTransport` only.

    Raises:
        OSError: None listens there.
        ValueError: The address is of another kind, or *client_address* cannot be chosen there.
    """
    memory = isinstance(address, InetAddress) and address.host == MEMORY
    if client_address is not None and not memory:
        raise ValueError(f"{address!r} is of a real socket, whose client cannot choose {client_address!r}")
    if isinstance(address, InetAddress):
        if memory:
            sock = connect_memory(address, client_address, lambda fd: ClientSocket(fileno=fd))
            sock.settimeout(FAILSAFE)
            return sock
        return _connected(*_inet(address), stream)
    if isinstance(address, UnixAddress):
        return _connected(int(getattr(socket, "AF_UNIX", -1)), str(address), stream)
    raise ValueError(f"{address!r} is no address that could be connected to here; give a connect() of your own")


def _inet(address: InetAddress) -> tuple[int, tuple[str, int]]:
    host = {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(address.host, address.host)  # noqa: S104
    return int(socket.AF_INET6 if ":" in host else socket.AF_INET), (host, address.port)


def _connected(family: int, target: "str | tuple[str, int]", stream: bool) -> socket.socket:
    sock = ClientSocket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    try:
        if isinstance(target, str) and not stream:
            _bind(sock)
        sock.settimeout(FAILSAFE)
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: ClientSocket) -> None:
    """Give a client of Unix datagrams a name, without which it cannot be answered."""
    if sys.platform == "linux":
        sock.bind("")  # an abstract one that is free (unix(7), autobind)
    else:
        _bind_file(sock)


def _bind_file(sock: ClientSocket) -> None:
    sock.file = os.path.join(tempfile.mkdtemp(prefix="sockserve-"), "client")
    sock.bind(sock.file)


@attrs.define(eq=False)
class Client:
    """
    One client of a server under test. Every wait ends after 30 seconds, as a failure of the test.

    Args:
        sock: Connected; closed by `close`, and by the end of the test.
        stream: Whether it is a connection.
    """

    sock: socket.socket
    stream: bool
    _rest: bytes = attrs.field(init=False, default=b"")

    def __enter__(self) -> Self:
        """Be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def send(self, data: bytes) -> None:
        """Send *data*: all of it, or one datagram."""
        self.sock.sendall(data)

    def end(self) -> None:
        """Say that no more will be sent; answers can still be read. On datagrams: no effect."""
        if self.stream:
            # Of the plain socket: that of TLS would forget its keys, and read no more.
            with contextlib.suppress(OSError):  # the server was quicker
                socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def receive(self, size: int = 65536) -> bytes:
        """Read exactly *size* bytes of a connection, fewer only at its end; or one datagram."""
        if not self.stream:
            return self.sock.recv(65536)
        while len(self._rest) < size and self._more():
            pass
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def readline(self, end: bytes = b"\n") -> bytes:
        """Read up to and with *end*, or what there is before the end of the connection; or one datagram."""
        if not self.stream:
            return self.receive()
        while end not in self._rest and self._more():
            pass
        line, found, rest = self._rest.partition(end)
        self._rest = rest
        return line + found

    def read(self) -> bytes:
        """Read a connection to its end; or one datagram."""
        if not self.stream:
            return self.receive()
        while self._more():
            pass
        found, self._rest = self._rest, b""
        return found

    def ask(self, data: bytes) -> bytes:
        """
        Send *data* and the end, and read all that is answered; or send one datagram and read one.

        A server that answers and closes before it has read all is heard as well.
        """
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send(data)
        self.end()
        return self.read()

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._rest += data
        return bool(data)

    def close(self) -> None:
        """Close the socket. Again: no effect."""
        self.sock.close()
