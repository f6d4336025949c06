"""
What to do when accepting fails: one table, ``errno -> action``.

Sources: accept(2) of Linux ("Error handling": errors already pending on the new socket are to be treated like
EAGAIN), accept(2) of FreeBSD and macOS (ECONNABORTED), recvfrom(2), and for Windows the documentation of accept
and recvfrom (WSAECONNRESET: an earlier datagram of ours found nobody; WSAEMSGSIZE: a datagram beyond the buffer).
"""

import enum
import errno

__all__ = ("PAUSE_SECONDS", "AcceptAction", "action_for")


class AcceptAction(enum.Enum):
    """What the loop does next."""

    RETRY = "retry"
    """One arrival was lost: try the next at once."""
    PAUSE = "pause"
    """The process or the system has run out of something: look away for `PAUSE_SECONDS`, the socket is readable
    all the time."""
    STOP = "stop"
    """The listener is of no use any more, or the error is unknown: serving ends with it."""


#: Seconds. Ranch and Thousand Island wait as long, trio too: soon enough for clients, and no load.
PAUSE_SECONDS = 0.1

_ROWS: dict[AcceptAction, tuple[str, ...]] = {
    AcceptAction.RETRY: (
        # the client has gone between its arrival and our accept
        "ECONNABORTED", "ECONNRESET", "EPROTO", "ETIMEDOUT", "ECONNREFUSED",
        # network errors already pending on the new socket
        "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH",
        "EPERM",  # a firewall rule forbids this connection
        "EINTR",
        "EMSGSIZE", "WSAECONNRESET", "WSAEMSGSIZE", "WSAENETRESET",
    ),
    AcceptAction.PAUSE: ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "WSAEMFILE", "WSAENOBUFS"),
    AcceptAction.STOP: ("EBADF", "EINVAL", "ENOTSOCK", "EFAULT"),
}  # fmt: skip

ACTIONS: dict[int, AcceptAction] = {
    getattr(errno, name): action for action, names in _ROWS.items() for name in names if hasattr(errno, name)
}


def action_for(error: OSError) -> AcceptAction:
    """Look the error up; what is not in the table stops, loudly, rather than spins."""
    return ACTIONS.get(error.errno or 0, AcceptAction.STOP)
