"""What a handler may give, and the error for anything else, which names the handler."""

from collections.abc import Iterable, Iterator
from typing import cast

from ..handlers import handler_name

__all__ = ("as_message", "as_messages", "is_lazy")

_AT_ONCE = (list, tuple, bytes, bytearray, memoryview)


def as_message(handler: object, value: object, what: str) -> bytes:
    """
    Check that *value* is one message.

    Raises:
        TypeError: It is none. Names the handler, and *what* it did.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{handler_name(type(handler))}: {what} {_shown(value)}, not bytes{_advice(value)}")


def as_messages(handler: object, reply: object) -> Iterator[object]:
    """
    Give the messages of *reply*, which is neither bytes nor None, to be checked one by one.

    Raises:
        TypeError: It is no reply.
    """
    if isinstance(reply, bytes | bytearray | memoryview):
        return iter((bytes(reply),))
    if isinstance(reply, str) or not isinstance(reply, Iterable):
        raise TypeError(
            f"{handler_name(type(handler))}: respond() gave {_shown(reply)}, "
            f"not bytes, an iterable of bytes, or None{_advice(reply)}"
        )
    return iter(cast("Iterable[object]", reply))


def is_lazy(reply: object) -> bool:
    """Whether the next message of *reply* may take its time, or its memory, to be made."""
    return not isinstance(reply, _AT_ONCE)


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text[:60]}{'...' if len(text) > 60 else ''} (a {type(value).__name__})"


def _advice(value: object) -> str:
    return "; encode it" if isinstance(value, str) else ""
