"""The header of the PROXY protocol, without a socket: however it is cut, and whatever else comes."""

import ipaddress
import itertools
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_kit import CLIENT, ENTRANCE, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, UNIX, binary, line, packed, tlv
from sockserve import InetAddress, UnixAddress
from sockserve.transports._proxy_header import MOST, Header, HeaderDecoder, HeaderError

CLIENT6, ENTRANCE6 = InetAddress("2001:db8::7", 51234), InetAddress("2001:db8::1:0", 0)
NOBODY_1, NOBODY_2 = Header(1), Header(2)


def read(data: bytes) -> Header:
    """Give it all at once, and nothing after it."""
    decoder = HeaderDecoder()
    assert decoder.feed(data) == len(data)
    assert decoder.header is not None
    return decoder.header


def path(name: bytes) -> bytes:
    return name.ljust(108, b"\0")


GOOD: dict[str, tuple[bytes, Header]] = {
    "TCP4": (line(), Header(1, CLIENT, ENTRANCE)),
    "TCP6": (line(CLIENT6, ENTRANCE6), Header(1, CLIENT6, ENTRANCE6)),
    "TCP6 in full": (
        b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0007 2001:DB8::1:0 51234 0\r\n",
        Header(1, CLIENT6, ENTRANCE6),
    ),
    "TCP6 of an IPv4 client": (
        b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6409 51234 443\r\n",
        Header(1, CLIENT, ENTRANCE),
    ),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", NOBODY_1),
    "UNKNOWN with more": (b"PROXY UNKNOWN ffff::1 what\rever \xff\0 65536\r\n", NOBODY_1),
    "2 TCP4": (binary(packed()), Header(2, CLIENT, ENTRANCE)),
    "2 UDP4": (binary(packed(), kind=0x12), Header(2, CLIENT, ENTRANCE)),
    "2 TCP6": (binary(packed(CLIENT6, ENTRANCE6), kind=TCP6), Header(2, CLIENT6, ENTRANCE6)),
    "2 TCP6 of an IPv4 client": (
        binary(packed(("::ffff:192.0.2.7", 51234), ("::ffff:198.51.100.9", 443)), kind=TCP6),
        Header(2, CLIENT, ENTRANCE),
    ),
    "2 with additions": (
        binary(packed() + tlv(0x02, b"server.example") + tlv(0x04, b"\0" * 500)),
        Header(2, CLIENT, ENTRANCE),
    ),
    "2 with additions that are none": (binary(packed() + b"\x01\xff\xff"), Header(2, CLIENT, ENTRANCE)),
    "2 Unix": (
        binary(path(b"/run/client\0junk") + path(b"/run/proxy"), kind=UNIX),
        Header(2, UnixAddress("/run/client"), UnixAddress("/run/proxy")),
    ),
    "2 Unix without names": (
        binary(path(b"") + path(b"\0proxy"), kind=UNIX),
        Header(2, UnixAddress("unix:"), UnixAddress("\0proxy")),
    ),
    "2 LOCAL": (binary(b"", kind=0, command=LOCAL), NOBODY_2),
    "2 LOCAL with anything": (binary(b"any", kind=0xFF, command=LOCAL), NOBODY_2),
    "2 UNSPEC": (binary(b"any", kind=0x00), NOBODY_2),
    "2 UNSPEC, of a family": (binary(b"any", kind=0x10), NOBODY_2),
    "2 UNSPEC, of a protocol": (binary(b"any", kind=0x01), NOBODY_2),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_understood(name: str) -> None:
    """Each family of both versions, and those that name nobody."""
    data, header = GOOD[name]
    found = read(data)
    assert found == header
    assert type(found.source) is type(header.source)


BAD: dict[str, tuple[bytes, str]] = {
    "TLS": (b"\x16\x03\x01", "begins with.*not of the PROXY protocol"),
    "HTTP": (b"GET / HTTP/1.1\r\n", "begins with"),
    "almost 1": (b"PROXY\t", "begins with"),
    "almost 2": (SIGNATURE[:-1] + b"\r", "begins with"),
    "no carriage return": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "without a carriage return"),
    "a new line at once": (b"PROXY \n", "without a carriage return"),
    "no family": (b"PROXY \r\n", "none of TCP4"),
    "another family": (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n", "'TCP5' is none of"),
    "in small letters": (b"PROXY unknown\r\n", "none of"),
    "too few words": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "six words"),
    "too many words": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "six words"),
    "two spaces": (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", "six words"),
    "of another family": (b"PROXY TCP4 ::1 ::1 1 1\r\n", "'::1' is no IPv4Address"),
    "of yet another": (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "'1.2.3.4' is no IPv6Address"),
    "octal": (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", "'1.2.3.04' is no"),
    "not ASCII": (b"PROXY TCP4 1.2.3.\xc2\xb2 1.2.3.4 1 1\r\n", "is no IPv4Address"),
    "a scope": (b"PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "has a scope"),
    "a port too high": (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "'65536' is no port"),
    "an octal port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "'01' is no port"),
    "a signed port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 +1\r\n", r"'\+1' is no port"),
    "no port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "'' is no port"),
    "a tab": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\t\r\n", "is no port"),
    "version 1 in binary": (SIGNATURE + b"\x11", "0x11"),
    "another command": (SIGNATURE + b"\x22", "0x22, neither"),
    "another family in binary": (binary(packed(), kind=0x41), "0x41 are not assigned"),
    "another protocol": (binary(packed(), kind=0x13), "0x13 are not assigned"),
    "too short for IPv4": (binary(packed()[:-1]), "11 bytes are too few"),
    "too short for IPv6": (binary(packed(), kind=TCP6), "12 bytes are too few"),
    "too short for Unix": (binary(bytes(215), kind=UNIX), "215 bytes are too few"),
    "too long": (binary(b"", size=MOST - 15), f"header of {MOST + 1} bytes is longer than {MOST}"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_none_is_refused_as_soon_as_that_can_be_known(name: str) -> None:
    """With its last byte, and not before that: all but this one could be the beginning of a good one."""
    data, text = BAD[name]
    with pytest.raises(HeaderError, match=text):
        HeaderDecoder().feed(data)
    least = {"TLS": 1, "HTTP": 1}.get(name, len(data))
    decoder = HeaderDecoder()
    for count in range(least - 1):
        assert decoder.feed(data[count : count + 1]) == 1
    assert decoder.header is None


def test_a_line_has_107_bytes_at_most() -> None:
    """The longest is taken; a longer one is refused with its 107th byte."""
    longest = b"PROXY UNKNOWN".ljust(105) + b"\r\n"
    assert read(longest) == NOBODY_1
    decoder = HeaderDecoder()
    assert decoder.feed(longest[:105] + b" ") == 106
    with pytest.raises(HeaderError, match="longer than 107 bytes"):
        decoder.feed(b"\r")


def test_a_binary_header_is_bounded() -> None:
    """The longest is taken."""
    assert read(binary(packed() + bytes(MOST - 28))) == Header(2, CLIENT, ENTRANCE)


def test_the_end_of_the_input_says_how_far_it_came() -> None:
    """For people who look at events: a health check without a word is not a header that was cut."""
    decoder = HeaderDecoder()
    assert "without a word" in str(decoder.eof())
    decoder.feed(b"PRO")
    assert "after 3 bytes" in str(decoder.eof())


# Any bytes, cut anyhow.

ports = st.integers(0, 65535)
inet = st.one_of(
    *(st.tuples(*(st.builds(InetAddress, st.ip_addresses(v=v).map(str), ports),) * 2) for v in (4, 6))
)
additions = st.lists(st.builds(tlv, st.integers(0, 255), st.binary(max_size=40)), max_size=3).map(b"".join)


@st.composite
def headers(draw: Any) -> tuple[bytes, Header]:
    """A good header, and what it says."""
    if draw(st.booleans()):
        return draw(st.sampled_from(list(GOOD.values())))  # type: ignore[no-any-return]
    pair = draw(inet)
    source, destination = (_plain(each) for each in pair)
    if draw(st.booleans()):
        return line(*pair), Header(1, source, destination)
    kind = TCP6 if ":" in pair[0].host else TCP4
    return binary(packed(*pair) + draw(additions), kind=kind), Header(2, source, destination)


def _plain(address: InetAddress) -> InetAddress:
    mapped = getattr(ipaddress.ip_address(address.host), "ipv4_mapped", None)
    return InetAddress(str(mapped or address.host), address.port)


def feed_pieces(decoder: HeaderDecoder, data: bytes, cuts: list[int]) -> int:
    """Give *data* in pieces until the header is complete; return how much of it was taken."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    taken = 0
    for begin, end in itertools.pairwise(edges):
        size = decoder.feed(data[begin:end])
        assert 0 <= size <= end - begin
        taken += size
        if decoder.header is not None:
            break
        assert size == end - begin
    return taken


cuts = st.lists(st.integers(0, 1000), max_size=12)


@given(headers(), st.binary(max_size=40), cuts)
def test_a_header_is_the_same_however_it_is_cut(
    header: tuple[bytes, Header], rest: bytes, cuts: list[int]
) -> None:
    """And what follows it is left alone, to the byte."""
    data, meant = header
    decoder = HeaderDecoder()
    assert feed_pieces(decoder, data + rest, cuts) == len(data)
    assert decoder.header == meant


@st.composite
def damaged(draw: Any) -> bytes:
    """A good header with some bytes changed, inserted, cut off; or anything at all."""
    good: bytes = draw(headers())[0]
    data = bytearray(good if draw(st.integers(0, 3)) else b"")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    end: int = draw(st.integers(0, len(data)))
    rest: bytes = draw(st.binary(max_size=60))
    return bytes(data[:end]) + rest


@given(damaged(), cuts)
@example(SIGNATURE + bytes([PROXY, TCP4, 0, 0]), [])
@example(b"PROXY \r\n", [])
def test_whatever_comes_is_a_header_or_the_documented_error(data: bytes, cuts: list[int]) -> None:
    """Or is not complete yet: the end of the input is then the error. Nothing is kept beyond the limit."""
    decoder = HeaderDecoder()
    try:
        taken = feed_pieces(decoder, data, cuts)
    except HeaderError:
        return
    assert taken <= MOST
    if decoder.header is None:
        assert taken == len(data)
        assert isinstance(decoder.eof(), HeaderError)
