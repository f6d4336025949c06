"""Who may use a Unix socket's file, and who is at its other end."""

import errno
import grp
import os
import pwd
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sockserve import ListenError, OptionError, OptionTypeError, UnixDatagramTransport, UnixStreamTransport
from sockserve.transports import _unix_path, _unix_peer, _unix_rights

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

AnyTransport = Any  # of both kinds, with whatever options
USER, GROUP = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")


KINDS: list[Any] = [UnixStreamTransport, UnixDatagramTransport]


@pytest.fixture(params=KINDS, ids=["stream", "datagram"])
def transport(request: pytest.FixtureRequest) -> AnyTransport:
    """Both kinds."""
    return request.param


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def rights_of(path: Path) -> tuple[int, int, int]:
    found = os.lstat(path)
    assert stat.S_ISSOCK(found.st_mode)
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[int, int, int]]:
    """The rights of the file at folder/s, as bind(2) has made it."""
    seen: list[tuple[int, int, int]] = []
    after_bind = _unix_rights.Rights.after_bind

    def note(self: _unix_rights.Rights, path: str) -> None:
        seen.append(rights_of(folder / "s"))
        after_bind(self, path)

    monkeypatch.setattr(_unix_rights.Rights, "after_bind", note)
    return seen


# Mode.


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0, 0o600, 0o660, 0o777])
def test_the_mode_is_exactly_that_of_the_file(
    transport: AnyTransport, folder: Path, made: list[tuple[int, int, int]], mode: int, mask: int
) -> None:
    """Whatever the umask; and in no moment has it had more rights."""
    with umask(mask):
        listener = transport(folder / "s", mode=mode).listen()
    assert rights_of(folder / "s")[0] == mode
    assert made[0][0] & ~mode == 0
    listener.close()
    assert os.listdir(folder) == []


def test_without_a_mode_the_umask_says_it(transport: AnyTransport, folder: Path) -> None:
    """As for every file."""
    with umask(0o027):
        listener = transport(folder / "s").listen()
    assert rights_of(folder / "s")[0] == 0o750
    listener.close()


# Owner and group.


@pytest.mark.parametrize(
    ("owner", "group"),
    [
        (USER.pw_name, GROUP.gr_name),
        (USER.pw_uid, GROUP.gr_gid),
        (str(USER.pw_uid), str(GROUP.gr_gid)),
        (None, None),
    ],
)
def test_names_and_numbers_mean_the_same(transport: AnyTransport, folder: Path, owner: Any, group: Any) -> None:
    """Of users and of groups; a number may be text, as on the command line."""
    listener = transport(folder / "s", mode=0o600, owner=owner, group=group).listen()
    assert rights_of(folder / "s") == (0o600, USER.pw_uid, GROUP.gr_gid)
    listener.close()


@as_root
@pytest.mark.parametrize(("owner", "group"), [(12345, 23456), (12345, None), (None, 23456)])
def test_a_file_is_given_away_with_no_rights_on_it(
    transport: AnyTransport, folder: Path, made: list[tuple[int, int, int]], owner: int | None, group: int | None
) -> None:
    """What the mode lets a group do is meant for that group, never for the one that the file had before."""
    listener = transport(folder / "s", mode=0o660, owner=owner, group=group).listen()
    assert made[0][0] == 0
    assert rights_of(folder / "s") == (
        0o660,
        os.geteuid() if owner is None else owner,
        os.getegid() if group is None else group,
    )
    listener.close()
    assert os.listdir(folder) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"owner": "nobody-of-this-name"}, OptionError, "owner must be a user.*'nobody-of-this-name'"),
        ({"group": "nobody-of-this-name"}, OptionError, "group must be a group"),
        ({"owner": -1}, OptionError, "owner must be a user's number, from 0.*-1"),
        ({"group": 2**32 - 1}, OptionError, "group must be a group's number"),
        ({"owner": True}, OptionTypeError, "owner.*True"),
        ({"group": b"root"}, OptionTypeError, "group.*b'root'"),
        ({"path": "\0name", "owner": 0}, OptionError, "owner.*left out: an abstract name"),
        ({"path": "\0name", "group": 0}, OptionError, "group.*left out: an abstract name"),
    ],
)
def test_who_cannot_be_is_an_error_when_it_is_composed(
    kind: AnyTransport, options: dict[str, Any], error: Any, text: str
) -> None:
    """A user that the system does not know, a number that cannot be, an abstract name, which has no file."""
    with pytest.raises(error, match=text):
        kind(**{"path": "/tmp/s", **options})


def test_what_the_system_refuses_leaves_nothing(
    transport: AnyTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what a process may; the file is removed, and so the next try finds no other server there."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(ListenError, match="owner=0, group=None: a process that is not root") as caught:
        transport(folder / "s", owner=0).listen()
    assert caught.value.errno == errno.EPERM
    assert os.listdir(folder) == []


def test_a_user_that_is_gone_is_an_error_when_it_listens(
    transport: AnyTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was known when the transport was made."""
    made = transport(folder / "s", owner=USER.pw_name)

    def unknown(name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(ListenError, match=r"knows.*no more"):
        made.listen()
    assert os.listdir(folder) == []


def test_what_takes_the_sockets_place_is_left_alone(
    transport: AnyTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that somebody puts there as soon as it is made is not followed to another file."""
    other = folder / "other"
    other.touch(0o600)
    of = _unix_path.OwnFile.of

    def replaced(path: str) -> Any:
        own = of(path)
        os.unlink(path)
        os.symlink(other, path)
        return own

    monkeypatch.setattr(_unix_path.OwnFile, "of", replaced)
    with pytest.raises(ListenError):
        transport(folder / "s", mode=0o666, owner=USER.pw_uid).listen()
    assert stat.S_IMODE(os.stat(other).st_mode) == 0o600
    assert sorted(os.listdir(folder)) == ["other", "s"]


# Who is at the other end.


def _xucred(version: int = 0, uid: int = 501, groups: int = 3) -> bytes:
    return struct.pack("IIhxx16I", version, uid, groups, 20, *range(15))


def test_macos_answer_is_read() -> None:
    """Its first group is the effective one (its sys/ucred.h); a layout that is not known says nothing."""
    unknown = (None, None, None)
    assert _unix_peer.from_xucred(_xucred(), 77) == (77, 501, 20)
    assert _unix_peer.from_xucred(_xucred(groups=0), 77) == (77, 501, None)
    assert _unix_peer.from_xucred(_xucred(version=1), 77) == unknown
    assert _unix_peer.from_xucred(_xucred()[:-4], 77) == unknown


def test_a_system_that_says_it_in_another_way_is_not_asked() -> None:
    """Nothing is known then, rather than something wrong."""
    left, right = socket.socketpair()
    with left, right:
        assert _unix_peer.asking("openbsd7")(left) == (None, None, None)
        assert _unix_peer.asking("darwin")(left) == (None, None, None)  # Linux has no such option
