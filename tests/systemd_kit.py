"""Being systemd, as far as a service can tell."""

import contextlib
import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from recorder import FAILSAFE
from sockserve.systemd import _sockets

_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)  # Windows has none

#: Far above what a process of the tests has open.
_FIRST = 700


def _made(kind: str, folder: Path | None) -> socket.socket:
    if kind == "connection":
        left, right = socket.socketpair()
        right.close()
        return left
    if kind == "unix":
        assert folder is not None
        sock = socket.socket(_AF_UNIX)
        sock.bind(str(folder / "activated"))
    else:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
    if kind != "datagram":
        sock.listen()
    return sock


@contextlib.contextmanager
def handed_over(
    monkeypatch: pytest.MonkeyPatch, names: str, *kinds: str, folder: Path | None = None
) -> Iterator[int]:
    """Hand sockets of these kinds over to this process; the first one's descriptor. Those not taken are closed."""
    monkeypatch.setattr(_sockets, "FIRST", _FIRST)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", str(len(kinds)))
    monkeypatch.setenv("LISTEN_FDNAMES", names)
    for number, kind in enumerate(kinds):
        with _made(kind, folder) as sock:
            os.dup2(sock.fileno(), _FIRST + number, inheritable=True)
    try:
        yield _FIRST
    finally:
        for number in range(len(kinds)):
            with contextlib.suppress(OSError):
                os.close(_FIRST + number)


#: As systemd does between fork and exec.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="activated.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""


def handing_over(sock: socket.socket, *program: str) -> list[str]:
    """Give the command that starts a program with this socket; the descriptor is to be passed on."""
    return [sys.executable, "-S", "-c", _HAND_OVER, str(sock.fileno()), *program]


class NotifySocket:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.socket(_AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self.sock.settimeout(FAILSAFE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def message(self) -> list[str]:
        """Wait for the next message; its lines."""
        return self.sock.recv(4096).decode().split("\n")

    def so_far(self) -> list[list[str]]:
        """Return the messages that have come, and have not been asked for."""
        found = []
        while select.select([self.sock], [], [], 0)[0]:
            found.append(self.message())
        return found
