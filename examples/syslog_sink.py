r"""
A syslog receiver: RFC 3164 and RFC 5424, by UDP, a Unix datagram socket, or both; one line for each message.

    python examples/syslog_sink.py --udp 127.0.0.1:5514 --unix-datagram /run/user/1000/log --output messages.log
    logger --udp -n 127.0.0.1 -P 5514 it works
    logger -u /run/user/1000/log so does this

A line is ``TIME HOST FACILITY.SEVERITY APP[PID]: MESSAGE``, the time as it was sent. What cannot be printed is
escaped as in Python (``\n``), so that no message can pass for two. The structured data of RFC 5424 is left out.
"""

import functools
import io
import re
import socket
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from _choose import UDP, UNIX_DATAGRAM, CommandLine, checked
from sockserve import DatagramRequestHandler, InetAddress

#: By number (RFC 5424, 6.2.1), named as in syslog.conf(5).
FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8))),
)
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: For a message without a usable priority: user.notice (RFC 3164, 4.3.3).
DEFAULT_PRIORITY: Final = 13
#: What RFC 5424 writes where there is nothing to say.
NIL: Final = "-"

PRIORITY = re.compile(r"<(0|[1-9][0-9]{0,2})>")
NEW_STYLE = re.compile(  # RFC 5424, 6
    r"""1\ (?P<time>\S+)\ (?P<host>\S{1,255})\ (?P<app>\S{1,48})\ (?P<pid>\S{1,128})\ \S{1,32}\ # and the MSGID
        (?:-|(?:\[(?:[^]"]|"(?:[^"\\]|\\.)*+")*+])++)(?:\ \ufeff?(?P<text>.*))?""",
    re.VERBOSE | re.DOTALL,
)
OLD_STYLE = re.compile(  # RFC 3164, 4.1; programs on the same machine leave the host out
    r"""(?P<time>[A-Z][a-z]{2}\ [ 0-9][0-9]\ [0-9]{2}:[0-9]{2}:[0-9]{2})\ (?:(?P<host>[^\s[]*[^\s[:])\ )?
        (?:(?P<app>[^\s:[\]]{1,48})(?:\[(?P<pid>[^]\s]*)])?:\ ?)?(?P<text>.*)""",
    re.VERBOSE | re.DOTALL,
)


@attrs.frozen(kw_only=True)
class Message:
    """What one datagram said."""

    facility: str
    severity: str
    time: str
    host: str
    app: str | None
    pid: str | None
    text: str

    def line(self) -> str:
        """Write it on one line."""
        pid = f"[{self.pid}]" if self.pid else ""
        tag = f"{self.app}{pid}: " if self.app else ""
        return printable(f"{self.time} {self.host} {self.facility}.{self.severity} {tag}{self.text}")


def printable(text: str) -> str:
    """Escape control characters, line separators and whatever else would not be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def parse(packet: bytes, host: str, time: str) -> Message:
    """
    Read a message; *host* and *time*, the sender and now, stand in for what it does not say.

    There is no error: what cannot be read is kept whole, as text (RFC 3164, 4.3).
    """
    text = packet.rstrip(b"\r\n\0").decode(errors="backslashreplace")
    priority = DEFAULT_PRIORITY
    found = PRIORITY.match(text)
    header = None
    if found and int(found[1]) < 8 * len(FACILITIES):
        priority, text = int(found[1]), text[found.end() :]
        header = NEW_STYLE.fullmatch(text) or OLD_STYLE.fullmatch(text)
    fields = header.groupdict() if header else {"text": text}
    said = {name: value for name, value in fields.items() if value not in {None, "", NIL}}
    return Message(
        facility=FACILITIES[priority >> 3],
        severity=SEVERITIES[priority & 7],
        time=said.get("time", time),
        host=said.get("host", host),
        app=said.get("app"),
        pid=said.get("pid"),
        text=fields["text"] or "",
    )


def append_to(path: str) -> io.FileIO:
    """Open a file for `Sink`: without a buffer, of which a forked child would have a copy."""
    return io.FileIO(path, "a")


@attrs.frozen
class Sink:
    """Where the lines go: each in one write to a file that is only appended to, so that all stay whole."""

    file: io.FileIO
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def write(self, line: str) -> None:
        """Write *line*."""
        with self.lock:
            self.file.write(line.encode() + b"\n")


class SyslogHandler(DatagramRequestHandler):
    """Takes a message. It never replies."""

    def __init__(self, *request: Any, sink: Sink) -> None:
        self.sink = sink  # first: the base class does all the work while it is made
        super().__init__(*request)

    def handle(self) -> None:
        """Write the message down, with what only the receiver knows: the sender, and the time."""
        client = self.client_address
        host = client.host if isinstance(client, InetAddress) else socket.gethostname()
        time = datetime.now().astimezone().isoformat(timespec="seconds")
        self.sink.write(parse(self.packet, host, time).line())


def main(arguments: Sequence[str] | None = None) -> None:
    """Receive until told to stop."""
    command = CommandLine(__doc__, UDP, UNIX_DATAGRAM)
    command.add_argument("--output", metavar="FILE", type=checked(append_to), help="instead of stdout")
    options = command.parse_args(arguments)
    with options.output or io.FileIO(sys.stdout.fileno(), "a", closefd=False) as file:
        command.serve(options, functools.partial(SyslogHandler, sink=Sink(file)))


if __name__ == "__main__":
    main()
