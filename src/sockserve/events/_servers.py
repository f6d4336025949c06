"""Events of a server as a whole."""

import attrs

from ._base import Event

__all__ = (
    "AcceptFailed",
    "AcceptPaused",
    "AcceptResumed",
    "Closed",
    "Drained",
    "Draining",
    "LimitReached",
    "LimitRelieved",
    "Listening",
    "RequestsAbandoned",
)


@attrs.frozen(kw_only=True)
class Listening(Event):
    """The kernel queues clients from here on."""


@attrs.frozen(kw_only=True)
class Closed(Event):
    """The server has released everything."""


@attrs.frozen(kw_only=True)
class LimitReached(Event):
    """
    As many requests are in flight as may be, ``connections``; more wait. Said once, until `LimitRelieved`: at a
    full server each client that leaves makes room for the next.
    """

    connections: int


@attrs.frozen(kw_only=True)
class LimitRelieved(Event):
    """What `LimitReached` reported has passed: half of the ``connections`` are free."""

    connections: int


@attrs.frozen(kw_only=True)
class AcceptFailed(Event):
    """One arrival was lost before it was a request (``accept`` said ``error``); the next is tried at once."""

    error: OSError


@attrs.frozen(kw_only=True)
class AcceptPaused(Event):
    """Nothing can be accepted for want of descriptors or memory; tried again every ``seconds``. Said once."""

    error: OSError
    seconds: float


@attrs.frozen(kw_only=True)
class AcceptResumed(Event):
    """What `AcceptPaused` reported has passed."""


@attrs.frozen(kw_only=True)
class Draining(Event):
    """Nothing more is accepted; ``active`` requests have ``grace`` seconds to finish."""

    active: int
    grace: float


@attrs.frozen(kw_only=True)
class Drained(Event):
    """Draining is over; ``aborted`` requests had not finished and got their sockets shut."""

    aborted: int


@attrs.frozen(kw_only=True)
class RequestsAbandoned(Event):
    """The server is closed after a grace that expired; ``active`` requests still run, and are not waited for."""

    active: int
