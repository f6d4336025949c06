"""Whether the parts of a server fit together, seen before anything is opened."""

from ..abc import CheckingStrategy
from ..deadlines import Deadlines
from ..errors import CompositionError, OptionTypeError
from ..handlers import handler_name, serves_streams
from ..limits import Limits
from ..messages._checks import check_messages

__all__ = ("check_bounds", "check_composition")

_SIGNATURE = "Server(transport, strategy, handler)"

#: Each part: what it is called, the method that tells it, and an example.
_PARTS = {
    "transport": ("listen", "TcpTransport(('127.0.0.1', 8000))"),
    "strategy": ("start", "ThreadStrategy()"),
}


def check_composition(transport: object, strategy: object, handler: object, observer: object) -> None:
    """
    Raise what a type checker would have said.

    Raises:
        CompositionError: A part is missing or in another's place, the handler serves another kind of request, or
            the strategy cannot run it.
        OptionTypeError: The observer cannot be called.
    """
    _check_part("transport", transport)
    _check_part("strategy", strategy)
    if not callable(handler) or hasattr(handler, "listen"):
        raise CompositionError(
            f"{_SIGNATURE}: handler must be callable with (request, client_address, server), not {handler!r}"
        )
    if not callable(observer):
        raise OptionTypeError(f"Server: observer must be callable with an event, not {observer!r}")
    _check_kind(transport, handler)
    check_messages(handler, type(transport).__name__, stream=bool(getattr(transport, "stream", None)))
    if isinstance(strategy, CheckingStrategy):
        strategy.check_composition(transport, handler)


def _check_part(name: str, part: object) -> None:
    method, example = _PARTS[name]
    if isinstance(part, type):
        raise CompositionError(f"{_SIGNATURE}: {name} is the class {part.__name__}; make one, such as {example}")
    if not callable(getattr(part, method, None)):
        raise CompositionError(
            f"{_SIGNATURE}: {name} must be something like {example}, with a method {method}(), not {part!r}"
        )


def _check_kind(transport: object, handler: object) -> None:
    serves = serves_streams(handler)
    arrives = bool(getattr(transport, "stream", None))
    if serves is None or serves == arrives:
        return
    kinds = {True: "connections", False: "datagrams"}
    better = "DatagramRequestHandler" if serves else "StreamRequestHandler"
    raise CompositionError(
        f"{handler_name(handler)} serves {kinds[serves]}, but {type(transport).__name__} brings "
        f"{kinds[arrives]}: use a handler derived from {better} or BaseRequestHandler, or another transport"
    )


def check_bounds(limits: object, deadlines: object) -> None:
    """
    Refuse what are no `Limits` or `Deadlines`.

    Raises:
        OptionTypeError: One is something else.
    """
    if not isinstance(limits, Limits):
        raise OptionTypeError(f"Server: limits must be such as Limits(connections=1000), not {limits!r}")
    if not isinstance(deadlines, Deadlines):
        raise OptionTypeError(f"Server: deadlines must be such as Deadlines(handshake=10.0), not {deadlines!r}")
