"""Attacks: floods, jumps of the clock, full disks. Those that take long are in `tests/attacks`."""

import contextlib
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinds import STRATEGIES, EchoLines, receive
from sockserve import (
    Limits,
    ListenError,
    Server,
    SyncStrategy,
    TcpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from tls_kit import connect_raw

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


@pytest.mark.parametrize("name", ["sync", "thread", "pool", "fork", "selector"])
@pytest.mark.parametrize("connections", [None, 5])
def test_a_flood_of_connections_leaves_the_server_as_it_was(name: str, connections: int | None) -> None:
    """Many clients come and are reset, most of them while they still wait; then one is answered."""
    many = 10 if name == "fork" else 300
    limits = Limits(connections=connections)
    with Server(TcpTransport(("127.0.0.1", 0)), STRATEGIES[name](), EchoLines, limits=limits).running() as server:
        with contextlib.ExitStack() as stack:
            for _ in range(many):
                client = stack.enter_context(connect_raw(server.address))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends by a reset
        with connect_raw(server.address) as client:
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
        assert server.stats.active <= 1 + (connections or many)


def test_the_clock_may_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time as people tell it is never asked: nothing is early or late because somebody sets the clock."""

    def asked() -> float:
        raise AssertionError("time.time() was asked")

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", asked)
        with Server(
            TcpTransport(("127.0.0.1", 0)), STRATEGIES["selector"](), EchoLines, timeout=1
        ).running() as server:
            with connect_raw(server.address) as client:
                client.sendall(b"x\n")
                assert receive(client, 2) == b"x\n"
    folder = Path(__file__).parent.parent / "src"
    told = [str(path) for path in folder.rglob("*.py") if "import time" in path.read_text()]
    assert told, "no module was found"
    assert [path for path in told if "time.time(" in Path(path).read_text()] == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, on which there is no room for one more file."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a file system that is full takes root, and the program mount, to make")
    # One inode is the folder's own.
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "nr_inodes=1", "sockserve-test", str(folder)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", [UnixStreamTransport, UnixDatagramTransport])
def test_a_full_disk_is_an_error_that_names_the_path(
    full: Path, kind: type[UnixStreamTransport] | type[UnixDatagramTransport]
) -> None:
    """Before anything is served; and no descriptor is left open."""
    with pytest.raises(ListenError, match=r"control\.sock") as caught:
        Server(kind(str(full / "control.sock")), SyncStrategy(), lambda *_: None).listen()
    assert caught.value.errno == errno.ENOSPC
