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

    What passes a deadline is ended, under every strategy, as at the end of a grace: reads return the end of the
    stream, writes raise BrokenPipeError, and the handler comes to its end. It counts as a client that has gone
    (`sockserve.events.DeadlinePassed`). A process that takes no notice is killed a second later. Datagrams have no
    deadlines.

    Args:
        handshake: Seconds for a proxy's header and a TLS handshake, all of both: who sends a byte now and then
            gains nothing. 10: enough for three round trips by way of a satellite that each lose a packet, and
            short enough that silent clients do not pile up.
        idle: Seconds in which the server waits for this client, and not a byte moves in either direction: it has
            sent nothing while the handler reads, or taken nothing of what was sent. A handler that does something
            else meanwhile, in the middle of a reply, is not idle, however long that takes; one that waits for its
            client by other means than its socket's methods (`select`) is taken for one of those.
        total: Seconds for the whole connection, from its acceptance to its end, whatever it does.

    Raises:
        OptionError: One is not above 0, or not finite.
        OptionTypeError: One is no number.
    """

    handshake: float | None = attrs.field(default=10.0, validator=_deadline)
    idle: float | None = attrs.field(default=None, validator=_deadline)
    total: float | None = attrs.field(default=None, validator=_deadline)
