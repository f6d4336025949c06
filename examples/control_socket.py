"""
The control socket of a small daemon: a line a command, over a Unix socket that only its owner may open.

    python examples/control_socket.py --unix /run/user/1000/daemon.sock
    socat - UNIX-CONNECT:/run/user/1000/daemon.sock
    help

The strategies on offer share memory: under fork, what ``set`` changed would be gone with the connection.
"""

import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import attrs

from _choose import SHARED_MEMORY, CommandLine, Way
from sockserve import StreamRequestHandler, UnixAddress, UnixStreamTransport

#: Bytes of a line.
MAX_LINE: Final = 4096


@attrs.define(eq=False)
class Daemon:
    """What is controlled. The operations on a dict that are used here are atomic: no lock is needed."""

    settings: dict[str, str] = attrs.field(factory=dict)
    started: float = attrs.field(factory=time.monotonic)


class ControlHandler(StreamRequestHandler[UnixAddress]):
    """Talks to one operator, until one of the two has had enough."""

    #: Seconds without a command after which the operator is sent away.
    timeout: ClassVar[float | None] = 60.0

    def __init__(self, *request: Any, daemon: Daemon) -> None:
        self.daemon = daemon  # first: the base class does all the work while it is made
        self.going_on = True
        super().__init__(*request)

    def handle(self) -> None:
        """Answer line by line."""
        try:
            while self.going_on and (line := self.rfile.readline(MAX_LINE)):
                self.say(self.obey(line))
        except TimeoutError:
            self.say("error: idle for too long")

    def say(self, text: str) -> None:
        """Send *text* and the end of the line."""
        self.wfile.write(f"{text}\n".encode())

    def obey(self, line: bytes) -> str:
        """Do what *line* says, and return what to say."""
        if not line.endswith(b"\n"):  # longer than a command can be, or cut off: not to be obeyed by halves
            self.going_on = False
            return "error: not a line"
        name, *arguments = line.decode(errors="backslashreplace").strip().split(maxsplit=2) or [""]
        command = COMMANDS.get(name)
        if command is None:
            return f"error: no command {name!r}; try help"
        function, usage, _ = command
        if len(arguments) != len(usage.split()):
            return f"usage: {name} {usage}".rstrip()
        return function(self, *arguments)

    def do_help(self) -> str:
        """List the commands."""
        return "\n".join(f"{f'{name} {usage}':<15} {what}" for name, (_, usage, what) in COMMANDS.items())

    def do_status(self) -> str:
        """Say how the daemon is."""
        stats = self.server.stats
        up = time.monotonic() - self.daemon.started
        return f"pid {os.getpid()}, up {up:.0f} s, operators {stats.active}, before them {stats.finished}"

    def do_set(self, key: str, value: str) -> str:
        """Change a setting."""
        self.daemon.settings[key] = value
        return "ok"

    def do_get(self, key: str) -> str:
        """Tell a setting."""
        value = self.daemon.settings.get(key)
        return f"error: {key!r} is not set" if value is None else value

    def do_whoami(self) -> str:
        """Tell who the kernel says has connected (unix(7), SO_PEERCRED); nobody can claim to be another."""
        client = self.client_address
        return f"pid {client.pid} uid {client.uid} gid {client.gid}"

    def do_stop(self) -> str:
        """Stop the daemon. The other operators have a second to finish; asking never blocks."""
        self.server.request_stop(grace=1)
        self.going_on = False
        return "stopping"


#: Name: what does it, its arguments, and what to say of it.
COMMANDS: dict[str, tuple[Callable[..., str], str, str]] = {
    "help": (ControlHandler.do_help, "", "this list"),
    "status": (ControlHandler.do_status, "", "how the daemon is"),
    "set": (ControlHandler.do_set, "KEY VALUE", "change a setting"),
    "get": (ControlHandler.do_get, "KEY", "tell a setting"),
    "whoami": (ControlHandler.do_whoami, "", "who you are to the daemon"),
    "stop": (ControlHandler.do_stop, "", "stop the daemon"),
}

PRIVATE = Way("--unix", "PATH", "the control socket", functools.partial(UnixStreamTransport, mode=0o600))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve operators until one says stop."""
    command = CommandLine(__doc__, PRIVATE, strategies=SHARED_MEMORY)
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(ControlHandler, daemon=Daemon()))


if __name__ == "__main__":
    main()
