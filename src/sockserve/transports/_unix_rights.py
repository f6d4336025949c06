"""
Who may use the file of a Unix socket: mode, owner and group, as they were asked for, from the first client on.

bind(2) takes the umask off a new socket's mode, as open(2) does off a file's (unix(7)); to set the umask for the
time of the call would be felt by every other thread. So the file is made with no more rights than it is to have,
and is given the rest while it is known to be ours: for connections before the socket listens, which nobody can
connect to until then.
"""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import attrs

from .._validators import fail, fail_type
from ..errors import ListenError

__all__ = ("Rights", "check_group", "check_mode", "check_owner")

Id = str | int | None


def check_mode(owner: object, attribute: "attrs.Attribute[int | None]", value: object) -> None:
    """Accept None and, where there is a file, its permission bits."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise fail_type(owner, attribute.name, value, "permission bits such as 0o660, or None")
    if not 0 <= value <= 0o777:
        raise fail(owner, attribute.name, oct(value), "permission bits from 0 to 0o777")
    _check_file(owner, attribute.name, oct(value))


def _check_file(owner: object, name: str, value: object) -> None:
    if getattr(owner, "path", "").startswith("\0"):
        raise fail(owner, name, value, "left out: an abstract name has no file and no permissions")


def check_owner(owner: object, attribute: "attrs.Attribute[Id]", value: Id) -> None:
    """Accept None and, where there is a file, a user that the system knows, or a number."""
    _check_id(owner, attribute.name, value, _user, "a user")


def check_group(owner: object, attribute: "attrs.Attribute[Id]", value: Id) -> None:
    """Accept None and, where there is a file, a group that the system knows, or a number."""
    _check_id(owner, attribute.name, value, _group, "a group")


def _check_id(owner: object, name: str, value: object, find: Callable[[str], int], what: str) -> None:
    if value is None or sys.platform == "win32":
        return
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise fail_type(owner, name, value, f"{what}'s name or number, or None")
    _check_file(owner, name, value)
    try:
        number = _number(value, find)
    except KeyError:
        raise fail(owner, name, value, f"{what} that this system knows, or a number") from None
    if not 0 <= number < 2**32 - 1:  # that one means "leave it" (chown(2))
        raise fail(owner, name, value, f"{what}'s number, from 0 to {2**32 - 2}")


def _number(value: str | int, find: Callable[[str], int]) -> int:
    """Look a name up; one of digits that nobody has is a number, as for chown(1)."""
    if isinstance(value, int):
        return value
    try:
        return find(value)
    except KeyError:
        if value.isascii() and value.isdigit():
            return int(value)
        raise


def _user(name: str) -> int:
    if sys.platform == "win32":
        raise NotImplementedError
    import pwd  # noqa: PLC0415 - Windows has none

    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    if sys.platform == "win32":
        raise NotImplementedError
    import grp  # noqa: PLC0415 - Windows has none

    return grp.getgrnam(name).gr_gid


@attrs.frozen
class Rights:
    """
    What the file is to have; None leaves what it gets by itself.

    Args:
        mode: Permission bits.
        owner: A user's name or number.
        group: A group's name or number.
    """

    mode: int | None
    owner: Id
    group: Id

    def before_bind(self, sock: socket.socket) -> None:
        """Let bind(2) make the file with no more rights than it is to have: none, while it is another's."""
        if self.mode is None or sys.platform == "win32":
            return
        given_away = self.owner is not None or self.group is not None
        # Only Linux takes the file's mode from the socket's. The others refuse, and give it in `after_bind`.
        with suppress(OSError):
            os.fchmod(sock.fileno(), 0 if given_away else self.mode)

    def after_bind(self, path: str) -> None:
        """
        Give the file what is missing.

        Raises:
            OSError: The system refused: only root gives a file away, or to a group that the process is not in.
        """
        if self.mode is None and self.owner is None and self.group is None:
            return
        with _pinned(path) as file:
            if self.owner is not None or self.group is not None:
                self._give_away(path, file)
            if self.mode is not None and stat.S_IMODE(os.stat(file).st_mode) != self.mode:
                os.chmod(file, self.mode)

    def _give_away(self, path: str, file: str) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        asked = f"owner={self.owner!r}, group={self.group!r}"
        try:
            user = -1 if self.owner is None else _number(self.owner, _user)
            group = -1 if self.group is None else _number(self.group, _group)
            os.chown(file, user, group)
        except KeyError as error:
            raise ListenError(errno.EINVAL, path, f"{asked}: the system knows {error} no more") from error
        except PermissionError as error:
            what = f"{asked}: a process that is not root may only choose a group that it is in"
            raise ListenError(error.errno or 0, path, what) from error


@contextmanager
def _pinned(path: str) -> Iterator[str]:
    """
    Give a name of the socket's file, of that and of no other, whatever somebody puts in its place meanwhile.

    A link to another file, in a folder that others may write to, would else give that one away.
    """
    if sys.platform != "linux":
        _check_socket(path, os.lstat(path))
        yield path
        return
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_socket(path, os.fstat(fd))
        name = f"/proc/self/fd/{fd}"
        yield name if os.path.exists(name) else path  # not so where /proc is not mounted
    finally:
        os.close(fd)


def _check_socket(path: str, found: os.stat_result) -> None:
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(errno.EADDRINUSE, path, "the socket was replaced by another file as soon as it was made")
