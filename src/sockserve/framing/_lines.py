"""Messages that are lines."""

from collections.abc import Iterable, Sequence

import attrs

from .._validators import count
from ..errors import IncompleteMessage
from ._limits import up_to

__all__ = ("Lines",)

_CR, _LF = 13, 10


@attrs.frozen(kw_only=True)
class Lines:
    r"""
    A message is what stands before ``b"\n"``, less one ``b"\r"``; an empty line is an empty message.

    Every reply gets ``b"\n"``, one that has such inside is several lines to the peer. A tail without an end is
    dropped and reported.

    Args:
        max_length: Bytes of a message, its end not counted. 65536: more than any protocol of lines means.

    Raises:
        OptionError: ``max_length`` is not a number from 1 to 2**31 - 1.

    Examples:
        >>> from sockserve import Lines
        >>> decoder = Lines(max_length=1000).decoder()
        >>> list(decoder.feed(b"one\r\ntwo\nthr")), list(decoder.feed(b"ee\n"))
        ([b'one', b'two'], [b'three'])
        >>> Lines().encode(b"four")
        b'four\n'
    """

    max_length: int = attrs.field(default=65536, validator=count(1))

    def decoder(self) -> "_LineDecoder":
        """Make the decoder of one connection. It holds ``max_length`` bytes and an end, at most."""
        return _LineDecoder(self.max_length)

    def encode(self, message: bytes, /) -> bytes:
        """Return *message* with its end."""
        return message + b"\n"

    def encode_all(self, messages: Sequence[bytes], /) -> bytes:
        """Return *messages*, each with its end."""
        return b"\n".join(messages) + b"\n"


class _LineDecoder:
    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: What came of the next message. It grows in place: a piece costs what it is long.
        self._held = bytearray()

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """See `Decoder.feed`."""
        lines = (data if data.find(b"\r") < 0 else data.replace(b"\r\n", b"\n")).split(b"\n")
        if self._held:
            return self._feed_on(data, lines)
        if tail := lines.pop():
            self._held += tail
        return lines if len(data) <= self._limit else self._checked(lines)

    def _feed_on(self, data: bytes, lines: list[bytes]) -> Iterable[bytes]:
        """Go on where a line has begun in the pieces before."""
        held = self._held
        size = len(held) + len(data)
        if len(lines) > 1:
            if held[-1] == _CR and data[0] == _LF:
                del held[-1]  # the two have come in two pieces
            held += lines[0]
            lines[0] = bytes(held)
            held.clear()
        held += lines.pop()
        return lines if size <= self._limit else self._checked(lines)

    def _checked(self, lines: list[bytes]) -> Iterable[bytes]:
        return up_to(lines, self._limit, then_too_long=self._too_long())

    def _too_long(self) -> bool:
        """Whether what is held can be no line any more: the only byte beyond the limit may be of its end."""
        return len(self._held) > self._limit and self._held[self._limit :] != b"\r"

    @property
    def partial(self) -> bool:
        """See `PartialDecoder.partial`."""
        return bool(self._held)

    def eof(self) -> Iterable[bytes]:
        """See `Decoder.eof`."""
        if self._held:
            raise IncompleteMessage(len(self._held))
        return ()
