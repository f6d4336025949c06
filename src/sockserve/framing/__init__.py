"""
Framings: how messages lie in a stream of bytes.

Each is a frozen value. ``decoder()`` makes the decoder of one connection, ``encode()`` turns a message into what
is sent; `sockserve.abc.Framing` is the interface for one's own. They need no socket, and are of use by themselves.
"""

from ..abc import BulkFraming, Decoder, Framing
from ._chunks import Chunks
from ._delimited import Delimited
from ._lengths import LengthPrefixed
from ._lines import Lines

__all__ = ("BulkFraming", "Chunks", "Decoder", "Delimited", "Framing", "LengthPrefixed", "Lines")
