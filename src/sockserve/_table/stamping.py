"""Sockets that park, and take note of what they send: for idle deadlines, where the system does not tell of it."""

import sys
from collections.abc import Iterable
from time import monotonic
from typing import Any, TypeAlias

from .._typing import Buffer, override
from .sending import SendableFile
from .sockets import CooperativeSocket

__all__ = ("StampingSocket",)

_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it


class StampingSocket(CooperativeSocket):
    """
    One that notes when it last sent something. Since when it is waited for is known of every one.

    What it needs longer for waits in between, and is seen by that.
    """

    __slots__ = ()

    @override
    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """See `socket.socket.send`."""
        self._watch.moved = monotonic()
        return super().send(data, flags)

    @override
    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """See `socket.socket.sendall`."""
        self._watch.moved = monotonic()
        super().sendall(data, flags)

    @override
    def sendto(self, data: Buffer, *flags_and_address: _Address) -> int:
        """See `socket.socket.sendto`."""
        self._watch.moved = monotonic()
        return super().sendto(data, *flags_and_address)

    if sys.platform != "win32":  # it has none

        @override
        def sendmsg(
            self,
            buffers: Iterable[Buffer],
            ancdata: Iterable[tuple[int, int, Buffer]] = (),
            flags: int = 0,
            address: _Address = None,
            /,
        ) -> int:
            """See `socket.socket.sendmsg`."""
            self._watch.moved = monotonic()
            return super().sendmsg(buffers, ancdata, flags, address)

    @override
    def sendfile(self, file: SendableFile, offset: int = 0, count: int | None = None) -> int:
        """See `socket.socket.sendfile`."""
        self._watch.moved = monotonic()
        return super().sendfile(file, offset, count)
