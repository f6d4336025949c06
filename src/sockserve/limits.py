"""How many requests a server takes at a time."""

from typing import Literal, TypeVar

import attrs

from ._validators import count, fail, fail_type

__all__ = ("Limits",)

T = TypeVar("T")

_most = count(1)


def _optional_count(owner: object, attribute: "attrs.Attribute[T]", value: T) -> None:
    if value is not None:
        _most(owner, attribute, value)  # type: ignore[arg-type]  # an attribute of any type has a name


_OVERLOAD = '"wait", "close", or the bytes to send before closing'


def _overload(owner: object, attribute: "attrs.Attribute[T]", value: T) -> None:
    if not isinstance(value, str | bytes):
        raise fail_type(owner, attribute.name, value, _OVERLOAD)
    if value not in ("wait", "close") if isinstance(value, str) else not value:
        raise fail(owner, attribute.name, value, _OVERLOAD)


@attrs.frozen(kw_only=True)
class Limits:
    """
    How many requests a server takes at a time. None sets no limit.

    A request is a connection, from its acceptance until it is closed; on a transport of datagrams it is a datagram
    that is being answered. Each process counts its own.

    Args:
        connections: Requests in flight. What happens to more is what *overload* says. Besides, a strategy that is
            full (a pool whose threads are all busy) always lets them wait.
        per_peer: Requests in flight of one peer; more are refused, however much room there is. A peer is an IPv4
            address; the first 64 bits of a global IPv6 address, since who has one has them all (RFC 6177), and
            the whole of any other; the user at the other end of a Unix connection, where the system tells (Linux
            does). Others are not limited, such as clients of Unix datagrams.
        overload: "wait", the default: nothing is accepted, the kernel's backlog holds the clients, and nobody is
            turned away by a short rush. "close": what is too much is accepted and closed at once, for clients that
            try elsewhere. Bytes: these are sent before, as they are, below TLS too; the connection is then read
            for a second at most, since one closed with something unread is reset, and the bytes would be lost. On
            datagrams they are the answer: keep them shorter than the requests, whose senders may be forged.

    Raises:
        OptionError: A limit is below 1, or *overload* is empty or another word.
        OptionTypeError: An option is of the wrong type.
    """

    connections: int | None = attrs.field(default=None, validator=_optional_count)
    per_peer: int | None = attrs.field(default=None, validator=_optional_count)
    overload: Literal["wait", "close"] | bytes = attrs.field(default="wait", validator=_overload)
