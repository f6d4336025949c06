"""What every event has."""

import attrs

__all__ = (
    "Event",
    "RequestEvent",
)


@attrs.frozen(kw_only=True)
class Event:
    """The root of all events."""

    server_address: object


@attrs.frozen(kw_only=True)
class RequestEvent(Event):
    """The root of the events that concern one request."""

    client_address: object
