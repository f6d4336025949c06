"""Framings by themselves: what they make of streams, however these are cut, and what it costs."""

import contextlib
import itertools
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockserve import (
    Chunks,
    Delimited,
    IncompleteMessage,
    LengthPrefixed,
    Lines,
    MessageError,
    MessageTooLong,
    OptionError,
)
from sockserve.framing import BulkFraming, Framing


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


ENCODED: dict[str, Framing] = {
    "lines": Lines(),
    "delimited": Delimited(b"\0\1"),
    "length-prefixed": LengthPrefixed(),
    "length-prefixed, little-endian": LengthPrefixed("<H"),
    "one's own": Netstrings(),
}


@pytest.mark.parametrize("name", ENCODED)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_what_is_encoded_is_decoded(name: str, data: st.DataObject) -> None:
    """Messages that hold no end come out as they went in, wherever the stream is cut; one's own framing too."""
    framing = ENCODED[name]
    messages = data.draw(st.lists(st.binary(max_size=20).map(lambda drawn: drawn.translate(None, b"\r\n\0"))))
    stream = b"".join(map(framing.encode, messages))
    assert decoded(framing, cut(stream, data.draw(st.lists(st.integers(0, 200))))) == (messages, "")
    if messages and isinstance(framing, BulkFraming):
        assert framing.encode_all(messages) == stream


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_chunks_are_what_came(pieces: list[bytes]) -> None:
    """As they came; nothing is added to what goes."""
    assert decoded(Chunks(), pieces) == (pieces, "")
    assert Chunks().encode_all(pieces) == b"".join(map(Chunks().encode, pieces)) == b"".join(pieces)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=5).map(lambda drawn: drawn.replace(b"\n", b"")))))
def test_connections_share_no_state(pieces: list[tuple[bool, bytes]]) -> None:
    """Two clients whose halves of lines come in turns get their own."""
    framing = Lines()
    decoders = {True: framing.decoder(), False: framing.decoder()}
    sent = {True: b"", False: b""}
    for who, piece in pieces:
        assert list(decoders[who].feed(piece)) == []
        sent[who] += piece
    for who, decoder in decoders.items():
        assert list(decoder.feed(b"\n")) == [sent[who].removesuffix(b"\r")]


# What it costs: work is counted, not timed.


@attrs.define
class Work:
    """Bytes of the decoder's buffer that were looked at or copied, and lines of its Python code that were run."""

    bytes: int = 0
    lines: int = 0


def _buffer(work: Work) -> bytearray:
    """Make a buffer that counts what is done with it."""

    class Counted(bytearray):
        def find(self, *arguments: Any) -> int:
            at = super().find(*arguments)
            work.bytes += (len(self) if at < 0 else at + len(arguments[0])) - arguments[1]
            return at

        def __iadd__(self, other: Any) -> Any:  # type: ignore[misc]  # unlike __add__
            work.bytes += len(other)
            return super().__iadd__(other)

        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            work.bytes += len(found) if isinstance(key, slice) else 1
            return found

        def __bytes__(self) -> bytes:
            work.bytes += len(self)
            return bytes(memoryview(self))

    return Counted()


def _work(framing: Framing, stream: bytes, size: int) -> Work:
    """Decode *stream* in pieces of *size* bytes."""
    work = Work()
    decoder: Any = framing.decoder()
    buffer = decoder._held = _buffer(work)

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if "framing" not in frame.f_code.co_filename or "test" in frame.f_code.co_filename:
            return None
        work.lines += event == "line"
        return trace

    messages = 0
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for start in range(0, len(stream), size):
            messages += len(list(decoder.feed(stream[start : start + size])))
    finally:
        sys.settrace(before)
    assert messages == len(framing.decoder().feed(stream))  # type: ignore[arg-type]  # ours give lists
    assert not decoder._held
    assert decoder._held is buffer  # another one would not have been counted
    return work


