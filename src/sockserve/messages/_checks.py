"""Whether a handler of messages can work, seen before it is asked to."""

from ..abc import Framing
from ..errors import CompositionError
from ..handlers import handler_name
from ._handler import MessageHandler, message_class

__all__ = ("check_messages",)


def check_messages(handler: object, transport: str, *, stream: bool) -> None:
    """
    Look at *handler*, if it is one of messages, that is to serve the *transport* of this name.

    Raises:
        CompositionError: It says neither how to answer, nor, for a stream, what a message is.
    """
    kind = message_class(handler)
    if kind is None:
        return
    name = handler_name(handler)
    if kind.respond is MessageHandler.respond:
        raise CompositionError(f"{name} has no respond(message), which answers its messages: define it")
    framing: object = kind.framing
    if framing is None:
        if stream:
            raise CompositionError(
                f"{name} has no framing, and {transport} brings connections: say what a message is there, "
                "by framing = Lines(), Delimited(b'...'), LengthPrefixed(), Chunks(), or one of your own"
            )
    elif isinstance(framing, type) or not isinstance(framing, Framing):
        raise CompositionError(
            f"{name}: framing must be something like Lines(), with the methods decoder() and encode(), "
            f"not {framing!r}"
        )
