"""
The life of a Unix socket's file: who may take a path, and who removes it (unix(7)).

A socket file outlives its server. To bind again somebody has to remove it, and must not remove that of a server
which lives: so it is asked (by a connection that does not wait), and asking, removing and binding happen under a
lock, or two servers that start together could each remove the other's. The lock is a file beside the socket,
held by flock(2) and removed by its holder.
"""

import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from .._validators import fail, fail_type
from ..errors import CompositionError, ListenError
from ._unix_rights import Rights

__all__ = ("OwnFile", "bind_unix", "check_path", "path_from_text")

#: Bytes of sockaddr_un.sun_path, with its final NUL: 108 on Linux (unix(7)), 104 on the BSDs and macOS.
SUN_PATH = 108 if sys.platform == "linux" else 104


def check_path(path: str | os.PathLike[str]) -> str:
    """
    Turn *path* into a str that a Unix socket can be bound to, or say what is wrong with it.

    Raises:
        OptionTypeError: It is neither a str nor a path object of str.
        OptionError: It is empty, holds a NUL inside, or is longer than sockaddr_un allows.
        CompositionError: It is an abstract name, and this is not Linux.
    """
    given: object = path
    if not isinstance(given, str | os.PathLike):
        raise fail_type("path", "it", given, "a str or a path object")
    text = os.fspath(given)
    if not isinstance(text, str):
        raise fail_type("path", "it", text, "a str or a path object of str")
    abstract = text.startswith("\0")
    if text in {"", "\0"} or "\0" in text[1:]:
        raise fail("path", "it", text, "a path, or '\\0' and a name, with no other NUL in it")
    if abstract and sys.platform != "linux":
        raise CompositionError(f"abstract Unix socket names such as {text!r} exist on Linux only; give a path")
    room = SUN_PATH if abstract else SUN_PATH - 1
    if (length := len(os.fsencode(text))) > room:
        raise fail("path", "it", text, f"at most {room} bytes long (it has {length}); choose a shorter folder")
    return text


def path_from_text(text: str) -> str:
    """Read a path from text that cannot hold a NUL: ``@name`` is the abstract name, ``./@name`` a file."""
    return f"\0{text[1:]}" if text.startswith("@") else text


def check_platform(owner: object) -> None:
    """Refuse to be composed where there are no Unix sockets."""
    if not hasattr(socket, "AF_UNIX"):
        raise CompositionError(f"{type(owner).__name__}: this platform has no Unix sockets; use TCP or UDP")


def bind_unix(
    path: str,
    kind: socket.SocketKind,
    rights: Rights,
    configure: Callable[[socket.socket], None] | None,
    backlog: int | None = None,
) -> tuple[socket.socket, Callable[[], None] | None]:
    """
    Open and bind a Unix socket, replacing a stale file.

    Returns:
        The socket, and what removes its file (None for an abstract name).

    Raises:
        ListenError: The path is in use by a server that lives, by a file of another kind, or not to be had.
    """
    if sys.platform == "win32":  # the transports have seen to that
        raise NotImplementedError
    try:
        sock = socket.socket(socket.AF_UNIX, kind)
    except OSError as error:
        raise ListenError.from_os_error(error, path) from error
    try:
        sock.settimeout(None)  # whatever socket.setdefaulttimeout says
        if configure is not None:
            configure(sock)
        if path.startswith("\0"):
            sock.bind(path)
            _listen(sock, backlog)
            return sock, None
        rights.before_bind(sock)
        with _locked(path):
            _remove_stale(path, kind)
            sock.bind(path)
            file = OwnFile.of(path)
            try:
                rights.after_bind(path)
                _listen(sock, backlog)  # under the lock: a bound socket that does not listen yet looks stale
            except BaseException:
                file.unlink()
                raise
            return sock, file.remove
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and not isinstance(error, ListenError):
            raise ListenError.from_os_error(error, path) from error
        raise


def _listen(sock: socket.socket, backlog: int | None) -> None:
    if backlog is not None:
        sock.listen(backlog)


def _remove_stale(path: str, kind: socket.SocketKind) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        what = "there is a file that is not a socket; it is left alone: move it away or choose another path"
        raise ListenError(errno.EADDRINUSE, path, what)
    if _lives(path, kind):
        raise ListenError(errno.EADDRINUSE, path, "a server that lives listens there; stop it first")
    os.unlink(path)


def _lives(path: str, kind: socket.SocketKind) -> bool:
    """
    Whether a process has the socket open. Only a refusal says that none has.

    A server with a full backlog answers EAGAIN to a connection that does not wait (seen), one of the other kind
    EPROTOTYPE, one of another user EACCES.
    """
    if sys.platform == "win32":
        raise NotImplementedError
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) not in {errno.ECONNREFUSED, errno.ENOENT}


@attrs.frozen
class OwnFile:
    """The file that a bind has made: removed by the process that made it, and only while it is that file."""

    path: str
    device: int
    inode: int
    pid: int

    @classmethod
    def of(cls, path: str) -> "OwnFile":
        """Take note of the file at *path*, whatever the current folder will be later."""
        found = os.lstat(path)
        return cls(os.path.abspath(path), found.st_dev, found.st_ino, os.getpid())

    def remove(self) -> None:
        """Remove it, if it is still ours. Never raises: what cannot be removed is replaced by the next bind."""
        if self.pid != os.getpid():
            return
        try:
            with _locked(self.path):
                self.unlink()
        except OSError:
            pass  # removed already, or with its folder

    def unlink(self) -> None:
        """Remove it, if it is still ours: under the lock."""
        found = os.lstat(self.path)
        if (found.st_dev, found.st_ino) == (self.device, self.inode):
            os.unlink(self.path)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of *path*."""
    folder, base = os.path.split(path)
    name = os.path.join(folder, f".{base}.sockserve-lock")  # a name that nobody else uses
    descriptor = _lock(name)
    try:
        yield
    finally:
        try:
            os.unlink(name)  # while it is held: who waits for it sees that it has gone, and makes a new one
        finally:
            os.close(descriptor)


def _lock(name: str) -> int:
    """Take the lock; it is held for microseconds, so that a second without it means that something is wrong."""
    if sys.platform == "win32":
        raise NotImplementedError
    import fcntl  # noqa: PLC0415 - Windows has none

    for _ in range(_TRIES):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(name)):
                return descriptor
        except FileNotFoundError:
            pass  # its last holder removed it between our open and our lock
        except BlockingIOError:
            time.sleep(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise ListenError(errno.EAGAIN, name, f"another process has held this lock for {_TRIES * _PAUSE} s")


_TRIES, _PAUSE = 200, 0.005
