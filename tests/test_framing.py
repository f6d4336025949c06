"""Framings by themselves: what they make of streams, however these are cut, and what it costs."""

import itertools
import struct
from collections.abc import Callable, Iterable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockserve import Delimited, IncompleteMessage, LengthPrefixed, Lines, MessageError, MessageTooLong
from sockserve.framing import Framing


@attrs.frozen
class Netstrings:
    """A framing as somebody outside of the package would write it: its decoder is a generator."""

    max_length: int = 1000

    def decoder(self) -> "NetstringDecoder":
        return NetstringDecoder(self.max_length)

    def encode(self, message: bytes, /) -> bytes:
        return b"%d:%b," % (len(message), message)


class NetstringDecoder:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = bytearray()

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        self.held += data
        while (colon := self.held.find(b":", 0, 10)) > 0:
            length = int(self.held[:colon])
            if length > self.limit:
                raise MessageTooLong(self.limit)
            if len(self.held) < colon + length + 2:
                break
            yield bytes(self.held[colon + 1 : colon + 1 + length])
            del self.held[: colon + length + 2]

    def eof(self) -> Iterable[bytes]:
        if self.held:
            raise IncompleteMessage(len(self.held))
        return ()


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut *stream* at *places*, some of which may be none."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def decoded(framing: Framing, pieces: Iterable[bytes]) -> tuple[list[bytes], str]:
    """Give the messages, and how it ended."""
    decoder = framing.decoder()
    found: list[bytes] = []
    try:
        for piece in pieces:
            for message in decoder.feed(piece):
                assert type(message) is bytes
                found.append(message)
        found.extend(decoder.eof())
    except MessageError as error:
        return found, repr(error)
    return found, ""


#: Each framing, a reference that looks at the whole stream, and the alphabet in which its mistakes are likely.
def _by_end(end: bytes, limit: int, strip: bytes = b"") -> Callable[[bytes], tuple[list[bytes], str]]:
    def whole(stream: bytes) -> tuple[list[bytes], str]:
        *messages, tail = stream.split(end)
        messages = [message.removesuffix(strip) for message in messages]
        found: list[bytes] = []
        for message in messages:
            if len(message) > limit:
                return found, repr(MessageTooLong(limit))
            found.append(message)
        if any(_hopeless(tail[:size], end, strip, limit) for size in range(len(tail) + 1)):
            return found, repr(MessageTooLong(limit))
        return found, repr(IncompleteMessage(len(tail))) if tail else ""

    return whole


def _hopeless(tail: bytes, end: bytes, strip: bytes, limit: int) -> bool:
    """Whether no continuation of *tail* makes a message within the limit: tried, rather than thought about."""
    for more in range(len(end + strip) + 1):
        for full in {(strip + end)[more:], end[more:]}:
            first = (tail + full).split(end)
            if len(first) > 1 and len(first[0].removesuffix(strip)) <= limit:
                return False
    return True


def _by_length(stream: bytes) -> tuple[list[bytes], str]:
    found: list[bytes] = []
    while len(stream) >= 2:
        length = struct.unpack_from("!h", stream)[0]
        if length < 0:
            return found, repr(MessageError(f"a length of {length} bytes"))
        if length > 5:
            return found, repr(MessageTooLong(5, f"a message of {length} bytes"))
        if len(stream) < 2 + length:
            break
        found.append(stream[2 : 2 + length])
        stream = stream[2 + length :]
    return found, repr(IncompleteMessage(len(stream))) if stream else ""


CASES: dict[str, tuple[Framing, Callable[[bytes], tuple[list[bytes], str]], bytes]] = {
    "lines": (Lines(max_length=5), _by_end(b"\n", 5, b"\r"), b"a\r\n"),
    "delimited by one byte": (Delimited(b"\0", max_length=4), _by_end(b"\0", 4), b"a\0"),
    "delimited by several": (Delimited(b"\r\n", max_length=4), _by_end(b"\r\n", 4), b"a\r\n"),
    "delimited by what repeats itself": (Delimited(b"aab", max_length=6), _by_end(b"aab", 6), b"ab"),
    "delimited by much": (Delimited(b"aabaaab" * 2, max_length=40), _by_end(b"aabaaab" * 2, 40), b"ab"),
    "length-prefixed": (LengthPrefixed("!h", max_length=5), _by_length, b"\0\0\0\0\1\2\5\6\xff"),
}
cases = pytest.mark.parametrize("name", CASES)


@cases
@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_split_of_any_stream_gives_the_same(name: str, data: st.DataObject) -> None:
    """The messages, the error and its place, are those of the whole stream, which a few lines say otherwise."""
    framing, whole, alphabet = CASES[name]
    stream = bytes(data.draw(st.lists(st.sampled_from(alphabet), max_size=60)))
    if name == "delimited by much" and data.draw(st.booleans()):
        middle = data.draw(st.integers(0, len(stream)))
        stream = stream[:middle] + b"aabaaab" * 2 + stream[middle:]
    places = data.draw(st.lists(st.integers(0, 80), max_size=30))
    expected = whole(stream)
    assert decoded(framing, [stream]) == expected
    assert decoded(framing, cut(stream, places)) == expected
    assert decoded(framing, cut(stream, range(len(stream)))) == expected
