"""What the kernel knows of a listening socket, where it tells."""

import os
import socket
import struct
import sys

__all__ = ("datagrams_dropped", "queue_length")

_LINUX: bool = sys.platform.startswith("linux")
#: <netinet/tcp.h>: TCP_INFO, and TCP_LISTEN, as ``tcpi_state`` of struct tcp_info, which begins with eight bytes.
_LISTENING = 10
#: There, ``tcpi_unacked`` is the fifth of the 32-bit numbers that follow. For a socket that listens Linux puts the
#: length of its accept queue there (net/ipv4/tcp.c, tcp_get_info).
_TCP_INFO = 11
_TCP_INFO_FORM = struct.Struct("=B7x5I")
#: <asm-generic/socket.h>: SO_MEMINFO, since Linux 4.12. SK_MEMINFO_DROPS is the last of its nine numbers
#: (<linux/sock_diag.h>).
_SO_MEMINFO = 55
_MEMINFO_FORM = struct.Struct("=9I")


def _ask(fd: int, level: int, option: int, form: struct.Struct) -> tuple[int, ...] | None:
    """Read an option of the socket *fd*, whose object is somebody else's; None where there is none."""
    try:  # dup(2) of -1, where it is closed, is an error as well
        with socket.socket(fileno=os.dup(fd)) as copy:
            return form.unpack(copy.getsockopt(level, option, form.size))
    except (OSError, struct.error):
        return None  # closed meanwhile, or a kernel that knows less


def queue_length(fd: int) -> int | None:
    """Return how many clients wait to be accepted at the listening socket *fd*: TCP on Linux; None elsewhere."""
    found = _ask(fd, socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_FORM) if _LINUX else None
    return None if found is None or found[0] != _LISTENING else found[5]


def datagrams_dropped(fd: int) -> int | None:
    """Return how many datagrams found no room in the buffer of the socket *fd*: on Linux; None elsewhere."""
    found = _ask(fd, socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_FORM) if _LINUX else None
    return None if found is None else found[8]
