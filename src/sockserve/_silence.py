"""Whether a connection waits for a request that may never come: what a server that is to end may close."""

import socket
from collections.abc import Callable
from typing import Protocol

import attrs

from ._pulse import WAITS, PulsedSocket
from ._traffic import Traffic, traffic_of, unread

__all__ = ("Silence", "Waiting")

#: Seconds after which a client that has said nothing since it is there is not waited for (as in Go's net/http).
NEW = 5.0
#: Seconds without a byte after which it does not matter any more who has spoken last, where that is not known.
QUIET = 0.1


class Waiting(Protocol):
    """A connection in flight."""

    @property
    def request(self) -> object:
        """Its socket."""
        ...

    @property
    def greeted(self) -> tuple[int, int] | None:
        """Bytes that had come and segments that were sent when it was ready for a request; None: it is not."""
        ...


@attrs.define(eq=False)
class Silence:
    """
    Tells who is silent: has been answered, and has said nothing since. Several looks may be needed for that.

    Args:
        clock: Seconds, monotonic.
    """

    clock: Callable[[], float]
    #: Since when nothing has come, as far as looks can tell.
    _quiet: dict[object, float] = attrs.field(init=False, factory=dict)

    def of(self, job: Waiting) -> bool:
        """
        Whether a connection is silent, as far as its socket and the system know.

        Its handler may have part of a request that came with the one before: nobody else knows of that.
        """
        request, greeted = job.request, job.greeted
        if greeted is None or not isinstance(request, socket.socket):
            return False  # a handshake has a deadline of its own
        if isinstance(request, PulsedSocket) and not request.pulse[WAITS]:
            return False  # who does not read is at work
        told = traffic_of(request)
        if told is None:
            return self._is_quiet(job, request)
        return _has_been_answered(told, *greeted) and not unread(request)

    def _is_quiet(self, job: Waiting, request: socket.socket) -> bool:
        if unread(request) != 0:
            self._quiet.pop(job, None)
            return False
        now = self.clock()
        return now - self._quiet.setdefault(job, now) >= QUIET

    def forget(self, job: Waiting) -> None:
        """Forget one that has ended."""
        self._quiet.pop(job, None)


def _has_been_answered(told: Traffic, received: int, segments: int) -> bool:
    """
    Whether the server has spoken last, after the bytes *received* and the *segments* sent in a handshake. One whom
    nobody has asked anything is left the time to be.

    What has come and what has gone in one of the kernel's ticks are of one age, whichever was first. And a client
    may say its first word with the last of its handshake: then the server's last, its tickets (RFC 8446, 4.6.1),
    is younger, and no answer.
    """
    if told.received <= received:
        return told.since_received >= NEW
    if told.segments <= segments or told.since_sent > told.since_received:
        return False
    return told.since_sent < told.since_received or told.since_received >= QUIET
