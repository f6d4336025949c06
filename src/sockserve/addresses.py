"""The addresses of servers and of their peers, as values."""

import os
import socket
from typing import NamedTuple, Self, TypeAlias

from ._typing import override

__all__ = ("Address", "InetAddress", "UnixAddress")


class InetAddress(NamedTuple):
    """
    A host and a port, for IPv4 and IPv6 alike. As text: ``127.0.0.1:80``, ``[::1]:80``.

    An IPv6 scope stays in the host (``fe80::1%eth0``). An IPv4 client of a listener for both families appears
    as IPv4.

    >>> from sockserve import InetAddress
    >>> address = InetAddress("::1", 80)
    >>> str(address), address.port
    ('[::1]:80', 80)
    >>> address == ("::1", 80)
    True
    """

    host: str
    port: int

    @override
    def __str__(self) -> str:
        """Write it as in a URL (RFC 3986, 3.2.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(str):
    r"""
    The path of a Unix socket; ``"\0name"`` where it is abstract (unix(7)).

    A stream client that has not bound its socket, as almost none does, is ``"unix:"``: never an empty string,
    at which code that logs ``client_address[0]`` breaks. A datagram client that has not bound its socket is
    ``""``, and cannot be answered: `replies` is false.

    Attributes:
        pid: Process id of a stream client, when it connected (``SO_PEERCRED``); None where unknown.
        uid: Its user id; None where unknown.
        gid: Its group id; None where unknown.
    """

    __slots__ = ("gid", "pid", "uid")

    pid: int | None
    uid: int | None
    gid: int | None

    def __new__(
        cls, path: str = "", *, pid: int | None = None, uid: int | None = None, gid: int | None = None
    ) -> Self:
        """Make the address of *path*, with the credentials of the process behind it where they are known."""
        self = super().__new__(cls, path)
        self.pid, self.uid, self.gid = pid, uid, gid
        return self

    @property
    def replies(self) -> bool:
        """Whether a datagram can be sent to this address."""
        return bool(self)

    @property
    def abstract(self) -> bool:
        """Whether the name lives in Linux's abstract namespace rather than in the file system."""
        return self.startswith("\0")


Address: TypeAlias = InetAddress | UnixAddress

#: What the socket module gives for an address: a tuple for IP, a str or bytes for AF_UNIX, None for no name.
RawAddress: TypeAlias = "tuple[str, int] | tuple[str, int, int, int] | str | bytes | None"

_V4_MAPPED = "::ffff:"


def inet_address(raw: tuple[str, int] | tuple[str, int, int, int]) -> InetAddress:
    """Turn the socket module's 2-tuple (IPv4) or 4-tuple (IPv6) into an `InetAddress`."""
    host, port = raw[0], raw[1]
    if len(raw) > 2:  # pragma: no branch - every IPv6 address has four parts
        scope = raw[3]
        if host.startswith(_V4_MAPPED) and "." in host:
            host = host[len(_V4_MAPPED) :]
        elif scope and "%" not in host:
            host = f"{host}%{_scope_name(scope)}"
    return InetAddress(host, port)


def _scope_name(scope: int) -> str:
    try:
        return socket.if_indextoname(scope)
    except OSError:  # the interface has gone since; its number is as good to getaddrinfo
        return str(scope)


def scoped_sockaddr(address: tuple[str, int]) -> tuple[str, int] | tuple[str, int, int, int]:
    """
    Give the form in which the socket module accepts an IPv6 address with a scope.

    Its two-part form loses the scope: ``sin6_scope_id`` is then 0 (socketmodule.c, getsockaddrarg).
    """
    host, percent, scope = address[0].partition("%")
    if not percent:
        return address
    return host, address[1], 0, int(scope) if scope.isdigit() else socket.if_nametoindex(scope)


def unix_address(raw: str | bytes | None) -> UnixAddress:
    """Turn the socket module's str, bytes (abstract) or None (unnamed datagram) into a `UnixAddress`."""
    return UnixAddress(os.fsdecode(raw) if raw else "")
