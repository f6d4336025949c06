"""What a server tells of itself: its counts, its requests in flight, and what was measured of them."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

import attrs

__all__ = ("Distribution", "Measurements", "RowInfo", "ServerState", "Stats", "WorkerInfo", "WorkerState")

#: Where a server is in its life: it serves again after "listening", and is "closed" for good.
ServerState: TypeAlias = Literal["new", "listening", "serving", "draining", "closed"]

#: Where a process that serves is in its life.
WorkerState: TypeAlias = Literal["starting", "serving", "draining"]


@attrs.frozen(kw_only=True)
class RowInfo:
    """
    One request in flight, for people who ask what a server is doing.

    Attributes:
        client_address: Whom it came from.
        state: "RUNNING": its handler has the thread, or a thread or process of its own. "READING", "WRITING",
            "WAITING": it is parked, see *waiting_for*. "READY": it goes on in its turn. "ABORTING": it was told to
            end.
        waiting_for: "readable", "writable", "wake-up", "turn" or "task", which an executor has; empty where it
            waits for nothing, or the strategy does not know.
        deadline: When it stops waiting, on `time.monotonic`'s clock; None: never.
        since: When it began to wait, or to run, on the same clock; None where the strategy does not keep it and
            requests are not timed (`Server.measure`).
    """

    client_address: object
    state: str = "RUNNING"
    waiting_for: str = ""
    deadline: float | None = None
    since: float | None = None


@attrs.frozen
class Stats:
    """
    Counts of a server's requests, since it was made.

    ``accepted == active + finished + failed`` at every moment. What was refused was never accepted.

    Attributes:
        accepted: Handed to the strategy.
        active: Not ended yet.
        finished: Ended well, or by a peer that went away.
        failed: Ended by an error of the handler, by the death of its process, turned away behind a proxy (by
            ``verify`` or a limit for its client), or never started.
        refused: Turned away before it was accepted: by ``verify``, by `Limits`, by its transport (a peer that is
            not trusted), as a datagram that was too long.
    """

    accepted: int
    active: int
    finished: int
    failed: int
    refused: int


@attrs.frozen(kw_only=True)
class WorkerInfo:
    """
    One process that serves, for people who ask what a server is doing.

    Attributes:
        number: The place that it has: its successor gets the same.
        pid: The process.
        state: "starting": it does not accept yet. "draining": it accepts no more.
        since: When it began to accept, on `time.monotonic`'s clock; None: not yet.
        stats: What it has counted itself.
    """

    number: int
    pid: int
    state: WorkerState
    since: float | None
    stats: Stats


@attrs.frozen(kw_only=True)
class Distribution:
    """
    How long things took: how many of them fell into each class of durations.

    Attributes:
        bounds: The upper end of each class but the last, in seconds, ascending; it belongs to the class.
        counts: How many each class has; the last has those that took longer than every bound.
        total: Seconds of all of them together.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def quantile(self, part: float) -> float | None:
        """
        Return the upper end of the class in which this *part* of all, from 0 to 1, has been reached.

        At least that part took no longer. ``float("inf")`` where it took longer than every bound; None where there
        is nothing.

        >>> from sockserve import Distribution
        >>> durations = Distribution(bounds=(0.001, 0.01, 0.1), counts=(90, 8, 1, 1), total=0.4)
        >>> durations.quantile(0.5), durations.quantile(0.95), durations.quantile(1.0)
        (0.001, 0.01, inf)
        """
        wanted = part * self.count
        for upper, reached in zip((*self.bounds, float("inf")), accumulate(self.counts), strict=True):
            if reached and reached >= wanted:
                return upper
        return None


@attrs.frozen(kw_only=True)
class Measurements:
    """
    What has been measured since `Server.measure` was called for the first time, and how it stands now.

    Attributes:
        durations: How long requests took, from the moment at which their handling began (under `ForkStrategy`: its
            process) to their end. A connection is one request, however much is said on it.
        turns: How long requests have held the thread that serves, each time that they went on: under a strategy
            that runs them there and parks them (`SelectorStrategy`). On a connection that asks and waits, each
            question is a turn. None under the others.
        events: How often each kind of event has happened, by the name of its class in `sockserve.events`:
            `Accepted` and `Finished` are left out, since `Stats` has them. What happens in a forked child is not
            seen here.
        full: Whether nothing can be taken at the moment, since the strategy is full or a limit reached: clients
            wait in the kernel's queue.
        queued: Clients in the kernel's queue: those of TCP on Linux; None where the system does not tell.
        dropped: Datagrams for which there was no room in the socket's buffer, on Linux; None where the system does
            not tell, and for connections.
    """

    durations: Distribution
    turns: Distribution | None
    events: Mapping[str, int]
    full: bool
    queued: int | None
    dropped: int | None
