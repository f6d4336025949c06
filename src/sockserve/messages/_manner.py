"""What all conversations of one framing share."""

from collections.abc import Callable, Sequence

import attrs

from ..abc import BulkFraming, Decoder, Framing
from ..framing import Chunks

__all__ = ("Manner",)


@attrs.frozen
class Manner:
    """
    What all conversations of one framing share, found out once.

    Args:
        decoder: Makes a decoder; None where pieces are messages.
        encode: None where a reply is sent as it is.
        encode_all: The same for several.
    """

    decoder: Callable[[], Decoder] | None
    encode: Callable[[bytes], bytes] | None
    encode_all: Callable[[Sequence[bytes]], bytes]

    @classmethod
    def of(cls, framing: Framing) -> "Manner":
        """Find it out."""
        if type(framing) is Chunks:  # of a subclass who knows
            return cls(None, None, framing.encode_all)
        if isinstance(framing, BulkFraming):
            return cls(framing.decoder, framing.encode, framing.encode_all)
        encode = framing.encode
        return cls(framing.decoder, encode, lambda messages: b"".join(map(encode, messages)))