LONG = bytes(range(1, 200)) * 2 + b"\0"
COUNTED: dict[str, tuple[Framing, bytes]] = {
    "a long line": (Lines(), b"x" * 6_000 + b"\r\n"),
    "short lines": (Lines(), b"abcdefg\r\n" * 700),
    "one byte": (Delimited(b"\0"), b"x" * 6_000 + b"\0"),
    "short messages": (Delimited(b"--"), b"abc--" * 1_200),
    "a long delimiter": (Delimited(LONG), b"x" * 6_000 + LONG),
    "a long delimiter that nearly comes": (Delimited(LONG), LONG[:-1] * 15 + LONG),
    "a delimiter of one letter": (Delimited(b"a" * 400 + b"b"), b"a" * 6_000 + b"b"),
    "a delimiter of two halves": (
        Delimited(b"b".join((b"a" * 200,) * 2)),
        b"a" * 199 + b"ba" * 3_000 + b"a" * 199 + b"b" + b"a" * 200,
    ),
    "a length": (LengthPrefixed(), struct.pack("!I", 6_000) + b"x" * 6_000),
    "short lengths": (LengthPrefixed("!H"), b"\0\5hello" * 900),
}


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1460, 2**16])
@pytest.mark.parametrize("name", COUNTED)
def test_the_cost_is_linear_whatever_the_split(name: str, size: int) -> None:
    """
    A few bytes of the buffer are touched, and a few lines run, for each byte of the stream, in pieces of any size.

    Searching what was searched already, or joining what is held with each piece, takes hundreds for each.
    """
    framing, stream = COUNTED[name]
    work = _work(framing, stream, size)
    assert work.bytes <= 8 * len(stream), work
    assert work.lines <= 24 * len(stream) + 100, work


@pytest.mark.parametrize("name", COUNTED)
def test_a_whole_piece_takes_few_steps(name: str) -> None:
    """Many small messages that come in one piece are found by the interpreter, not by a loop of searches."""
    framing, stream = COUNTED[name]
    steps = 8 * len(list(framing.decoder().feed(stream))) if isinstance(framing, LengthPrefixed) else 0
    assert _work(framing, stream, len(stream)).lines <= 30 + steps


# Memory, and mistakes of peers.

LIMITED: dict[str, tuple[Framing, bytes]] = {
    "an endless line": (Lines(max_length=1000), b"x"),
    "an endless line of returns": (Lines(max_length=1000), b"\r"),
    "no delimiter": (Delimited(b"--", max_length=1000), b"x"),
    "half a delimiter": (Delimited(b"-=" * 100, max_length=1000), b"-"),
    "length-prefixed": (LengthPrefixed(max_length=1000), b"\0\0\3\xe8" + b"x" * 999),
}


@pytest.mark.parametrize("size", [1, 10, 999, 5000])
@pytest.mark.parametrize("name", LIMITED)
def test_what_a_peer_can_make_it_hold_is_bounded(name: str, size: int) -> None:
    """Never more than the limit and an end are held, and past that it fails, at the very byte."""
    framing, unit = LIMITED[name]
    decoder: Any = framing.decoder()
    most = 1000 + 200
    endless = itertools.cycle(unit) if len(unit) == 1 else iter(unit)
    fed = 0
    with contextlib.suppress(MessageTooLong):
        while piece := bytes(itertools.islice(endless, size)):
            fed += len(piece)
            assert list(decoder.feed(piece)) == []
            assert len(decoder._held) <= most
    assert fed <= most + size
    if len(unit) == 1:
        with pytest.raises(MessageTooLong, match="longer than max_length=1000"):
            list(decoder.feed(unit))


