"""IP addresses: checking them early, resolving them once, binding."""

import errno
import functools
import ipaddress
import re
import socket
import sys
from collections.abc import Callable
from typing import cast

from .._validators import fail, fail_type
from ..addresses import InetAddress, RawAddress, inet_address
from ..errors import CompositionError, ListenError

__all__ = ("bind_inet", "check_address", "check_reuse_port", "datagram_peer", "inet_peer", "reuse_port")

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_NAME_LENGTH = 253  # RFC 1035, 2.3.4, less the root's dot and length octet


def check_address(address: tuple[str, int]) -> InetAddress:
    """
    Turn ``(host, port)`` into an `InetAddress`, or say what is wrong with it.

    Raises:
        OptionTypeError: It is not a pair of a str and an int.
        OptionError: The port is out of range, or the host neither an IP address nor a name.
    """
    pair: object = address  # what a type checker has not seen may be anything
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise fail_type("address", "it", pair, "a pair (host, port) such as ('127.0.0.1', 8000)")
    host, port = pair
    if not isinstance(host, str):
        raise fail_type("address", "the host", host, "a str; '' stands for every interface")
    if not isinstance(port, int) or isinstance(port, bool):
        raise fail_type("address", "the port", port, "a whole number; 0 takes a free port")
    if not 0 <= port <= 65535:
        raise fail("address", "the port", port, "from 0 to 65535; 0 takes a free port")
    if not _is_host(host):
        raise fail("address", "the host", host, "an IP address, a host name, or '' for every interface")
    return InetAddress(host, port)


def _is_host(host: str) -> bool:
    if host == "":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _is_name(host)
    return True


def _is_name(host: str) -> bool:
    try:
        name = host.encode("idna").decode().removesuffix(".")
    except UnicodeError:
        return False
    labels = name.split(".")
    if labels[-1].isdigit():  # all that ends in a number is meant as an IPv4 address, and this one is none
        return False
    return len(name) <= _NAME_LENGTH and all(_LABEL.fullmatch(label) for label in labels)


def check_reuse_port(owner: object, wanted: bool) -> None:
    """Refuse ``reuse_port`` where the system has no such thing."""
    if wanted and not hasattr(socket, "SO_REUSEPORT"):
        raise CompositionError(
            f"{type(owner).__name__}(reuse_port=True): this platform has no SO_REUSEPORT; leave it out"
        )


def reuse_port(sock: socket.socket) -> None:
    """Let several sockets be bound to one address (socket(7), SO_REUSEPORT)."""
    if sys.platform == "win32":
        raise NotImplementedError
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def inet_peer(_request: socket.socket, raw: RawAddress) -> InetAddress:
    """Make the client's address of an accepted connection."""
    assert isinstance(raw, tuple)
    if len(raw) == 2:  # IPv4
        return _as_inet_address(InetAddress, raw)
    return inet_address(raw)


def ipv6_peer(raw: RawAddress) -> InetAddress:
    """Make the client's address of a datagram received over IPv6."""
    assert isinstance(raw, tuple)
    return inet_address(raw)


#: Makes a pair an `InetAddress` in one call into C.
_as_inet_address = cast("Callable[[type[InetAddress], RawAddress], InetAddress]", tuple.__new__)

#: The same over IPv4, for each datagram.
ipv4_peer: Callable[[RawAddress], InetAddress] = functools.partial(_as_inet_address, InetAddress)


def datagram_peer(sock: socket.socket) -> Callable[[RawAddress], InetAddress]:
    """Choose what makes the client's address for what *sock* receives."""
    return ipv4_peer if sock.family == socket.AF_INET else ipv6_peer


#: What a system without IPv6 says when one of its sockets is made or bound.
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT, errno.ENOPROTOOPT}


def bind_inet(
    address: InetAddress, kind: socket.SocketKind, prepare: Callable[[socket.socket], None], *, dual: bool
) -> socket.socket:
    """
    Open and bind a socket: with *dual*, the empty host means IPv6 and IPv4 in one, where there is IPv6.

    Raises:
        ListenError: The name is not known, or the system refused.
    """
    if address.host == "":
        if dual and socket.has_ipv6:
            try:
                return _bind(socket.AF_INET6, kind, ("::", address.port), prepare, address, v6only=False)
            except ListenError as error:
                if error.errno not in _NO_IPV6:
                    raise
        return _bind(socket.AF_INET, kind, ("", address.port), prepare, address)
    family, sockaddr = _resolve(address, kind)
    return _bind(family, kind, sockaddr, prepare, address)


def _resolve(
    address: InetAddress, kind: socket.SocketKind
) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        what = f"{error.strerror or error}; check the host name, or give an IP address"
        raise ListenError(error.errno or 0, address, what) from error
    family, _, _, _, sockaddr = found[0]
    return family, cast("tuple[str, int] | tuple[str, int, int, int]", sockaddr)  # other forms: no IPv6 in Python


def _bind(
    family: socket.AddressFamily,
    kind: socket.SocketKind,
    sockaddr: RawAddress,
    prepare: Callable[[socket.socket], None],
    asked: InetAddress,
    *,
    v6only: bool | None = None,
) -> socket.socket:
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise ListenError.from_os_error(error, asked) from error
    try:
        sock.settimeout(None)  # whatever socket.setdefaulttimeout says
        if v6only is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        prepare(sock)
        assert isinstance(sockaddr, tuple)
        sock.bind(sockaddr)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise ListenError.from_os_error(error, asked) from error
        raise
    return sock
