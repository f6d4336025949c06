"""
A chat: what one says, all the others read. The code is the same in threads and on the selector table.

    python examples/chat.py --tcp 127.0.0.1:7000 --strategy selector
    nc 127.0.0.1 7000

The first line is one's name. A member has a queue of what is to be read: who speaks waits for nobody, and who does
not read is cut off when the queue is full. In threads a member has two, one that reads and one that writes; on the
table `alongside` and `Queue` park, and one thread serves all.
"""

import functools
import queue
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from _choose import SHARED_MEMORY, TCP, UNIX, CommandLine
from sockserve import Lock, Queue, StreamRequestHandler, alongside

__all__ = ("ChatHandler", "Member", "Room")

#: Bytes of a line.
MAX_LINE: Final = 500
#: Lines that are kept for a member who reads slowly.
KEPT: Final = 100
NAME = re.compile(r"\w{1,20}")


@attrs.define(eq=False)
class Member:
    """Somebody in the room, and what is still to be read."""

    name: str
    request: socket.socket
    unread: Queue[bytes | None] = attrs.field(factory=functools.partial(Queue, KEPT))

    def hear(self, line: bytes | None) -> None:
        """Put a line with the others, or None at the end. It waits for nobody."""
        try:
            self.unread.put_nowait(line)
        except queue.Full:
            self.cut_off()

    def cut_off(self) -> None:
        """End both directions: whoever reads or writes for this member hears of it."""
        try:
            self.request.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already

    def read_out(self) -> None:
        """Send what is to be read, until the end of it or of the member."""
        while (line := self.unread.get()) is not None:
            try:
                self.request.sendall(line)
            except OSError:
                self.cut_off()
                return


@attrs.define(eq=False)
class Room:
    """Who is here. The lock is held for a few instructions, none of which waits."""

    members: dict[str, Member] = attrs.field(factory=dict)
    lock: Lock = attrs.field(factory=Lock)

    @contextmanager
    def joined(self, member: Member) -> Iterator[bool]:
        """Be in the room during a block, which is told whether the name was free."""
        with self.lock:
            free = member.name not in self.members
            if free:
                self.members[member.name] = member
        if not free:
            yield False
            return
        self.say(f"* {member.name} is here", but=member)
        try:
            yield True
        finally:
            with self.lock:
                del self.members[member.name]
            self.say(f"* {member.name} has left")

    def say(self, text: str, *, but: Member | None = None) -> None:
        """Let all hear it, but one."""
        with self.lock:
            hearers = [member for member in self.members.values() if member is not but]
        for member in hearers:
            member.hear(f"{text}\n".encode())

    def names(self) -> str:
        """Who is here."""
        with self.lock:
            return ", ".join(sorted(self.members))


class ChatHandler(StreamRequestHandler):
    """Serves one member."""

    def __init__(self, *request: Any, room: Room) -> None:
        self.room = room  # first: the base class does all the work while it is made
        super().__init__(*request)

    def handle(self) -> None:
        self.wfile.write(b"your name?\n")
        name = self.line()
        if name is None or not NAME.fullmatch(name):
            self.wfile.write(b"that is no name\n")
            return
        member = Member(name, self.request)
        with self.room.joined(member) as free:
            if not free:
                self.wfile.write(b"somebody has that name\n")
                return
            member.hear(f"here are: {self.room.names()}\n".encode())
            with alongside(member.read_out):
                try:
                    self.listen(member)
                finally:
                    member.hear(None)

    def listen(self, member: Member) -> None:
        """Pass on what the member says."""
        while (text := self.line()) is not None:
            self.room.say(f"{member.name}: {text}", but=member)

    def line(self) -> str | None:
        """Read a line that can be shown; None at the end, or where what comes is no line."""
        try:
            data = self.rfile.readline(MAX_LINE)
        except ConnectionResetError:
            return None
        if not data.endswith(b"\n"):
            return None
        text = data.decode(errors="replace").rstrip("\r\n")
        return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX, strategies=SHARED_MEMORY)
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(ChatHandler, room=Room()))


if __name__ == "__main__":
    main()