@pytest.mark.parametrize(
    ("framing", "good", "bad"),
    [
        (Lines(max_length=3), b"abc\r", b"abcd"),
        (Lines(max_length=3), b"abc", b"abc\r\r"),
        (Delimited(b"--", max_length=3), b"abc-", b"abc-x"),
        (LengthPrefixed(max_length=3), b"\0\0\0\3", b"\0\0\0\4"),
        (LengthPrefixed(max_length=3), b"\xff\xff\xff", b"\xff\xff\xff\xff"),
        (LengthPrefixed("!i"), b"\xff\xff\xff", b"\xff\xff\xff\xff"),
        (LengthPrefixed("!q"), b"\x80\0\0\0\0\0\0", b"\x80\0\0\0\0\0\0\0"),
    ],
)
def test_a_mistake_is_found_as_soon_as_it_can_be_known(framing: Framing, good: bytes, bad: bytes) -> None:
    """Not a byte later, nor earlier; the messages before it are messages, and it stays one."""
    first = framing.encode(b"ok")
    assert list(framing.decoder().feed(first + good)) == [b"ok"]
    decoder = framing.decoder()
    messages = iter(decoder.feed(first + bad))
    assert next(messages) == b"ok"
    with pytest.raises(MessageError):
        next(messages)
    with pytest.raises(MessageError):
        list(decoder.feed(b"\0" * 10))


def test_errors_say_the_limit_and_can_be_pickled() -> None:
    """What was wrong, by how much."""
    with pytest.raises(
        MessageTooLong, match="a message of 4294967295 bytes is longer than max_length=1048576"
    ) as e:
        list(LengthPrefixed().decoder().feed(b"\xff\xff\xff\xff"))
    assert e.value.limit == 2**20
    with pytest.raises(MessageError, match="a length of -2 bytes"):
        list(LengthPrefixed("!h").decoder().feed(b"\xff\xfe"))
    decoder = Lines().decoder()
    assert list(decoder.feed(b"tail")) == []
    with pytest.raises(IncompleteMessage, match="after 4 bytes of it") as incomplete:
        decoder.eof()
    for error in (e.value, incomplete.value):
        assert repr(pickle.loads(pickle.dumps(error))) == repr(error)
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lines(max_length=0),
        lambda: Lines(max_length=True),
        lambda: Lines(max_length="1"),  # type: ignore[arg-type]
        lambda: Delimited(b""),
        lambda: Delimited("\n"),  # type: ignore[arg-type]
        lambda: Delimited(b"\n", max_length=-1),
        lambda: LengthPrefixed("!HH"),
        lambda: LengthPrefixed("!f"),
        lambda: LengthPrefixed("?"),
        lambda: LengthPrefixed("4s"),
        lambda: LengthPrefixed(""),
        lambda: LengthPrefixed("!Z"),
        lambda: LengthPrefixed("\0"),
        lambda: LengthPrefixed(b"!I"),  # type: ignore[arg-type]
        lambda: LengthPrefixed(max_length=2.0),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(make: Callable[[], object]) -> None:
    """Each with the class, the field and what fits."""
    with pytest.raises(
        OptionError, match=r"(Lines|Delimited|LengthPrefixed): (max_length|delimiter|format) must be"
    ):
        make()


def test_framings_are_values() -> None:
    """They compare, hash, can be pickled, and cannot be changed."""
    for made, same, other in (
        (Lines(), Lines(max_length=65536), Lines(max_length=1)),
        (Delimited(b"--"), Delimited(b"--", max_length=65536), Delimited(b"-")),
        (LengthPrefixed(), LengthPrefixed("!I", max_length=2**20), LengthPrefixed("<I")),
        (Chunks(), Chunks(), Lines()),
    ):
        assert made == same != other
        assert hash(made) == hash(same)
        assert pickle.loads(pickle.dumps(made)) == made
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.max_length = 5  # type: ignore[union-attr, misc]


def test_a_length_that_the_format_cannot_say() -> None:
    """Is an error, not a message cut short."""
    for encode in (LengthPrefixed("b").encode, lambda each: LengthPrefixed("b").encode_all([b"", each])):
        assert encode(b"x" * 127).endswith(b"\x7f" + b"x" * 127)
        with pytest.raises(ValueError, match="the format 'b' cannot say 128 bytes"):
            encode(b"x" * 128)
