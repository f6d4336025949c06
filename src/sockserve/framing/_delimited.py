"""Messages that end with a delimiter."""

from collections.abc import Iterable, Sequence

import attrs

from .._validators import count, fail, fail_type
from ..errors import IncompleteMessage
from ._limits import up_to

__all__ = ("Delimited",)


def _delimiter(owner: object, attribute: "attrs.Attribute[bytes]", value: object) -> None:
    if not isinstance(value, bytes):
        raise fail_type(owner, attribute.name, value, "bytes")
    if not value:
        raise fail(owner, attribute.name, value, "at least one byte")


@attrs.frozen
class Delimited:
    """
    A message is what stands before the delimiter, which every reply gets, too.

    A tail without one is dropped and reported. Nothing is escaped: a reply must not contain it.

    Args:
        delimiter: What ends a message: one byte or more.
        max_length: Bytes of a message, its end not counted. 65536, as for `Lines`.

    Raises:
        OptionError: The delimiter is empty or not bytes, or ``max_length`` is not a number from 1 to 2**31 - 1.
    """

    delimiter: bytes = attrs.field(validator=_delimiter)
    max_length: int = attrs.field(default=65536, validator=count(1), kw_only=True)
    _borders: tuple[int, ...] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_borders", _borders(self.delimiter))

    def decoder(self) -> "_DelimitedDecoder":
        """Make the decoder of one connection. It holds ``max_length`` bytes and an end, at most."""
        return _DelimitedDecoder(self.delimiter, self._borders, self.max_length)

    def encode(self, message: bytes, /) -> bytes:
        """Return *message* with its end."""
        return message + self.delimiter

    def encode_all(self, messages: Sequence[bytes], /) -> bytes:
        """Return *messages*, each with its end."""
        return self.delimiter.join(messages) + self.delimiter


def _borders(word: bytes) -> tuple[int, ...]:
    """
    Say for each prefix of *word* how much of its end is a beginning of *word*.

    The failure function of Knuth, Morris and Pratt (Fast pattern matching in strings, 1977).
    """
    found = [0]
    for byte in word[1:]:
        found.append(_matched(word, found, found[-1], byte))
    return tuple(found)


def _matched(word: bytes, borders: Sequence[int], matched: int, byte: int) -> int:
    """Say how many bytes of *word* the stream ends with, after *byte*, if it was *matched* (not all) before."""
    while matched and word[matched] != byte:
        matched = borders[matched - 1]
    return matched + (word[matched] == byte)


#: The piece before was searched as a whole: how much of the delimiter it ends with was not looked at.
_UNKNOWN = -1


class _DelimitedDecoder:
    """
    Pieces as long as the delimiter, or longer, are searched by the interpreter, from as far before them as a
    delimiter reaches: twice their length at most. Shorter ones go byte by byte, with the number of bytes of the
    delimiter that have come already: so a long delimiter in small pieces is not searched for again and again.
    """

    __slots__ = ("_borders", "_end", "_held", "_limit", "_seen")

    def __init__(self, end: bytes, borders: Sequence[int], limit: int) -> None:
        self._end = end
        self._borders = borders
        self._limit = limit
        self._held = bytearray()
        self._seen = _UNKNOWN

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """See `Decoder.feed`."""
        held = self._held
        size = len(held) + len(data)
        if not held:
            messages = data.split(self._end)
            held += messages.pop()
            self._seen = _UNKNOWN
        elif len(data) < len(self._end):
            messages = self._feed_bytes(data)
        else:
            messages = self._feed_piece(data)
        if size <= self._limit:
            return messages
        return up_to(messages, self._limit, then_too_long=self._too_long())

    def _feed_piece(self, data: bytes) -> list[bytes]:
        held, end = self._held, self._end
        before = len(held)
        held += data
        self._seen = _UNKNOWN
        at = held.find(end, max(0, before - len(end) + 1))
        if at < 0:
            return []
        messages = [bytes(held[:at]), *data[at + len(end) - before :].split(end)]
        held.clear()
        held += messages.pop()
        return messages

    def _feed_bytes(self, data: bytes) -> list[bytes]:
        """Take in less than a delimiter: one message at most can end in it."""
        held, end, borders = self._held, self._end, self._borders
        seen = self._seen
        if seen == _UNKNOWN:
            seen = 0
            for byte in held[-len(end) + 1 :]:
                seen = _matched(end, borders, seen, byte)
        messages = []
        for byte in data:
            held.append(byte)
            seen = _matched(end, borders, seen, byte)
            if seen == len(end):
                messages.append(bytes(held[: -len(end)]))
                held.clear()
                seen = 0
        self._seen = seen
        return messages

    def _too_long(self) -> bool:
        """Whether what is held can be no message any more: what is beyond the limit may only be of its end."""
        return len(self._held) > self._limit and not self._end.startswith(bytes(self._held[self._limit :]))

    @property
    def partial(self) -> bool:
        """See `PartialDecoder.partial`."""
        return bool(self._held)

    def eof(self) -> Iterable[bytes]:
        """See `Decoder.eof`."""
        if self._held:
            raise IncompleteMessage(len(self._held))
        return ()
