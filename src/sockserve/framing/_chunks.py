"""No framing at all."""

from collections.abc import Sequence

import attrs

__all__ = ("Chunks",)


@attrs.frozen
class Chunks:
    """
    A message is what one read gave, as it came: at least a byte, at most what is read at a time, cut anywhere.

    For protocols that take a stream apart by themselves, and for echo. Replies are sent as they are.
    """

    def decoder(self) -> "_ChunkDecoder":
        """Make the decoder of one connection. It holds nothing."""
        return _ChunkDecoder()

    def encode(self, message: bytes, /) -> bytes:
        """Return *message*."""
        return message

    def encode_all(self, messages: Sequence[bytes], /) -> bytes:
        """Return *messages*, one after the other."""
        return b"".join(messages)


class _ChunkDecoder:
    __slots__ = ()

    def feed(self, data: bytes, /) -> list[bytes]:
        """Return *data*."""
        return [data] if data else []

    def eof(self) -> list[bytes]:
        """Nothing is held."""
        return []
