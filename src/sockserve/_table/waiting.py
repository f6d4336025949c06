"""A socket that parks the row that waits for it: how long, until what, and for how long it is watched."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Self, TypeVar, cast

from .._typing import override
from .receiving import MSG_DONTWAIT, NEVER_WAITS
from .watch import SHARE, Watch

__all__ = ("WaitingSocket", "beneath")

T = TypeVar("T")

_plain = socket.socket


class WaitingSocket(socket.socket):
    """
    What `CooperativeSocket` waits with: the base of its calls.

    The descriptor itself never blocks; timeouts are this object's own.

    Args:
        family: As of `socket.socket`.
        type: As of `socket.socket`.
        proto: As of `socket.socket`.
        fileno: As of `socket.socket`.
    """

    __slots__ = ("_patience", "_watch")

    def __init__(
        self,
        family: int = -1,
        type: int = -1,  # noqa: A002 - the base's
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._patience: float | None = _plain.gettimeout(self)
        _plain.setblocking(self, False)
        self._watch = Watch(stream=_is_tcp(self))

    # How long to wait.

    @override
    def settimeout(self, value: float | None, /) -> None:
        """Let calls raise TimeoutError after so many seconds; 0: BlockingIOError at once; None: wait."""
        if value is not None:
            value = float(value)
            if not value >= 0.0:
                raise ValueError("Timeout value out of range")
            if value == 0.0:
                # Whoever polls a socket for himself is told what the system says, always.
                self._watch.short = False
                self._watch.tries = SHARE
        self._patience = value

    @override
    def gettimeout(self) -> float | None:
        """Return the seconds after which calls time out."""
        return self._patience

    @property
    @override
    def timeout(self) -> float | None:
        """The seconds after which calls time out."""
        return self._patience

    @override
    def setblocking(self, flag: bool, /) -> None:
        """Wait without a limit, or not at all."""
        self.settimeout(None if flag else 0.0)

    @override
    def getblocking(self) -> bool:
        """Whether calls wait at all."""
        return self._patience != 0.0

    # Waiting.

    def wait_writable(self, deadline: float | None) -> float | None:
        """See `Watch.wait_writable`, with this socket's timeout."""
        return self._watch.wait_writable(self, self._patience, deadline)

    def when_readable(self, attempt: Callable[[], T], flags: int = 0) -> T:
        """Make *attempt*, with its *flags*, until it has something to read."""
        if flags & NEVER_WAITS:
            return attempt()
        watch = self._watch
        deadline: float | None = None
        while True:
            if watch.tries > 0:
                try:
                    found = attempt()
                except BlockingIOError:
                    watch.tries = 0
                else:
                    watch.tries = watch.tries - 1 or -1
                    return found
            deadline = watch.wait_readable(self, self._patience, deadline)

    def when_writable(self, attempt: Callable[[], T], flags: int = 0) -> T:
        """Make *attempt*, with its *flags*, until there is room."""
        if flags & MSG_DONTWAIT:
            return attempt()
        watch = self._watch
        watch.sends -= 1
        if watch.sends < 0:
            watch.has_sent_its_share(self._patience)
        deadline: float | None = None
        while True:
            try:
                return attempt()
            except BlockingIOError:
                deadline = self.wait_writable(deadline)

    def pulse(self) -> tuple[float, float]:
        """Say since when somebody waits for the peer, and when it was last sent something, if that is noted."""
        watch = self._watch
        waiters = watch.readers + watch.writers
        return min((row.since for row in waiters), default=0.0), watch.moved

    def is_read(self) -> bool:
        """Whether somebody waits for the peer to say something."""
        return bool(self._watch.readers)

    # Its end.

    @override
    def detach(self) -> int:
        """See `socket.socket.detach`; the descriptor blocks, unless the socket did not."""
        self._watch.end()
        if self.fileno() >= 0 and self._patience is None:
            _plain.setblocking(self, True)
        return super().detach()

    def _real_close(self) -> None:
        """Close the descriptor: what `close` calls when no file of the socket is open any more."""
        self._watch.end()
        super()._real_close()  # type: ignore[misc]  # typeshed knows only the public ones

    def __del__(self) -> None:
        """Leave the loop also where nobody has closed it: its number will be another's."""
        watch: Watch | None = getattr(self, "_watch", None)
        if watch is not None and watch.loop is not None:
            watch.end()
        super().__del__()  # type: ignore[misc]  # the C type's, which closes it with a ResourceWarning

    @contextlib.contextmanager
    def blocking(self) -> Iterator[Self]:
        """
        Let the descriptor itself block during a ``with`` block: lend it to a process that expects that.

        O_NONBLOCK belongs to the open file, which a child shares. Calls of this socket block the table meanwhile.
        """
        self._watch.end()
        _plain.setblocking(self, True)
        try:
            yield self
        finally:
            if self.fileno() >= 0:
                _plain.setblocking(self, False)


_INET = (socket.AF_INET, socket.AF_INET6)
_TCP = (0, socket.IPPROTO_TCP)  # SCTP's are streams too, and read one message at a time


def beneath(sock: socket.socket) -> socket.socket:
    """Give the C type's view, whose family and type are plain numbers: enum members cost more than a call."""
    return cast("socket.socket", super(_plain, sock))


def _is_tcp(sock: socket.socket) -> bool:
    plainly = beneath(sock)
    return plainly.type == socket.SOCK_STREAM and plainly.family in _INET and plainly.proto in _TCP
