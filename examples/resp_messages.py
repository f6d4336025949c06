"""
The key-value store of `resp_store.py` by messages: the protocol of Redis as a framing of one's own.

    python examples/resp_messages.py --tcp 127.0.0.1:6379 --strategy selector
    redis-cli SET greeting hello EX 60
    redis-benchmark -t set,get -P 16 -q

The framing says where a command ends, the handler what it gives; neither has seen a socket. A client that sends
what is no command is cut off.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from _choose import TCP, UNIX, CommandLine
from _resp import MAX_BYTES, MAX_LINE, MAX_STRINGS, ProtocolError, encode, encode_error, split_inline
from resp_store import CommandError, Quit, Store, execute
from sockserve import IncompleteMessage, MessageError, MessageHandler, MessageTooLong


@attrs.frozen
class Resp:
    """
    A message is one command as it was sent: an array of strings, or a line that was typed by hand.

    Args:
        max_length: Bytes of a command.
    """

    max_length: int = MAX_BYTES

    def decoder(self) -> "RespDecoder":
        """Make the decoder of one connection."""
        return RespDecoder(self.max_length)

    def encode(self, message: bytes, /) -> bytes:
        """Return *message*: the handler encodes its replies itself, since each kind has its form."""
        return message


_ARRAY = re.compile(rb"\*(-?[0-9]{1,10})\r?\n")
_STRING = re.compile(rb"\$([0-9]{1,10})\r?\n")


class RespDecoder:
    """Finds the ends of commands. What it has looked at it does not look at again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0  # how far the command was read
        self._seen = 0  # how far its next line was searched for its end
        self._missing = 0  # strings that the command still lacks
        self._string_end = 0  # where the string ends that was begun

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """Yield the commands that *data* completes."""
        self._held += data
        while self._read_on():
            yield bytes(self._held[: self._at])
            del self._held[: self._at]
            self._at = self._seen = 0

    def eof(self) -> Iterable[bytes]:
        """Nothing more comes."""
        if self._held:
            raise IncompleteMessage(len(self._held))
        return ()

    def _read_on(self) -> bool:
        """Read as much of the command as there is; whether that is all of it."""
        if not self._missing:
            if not self._line():
                return False
            if not self._held.startswith(b"*"):
                return True
            self._missing = max(0, self._number(_ARRAY, 0, MAX_STRINGS))
        while self._missing:
            if not self._string_end:
                start = self._at
                if not self._line():
                    return False
                self._string_end = self._at + self._number(_STRING, start, self._limit) + 2
            if self._string_end > self._limit:
                raise MessageTooLong(self._limit, "a command")
            if len(self._held) < self._string_end:
                return False
            self._at = self._seen = self._string_end
            self._string_end = 0
            self._missing -= 1
        return True

    def _line(self) -> bool:
        """Read a line; whether it is there."""
        end = self._held.find(b"\n", self._seen)
        if (len(self._held) if end < 0 else end) - self._at > MAX_LINE:
            raise MessageTooLong(MAX_LINE, "a line")
        self._at, self._seen = (self._at, len(self._held)) if end < 0 else (end + 1, end + 1)
        return end >= 0

    def _number(self, form: re.Pattern[bytes], start: int, most: int) -> int:
        found = form.match(self._held, start)
        if found is None or (number := int(found[1])) > most:
            raise MessageError(f"no command: {bytes(self._held[start : start + 40])!r}")
        return number


def strings(command: bytes) -> list[bytes]:
    """Take a command apart, whose form the framing has seen to."""
    if not command.startswith(b"*"):
        return split_inline(command.rstrip(b"\r\n"))
    found = []
    at = command.index(b"\n") + 1
    while at < len(command):
        start = command.index(b"\n", at) + 1
        end = start + int(command[at + 1 : start])
        found.append(command[start:end])
        at = end + 2
    return found


class RespHandler(MessageHandler):
    """Answers one client."""

    framing = Resp()

    def __init__(self, *request: Any, store: Store) -> None:
        super().__init__(*request)
        self.store = store

    def respond(self, message: bytes) -> bytes | None:
        """Run one command."""
        try:
            command = strings(message)
            return encode(execute(self.store, *command)) if command else None
        except CommandError as failure:
            return encode_error(str(failure))
        except Quit:
            self.close()
            return encode("OK")
        except ProtocolError as failure:
            self.close()
            return encode_error(f"Protocol error: {failure}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a store until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.serve(command.parse_args(arguments), functools.partial(RespHandler, store=Store()))


if __name__ == "__main__":
    main()
