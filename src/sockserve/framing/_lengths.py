"""Messages with their length before them."""

import functools
import struct
from collections.abc import Iterable, Sequence

import attrs

from .._validators import count, fail, fail_type
from ..errors import IncompleteMessage, MessageError, MessageTooLong
from ._limits import raised_after

__all__ = ("LengthPrefixed",)


def _format(owner: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    expected = "a format of the struct module for one integer, such as '!I'"
    if not isinstance(value, str):
        raise fail_type(owner, attribute.name, value, expected)
    try:
        (number,) = struct.unpack(value, bytes(struct.calcsize(value)))
    except (struct.error, ValueError) as error:
        raise fail(owner, attribute.name, value, expected) from error
    if type(number) is not int:
        raise fail(owner, attribute.name, value, expected)


#: One compiled format serves all connections.
_compiled = functools.lru_cache(maxsize=32)(struct.Struct)


@attrs.frozen
class LengthPrefixed:
    r"""
    A message is preceded by its length, which counts the message alone; 0 is an empty message.

    A message that the end of the input cuts is dropped and reported.

    Args:
        format: Of the length, as the struct module writes it: one integer. ``"!I"``: four bytes, the first the
            most significant, as in most protocols.
        max_length: Bytes of a message. 2**20: what is longer is better sent in parts. A longer one is refused
            when its length has arrived, not the message.

    Raises:
        OptionError: The format is not that of one integer, or ``max_length`` is not a number from 1 to 2**31 - 1.

    Examples:
        >>> from sockserve import LengthPrefixed
        >>> LengthPrefixed("!H").encode(b"hello")
        b'\x00\x05hello'
        >>> list(LengthPrefixed("!H").decoder().feed(b"\x00\x02hi\x00\x00\x00"))
        [b'hi', b'']
    """

    format: str = attrs.field(default="!I", validator=_format)
    max_length: int = attrs.field(default=2**20, validator=count(1), kw_only=True)

    def decoder(self) -> "_LengthDecoder":
        """Make the decoder of one connection. It holds ``max_length`` bytes and a length, at most."""
        return _LengthDecoder(_compiled(self.format), self.max_length)

    def encode(self, message: bytes, /) -> bytes:
        """
        Return *message* after its length.

        Raises:
            ValueError: The format has no room for its length.
        """
        try:
            return struct.pack(self.format, len(message)) + message
        except struct.error as error:
            raise self._no_room(len(message), error) from error

    def encode_all(self, messages: Sequence[bytes], /) -> bytes:
        """Return *messages*, each after its length."""
        if len(messages) == 1:
            return self.encode(messages[0])
        pack = _compiled(self.format).pack
        try:
            return b"".join([part for message in messages for part in (pack(len(message)), message)])
        except struct.error as error:
            raise self._no_room(max(map(len, messages)), error) from error

    def _no_room(self, length: int, error: struct.error) -> ValueError:
        return ValueError(f"the format {self.format!r} cannot say {length} bytes: {error}")


class _LengthDecoder:
    __slots__ = ("_held", "_limit", "_need", "_prefix", "_unpack")

    def __init__(self, prefix: struct.Struct, limit: int) -> None:
        self._unpack = prefix.unpack_from
        self._prefix = prefix.size
        self._limit = limit
        self._held = bytearray()
        #: How much of the message that has begun, with its length, is to be there before it is looked at again.
        self._need = prefix.size

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """See `Decoder.feed`."""
        held = self._held
        if held:
            held += data
            if len(held) < self._need:
                return ()
            data = bytes(held)
            held.clear()
        unpack, prefix, limit = self._unpack, self._prefix, self._limit
        messages: list[bytes] = []
        start = after = 0
        self._need = prefix
        while (begin := start + prefix) <= len(data):
            length: int = unpack(data, start)[0]
            if not 0 <= length <= limit:
                held += data[start:begin]  # the same again, for whoever goes on
                return raised_after(messages, _refusal(length, limit))
            after = begin + length
            if after > len(data):
                self._need = prefix + length
                break
            messages.append(data[begin:after])
            start = after
        if start < len(data):
            held += data[start:]
        return messages

    @property
    def partial(self) -> bool:
        """See `PartialDecoder.partial`."""
        return bool(self._held)

    def eof(self) -> Iterable[bytes]:
        """See `Decoder.eof`."""
        if self._held:
            raise IncompleteMessage(len(self._held))
        return ()


def _refusal(length: int, limit: int) -> MessageError:
    if length < 0:
        return MessageError(f"a length of {length} bytes")
    return MessageTooLong(limit, f"a message of {length} bytes")
