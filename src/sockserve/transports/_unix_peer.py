"""Who is at the other end of a Unix stream socket, as the system says."""

import socket
import struct
import sys
from collections.abc import Callable

__all__ = ("Credentials", "asking", "credentials", "from_xucred")

#: Process, user and group; None where unknown.
Credentials = tuple[int | None, int | None, int | None]

_UNKNOWN: Credentials = (None, None, None)

#: Linux: SO_PEERCRED of unix(7).
_SO_PEERCRED: int = getattr(socket, "SO_PEERCRED", -1)
_UCRED = struct.Struct("iII")  # struct ucred of unix(7): pid_t, uid_t, gid_t
#: struct xucred of macOS's sys/ucred.h: version, user, the number of groups, 16 of them (the first is effective).
_XUCRED = struct.Struct("IIhxx16I")
_XUCRED_VERSION = 0
#: unix(4) and sys/un.h of macOS, which Python has no names for: SOL_LOCAL, LOCAL_PEERCRED, LOCAL_PEERPID.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_PID = struct.Struct("i")


def asking(platform: str) -> Callable[[socket.socket], Credentials]:
    """Choose what asks the system, by its name (`sys.platform`)."""
    return _ASKING.get(platform, _nobody)


def _nobody(_sock: socket.socket) -> Credentials:
    """Know nothing."""
    return _UNKNOWN


def _linux(sock: socket.socket) -> Credentials:
    """Ask by SO_PEERCRED (unix(7))."""
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, _UCRED.size))
    return pid, uid, gid


def _macos(sock: socket.socket) -> Credentials:
    """Ask by LOCAL_PEERCRED and LOCAL_PEERPID (unix(4))."""
    try:
        found = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        (pid,) = _PID.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, _PID.size))
    except (OSError, struct.error):
        return _UNKNOWN  # it has gone
    return from_xucred(found, pid)


def from_xucred(found: bytes, pid: int) -> Credentials:
    """Read macOS's answer; None of a layout that is not known."""
    if len(found) != _XUCRED.size:
        return _UNKNOWN
    version, uid, groups, first, *_ = _XUCRED.unpack(found)
    if version != _XUCRED_VERSION:
        return _UNKNOWN
    return pid, uid, first if groups > 0 else None


#: The other systems have each their own way, and are not asked.
_ASKING: dict[str, Callable[[socket.socket], Credentials]] = {"linux": _linux, "darwin": _macos}

#: Return the credentials of the process that has connected, of the moment when it did.
credentials: Callable[[socket.socket], Credentials] = asking(sys.platform)
