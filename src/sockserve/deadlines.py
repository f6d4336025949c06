"""How long a connection may take."""

from typing import TypeVar

import attrs

from ._validators import optional_seconds, seconds

__all__ = ("Deadlines",)


T = TypeVar("T")


def _deadline(owner: object, attribute: "attrs.Attribute[T]", value: T) -> None:
    optional_seconds(owner, attribute.name, value)
    if value is not None:
        seconds(owner, attribute.name, value, zero=False)


@attrs.frozen(kw_only=True)
class Deadlines:
    """
    How long one connection may take. None sets no limit.

    Args:
        handshake: Seconds for a proxy's header and a TLS handshake, all of both: who sends a byte now and then
            gains nothing. 10: enough for three round trips by way of a satellite that each lose a packet, and
            short enough that silent clients do not pile up.
        idle: Seconds without a word in either direction.
        total: Seconds for the whole connection.

    Raises:
        OptionError: One is not above 0, or not finite.
        OptionTypeError: One is no number.
    """

    handshake: float | None = attrs.field(default=10.0, validator=_deadline)
    idle: float | None = attrs.field(default=None, validator=_deadline)
    total: float | None = attrs.field(default=None, validator=_deadline)
