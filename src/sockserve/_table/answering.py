"""Answering datagrams over Unix sockets: a client that does not read is waited for, by its own request alone."""

import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .._typing import Buffer, override
from .receiving import MSG_DONTWAIT
from .sleeping import sleep

__all__ = ("AnsweringSocket", "may_block")

_plain = socket.socket
_Address: TypeAlias = Any  # type: ignore[explicit-any]  # of whatever family, as the socket module has it

#: Seconds between two tries, at first, and at most: the system does not tell when a Unix client has made room
#: (unix(7)'s writability is that of our own buffer).
_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


def may_block(sock: socket.socket) -> bool:
    """Whether an answer through *sock* may have to wait for the client. UDP drops what nobody reads."""
    return MSG_DONTWAIT != 0 and sock.family == getattr(socket, "AF_UNIX", None) and type(sock) is _plain


class AnsweringSocket(socket.socket):
    """
    Another descriptor of a datagram listener's socket, for its handlers.

    The open file is the listener's, and whoever else's has it: it goes on blocking, each call says for itself that
    it will not. Receiving is left as it is: what arrives there are other requests.
    """

    __slots__ = ("_patience",)

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.family, listener.type, listener.proto, socket.dup(listener.fileno()))
        self._patience: float | None = listener.gettimeout()

    @override
    def settimeout(self, value: float | None, /) -> None:
        """Let answers raise TimeoutError after so many seconds."""
        self._patience = None if value is None else float(value)

    @override
    def gettimeout(self) -> float | None:
        """Return the seconds after which answers time out."""
        return self._patience

    @override
    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """See `socket.socket.send`."""
        return self._attempt(lambda: _plain.send(self, data, flags | MSG_DONTWAIT), flags)

    @override
    def sendto(self, data: Buffer, *flags_and_address: _Address) -> int:
        """See `socket.socket.sendto`."""
        *some, address = flags_and_address
        flags = some[0] if some else 0
        return self._attempt(lambda: _plain.sendto(self, data, flags | MSG_DONTWAIT, address), flags)

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
            parts, more = list(buffers), list(ancdata)
            return self._attempt(lambda: _plain.sendmsg(self, parts, more, flags | MSG_DONTWAIT, address), flags)

    def _attempt(self, attempt: Callable[[], int], flags: int) -> int:
        until = None if self._patience is None else time.monotonic() + self._patience
        pause = _PAUSE
        while True:
            try:
                return attempt()
            except BlockingIOError:
                if flags & MSG_DONTWAIT or self._patience == 0.0:
                    raise
            if until is not None and time.monotonic() >= until:
                raise TimeoutError("timed out")
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
