"""Networks of peers that are trusted: checking them early, and who is in them."""

import functools
import ipaddress
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import attrs

from .._validators import fail, fail_type
from ..addresses import InetAddress, UnixAddress

__all__ = ("UNIX", "Network", "Networks", "check_networks")

#: All peers over Unix sockets: who may connect there is what the file's permissions say.
UNIX: Literal["unix:"] = "unix:"

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
#: How a network may be given.
Given: TypeAlias = str | Network | ipaddress.IPv4Address | ipaddress.IPv6Address

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2


@attrs.frozen
class Networks:
    """
    Those that are trusted.

    Args:
        inet: Of IP.
        unix: Whether all that come over Unix sockets are.
    """

    inet: tuple[Network, ...]
    unix: bool
    _trusts: Callable[[str], bool] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Proxies are few, and come again and again: it is worth to remember them.
        object.__setattr__(self, "_trusts", functools.lru_cache(maxsize=1024)(self._within))

    def __contains__(self, address: object) -> bool:
        """Whether a peer is in one of them, by the *address* that its connection has."""
        if isinstance(address, InetAddress):
            return self._trusts(address.host)
        return self.unix and isinstance(address, UnixAddress)

    def _within(self, host: str) -> bool:
        address = ipaddress.ip_address(host)
        return any(address in network for network in self.inet)


def check_networks(given: "Iterable[Given] | Networks") -> Networks:
    """
    Turn networks, as they may be written, into those that peers are looked for in.

    Raises:
        OptionTypeError: It is no list of them.
        OptionError: One of them is no network, or there is none.
    """
    whole: object = given  # what a type checker has not seen may be anything
    if isinstance(whole, Networks):
        return whole  # of another transport
    if isinstance(whole, str | bytes) or not isinstance(whole, Iterable):
        raise fail_type("trusted", "it", whole, "a list of networks such as ['10.0.0.0/8', '::1']")
    unix, inet = False, []
    for each in whole:
        if each == UNIX:
            unix = True
        else:
            inet.append(_network(each))
    if not inet and not unix:
        raise fail("trusted", "it", whole, "at least one network: nobody could connect")
    return Networks(tuple(inet), unix)


def _network(given: object) -> Network:
    if not isinstance(given, Given):
        raise fail_type("trusted", "each", given, f"a network such as '10.0.0.0/8', an address, or {UNIX!r}")
    try:
        network = ipaddress.ip_network(given)
    except ValueError as error:
        expected = f"a network such as '10.0.0.0/8', an address, or {UNIX!r} ({error})"
        raise fail("trusted", "each", given, expected) from error
    if network.version == 6 and network.subnet_of(_MAPPED):
        raise fail("trusted", "each", given, "written as IPv4: that is how such peers appear here")
    return network
