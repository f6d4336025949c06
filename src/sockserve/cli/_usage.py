"""What is wrong with a command, said in one line; and the exit statuses."""

from ..addresses import InetAddress
from ..errors import ListenError

__all__ = ("FAILED", "INTERRUPTED", "OK", "USAGE", "UsageError", "one_line", "refusal")

#: A signal or a handler has ended it, and what was in flight has finished or was cut off at the end of the grace.
OK = 0
#: Serving failed.
FAILED = 1
#: The command, or what it names, cannot work: nothing was served.
USAGE = 2
#: Ctrl-C before anything was served: 128 and the number of the signal, as shells have it.
INTERRUPTED = 130


class UsageError(Exception):
    """The command cannot work. The text is for people, and one line."""


def one_line(text: str) -> str:
    """Put *text* in one line."""
    return " ".join(text.split())


def refusal(error: ListenError) -> str:
    """Say why an address cannot be listened at, with the address as it is typed."""
    address = error.address
    text = error.strerror or str(error)
    return text.replace(repr(address), str(address)) if isinstance(address, InetAddress) else text
