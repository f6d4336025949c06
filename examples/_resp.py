"""
RESP2, the protocol of Redis: bytes in, commands out, and the encoding of replies. No socket is in sight.

What a client can make the server hold is bounded: a line, the number of strings in a command, their bytes.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final, TypeAlias

__all__ = ("CommandParser", "ProtocolError", "Reply", "encode", "encode_error", "text")

#: Bytes of a line (Redis: PROTO_INLINE_MAX_SIZE).
MAX_LINE: Final = 64 * 1024
#: Strings in one command; Redis takes 1,048,576.
MAX_STRINGS: Final = 64 * 1024
#: Bytes of all strings in one command; Redis takes 512 MiB for each.
MAX_BYTES: Final = 1024 * 1024

#: What a command gives: a status, a number, a string, nothing, or several of these.
Reply: TypeAlias = "str | int | bytes | list[Reply] | None"

_LENGTH = re.compile(rb"-?[0-9]{1,10}")


def encode(reply: Reply) -> bytes:
    """Encode a reply."""
    match reply:
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case str():
            return b"+%b\r\n" % reply.encode()
        case list():
            return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
        case None:
            return b"$-1\r\n"


def encode_error(message: str) -> bytes:
    """Encode an error; *message* is one line."""
    return f"-ERR {message}\r\n".encode()


def text(data: bytes) -> str:
    """Show what a client sent in a message: short, and on one line."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", data[:128].decode(errors="backslashreplace"))


class ProtocolError(Exception):
    """The client cannot be understood: what else it sends could mean anything."""


class CommandParser:
    """Turns what one client sends, however it was cut on the way, into commands: lists of strings."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # how far the buffer was read
        self._strings: list[bytes] = []
        self._missing = 0  # strings that this command still lacks
        self._length: int | None = None  # of the next string, once its header was read
        self._room = MAX_BYTES

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """
        Yield the commands that *data* completes.

        Raises:
            ProtocolError: What came is no command.
        """
        self._buffer += data
        while (command := self._command()) is not None:
            if command:  # an empty one is legal, and has no reply
                yield command
        del self._buffer[: self._at]
        self._at = 0

    def _command(self) -> list[bytes] | None:
        """Read one command, or as much as there is of it."""
        if not self._missing:
            line = self._line()
            if line is None or not line.startswith(b"*"):
                return line if line is None else split_inline(line)
            self._missing = max(0, _number(line, -MAX_BYTES, MAX_STRINGS, "invalid multibulk length"))
            self._strings, self._room = [], MAX_BYTES
        while self._missing:
            string = self._string()
            if string is None:
                return None
            self._strings.append(string)
            self._missing -= 1
        return self._strings

    def _string(self) -> bytes | None:
        if self._length is None:
            line = self._line()
            if line is None:
                return None
            if not line.startswith(b"$"):
                raise ProtocolError(f"expected '$', got '{text(line[:1])}'")
            self._length = _number(line, 0, self._room, "invalid bulk length")
            self._room -= self._length
        end = self._at + self._length
        if len(self._buffer) < end + 2:
            return None
        if not self._buffer.startswith(b"\r\n", end):
            raise ProtocolError("expected the end of a bulk string")  # Redis reads on, out of step
        string = bytes(self._buffer[self._at : end])
        self._at, self._length = end + 2, None
        return string

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._at)
        if (len(self._buffer) if end < 0 else end) - self._at > MAX_LINE:
            raise ProtocolError("too big inline request")
        if end < 0:
            return None
        line = bytes(self._buffer[self._at : end])
        self._at = end + 1
        return line.removesuffix(b"\r")


def split_inline(line: bytes) -> list[bytes]:
    """Split a command that was typed by hand; quotes hold words together."""
    if b'"' not in line and b"'" not in line:
        return line.split()
    try:
        words = shlex.split(line.decode("latin-1"))
    except ValueError as failure:
        raise ProtocolError("unbalanced quotes in request") from failure
    return [word.encode("latin-1") for word in words]


def _number(line: bytes, low: int, high: int, otherwise: str) -> int:
    if _LENGTH.fullmatch(line, 1) and low <= (number := int(line[1:])) <= high:
        return number
    raise ProtocolError(otherwise)
