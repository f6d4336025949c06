"""What the decoders share: the limit, and an error at its place among the messages."""

from collections.abc import Iterable, Iterator, Sequence

from ..errors import MessageError, MessageTooLong

__all__ = ("raised_after", "up_to")


def up_to(messages: Sequence[bytes], limit: int, *, then_too_long: bool) -> Iterable[bytes]:
    """Give *messages*; where one of them is too long, or what follows them, those before it and then the error."""
    for index, message in enumerate(messages):
        if len(message) > limit:
            return raised_after(messages[:index], MessageTooLong(limit))
    return raised_after(messages, MessageTooLong(limit)) if then_too_long else messages


def raised_after(messages: Sequence[bytes], error: MessageError) -> Iterator[bytes]:
    """
    Give *messages*, then raise *error*.

    However the stream was cut, what came whole before the mistake is a message.
    """
    yield from messages
    raise error
