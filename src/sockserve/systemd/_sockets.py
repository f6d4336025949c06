"""Sockets that systemd has opened (sd_listen_fds(3))."""

import errno
import os
import socket
from typing import NamedTuple, TypeVar, overload

from ..errors import CompositionError, OptionError
from ..transports import AdoptedTransport

__all__ = ("ActivatedSocket", "activated", "transport")

T = TypeVar("T")

#: The first descriptor that is handed over: SD_LISTEN_FDS_START.
FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
#: What systemd calls a socket without ``FileDescriptorName=`` that it has no other name for.
_NAMELESS = "unknown"


class ActivatedSocket(NamedTuple):
    """
    One socket that was handed over: its descriptor, which is this process's, to be closed by whoever takes it; and
    its name, that of the ``.socket`` unit, or what the unit says as ``FileDescriptorName=``. Several may have one.
    """

    fd: int
    name: str


def activated(name: str | None = None, *, unset_environment: bool = False) -> list[ActivatedSocket]:
    """
    Return the sockets that were handed to this process, in the order of the units: none where there are none.

    Programs that this one starts do not inherit them (FD_CLOEXEC is set).

    Args:
        name: Only those with this name; None: all.
        unset_environment: Remove the variables, so that a later call finds nothing. False: what a child inherits
            of them names its parent's process, and means nothing there.

    Raises:
        OptionError: What the variables say cannot be, or there is no open descriptor behind it.
    """
    found = _handed_over()
    if unset_environment:
        for variable in _VARIABLES:
            os.environ.pop(variable, None)
    return [each for each in found if name is None or each.name == name]


def _handed_over() -> list[ActivatedSocket]:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []  # not started so, or by a parent that was
    said = os.environ.get("LISTEN_FDS", "")
    if not (said.isascii() and said.isdigit()):
        raise OptionError(f"LISTEN_FDS must be a number of sockets, not {said!r}; systemd sets it")
    count = int(said)
    names = os.environ["LISTEN_FDNAMES"].split(":") if "LISTEN_FDNAMES" in os.environ else [_NAMELESS] * count
    if len(names) != count and count:
        raise OptionError(f"LISTEN_FDNAMES has {len(names)} names for {count} sockets; systemd sets it")
    found = [ActivatedSocket(FIRST + number, names[number]) for number in range(count)]
    for fd, name in found:
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            raise OptionError(
                f"LISTEN_FDS={count}, and descriptor {fd} ({name!r}) is not open: something has closed it since"
            ) from error
    return found


@overload
def transport(name: str | None = None) -> AdoptedTransport: ...
@overload
def transport(name: str | None = None, *, otherwise: T) -> AdoptedTransport | T: ...


def transport(name: str | None = None, *, otherwise: T | None = None) -> AdoptedTransport | T:
    """
    Return the transport of one socket that systemd has opened: of streams or datagrams, IP or Unix, as that says.

    Args:
        name: Which, where the units have opened several.
        otherwise: What is returned where systemd has handed over nothing: for starting the program by hand.

    Raises:
        CompositionError: There is no such socket, or more than one, or it cannot be served.
        OptionError: See `activated`.

    Resource handling:
        The server of the transport closes this process's descriptor; systemd keeps its own, and clients wait there
        for the next process. A Unix socket's file is systemd's to remove.
    """
    found = activated()
    if not found:
        if otherwise is not None:
            return otherwise
        raise CompositionError(
            "systemd has handed no socket to this process: start it by its .socket unit, or by "
            "`systemd-socket-activate -l 9000 program`"
        )
    chosen = [each for each in found if name is None or each.name == name]
    if len(chosen) != 1:
        names = ", ".join(repr(each.name) for each in found)
        wanted = "one socket" if name is None else f"one with the name {name!r}"
        raise CompositionError(
            f"systemd has handed over {names}: not just {wanted}; say which, by a name that FileDescriptorName= "
            "gives to one .socket unit with one address"
        )
    return _adopt(chosen[0])


def _adopt(handed: ActivatedSocket) -> AdoptedTransport:
    if _connected(handed.fd):
        raise CompositionError(
            f"the socket {handed.name!r} is one client's connection: its .socket unit says Accept=yes, for a "
            "process for each; leave that out, so that this one serves them all"
        )
    return AdoptedTransport(handed.fd)


def _connected(fd: int) -> bool:
    try:
        sock = socket.socket(fileno=os.dup(fd))
    except OSError:
        return False  # it is none: AdoptedTransport says so
    with sock:
        try:
            sock.getpeername()
        except OSError:
            return False
        return True
