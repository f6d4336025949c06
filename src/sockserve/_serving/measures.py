"""What is measured of a server while somebody wants to know: how long requests take, and what happens."""

import threading
from bisect import bisect_left

import attrs

from ..abc import Listener, Runner, TurningRunner
from ..events import Accepted, Event, Finished
from ..stats import Distribution, Measurements
from .kernel import datagrams_dropped, queue_length

__all__ = ("BOUNDS", "Histogram", "Measures")

#: Upper ends of the classes, in seconds: from what a small request takes in one thread to what a person waits.
#: In the steps of Prometheus's own clients, 1, 2.5 and 5: each class is about twice as wide as the one below.
BOUNDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)


class Histogram:
    """How many durations were at most how long. One thread at a time adds; any may ask."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)  # the last: longer than any bound
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took *seconds*: an upper end belongs to its class."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._total += seconds

    def distribution(self) -> Distribution:
        """Return what has been counted so far."""
        return Distribution(bounds=BOUNDS, counts=tuple(self._counts), total=self._total)


@attrs.define(eq=False)
class Measures:
    """
    What one server's core counts for those who watch it.

    Attributes:
        turns: How long each turn of a request has held the loop's thread; added to by that thread alone.
        events: How often each kind of event has happened, by its name: all but the two of every request, which
            `Stats` counts.
    """

    turns: Histogram = attrs.field(init=False, factory=Histogram)
    events: dict[str, int] = attrs.field(init=False, factory=dict)
    _has_turns: bool = attrs.field(init=False, default=False)
    _durations: Histogram = attrs.field(init=False, factory=Histogram)
    # Reentrant: a signal handler may make an event while this thread counts one.
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of *kind* are counted here."""
        return kind is not Accepted and kind is not Finished

    def count(self, event: Event) -> None:
        """Count *event*. Any thread."""
        name = type(event).__name__
        with self._lock:
            self.events[name] = self.events.get(name, 0) + 1

    def timed(self, seconds: float) -> None:
        """Count a request that has ended after so many seconds. Any thread."""
        with self._lock:
            self._durations.add(seconds)

    def time_turns(self, runner: Runner | None) -> None:
        """Have the turns of the requests of *runner* timed, where there are any. Again: no effect."""
        if isinstance(runner, TurningRunner):
            self._has_turns = True
            runner.time_turns(self.turns.add)

    def taken_with(
        self, runner: Runner | None, listener: Listener[object, object] | None, *, at_limit: bool
    ) -> Measurements:
        """
        Return all that was measured, and how *runner* and the open *listener*, if there are any, stand now;
        *at_limit* is whether as many requests are in flight as may be.
        """
        self.time_turns(runner)
        queued = dropped = None
        if listener is not None and listener.stream:
            queued = queue_length(listener.fileno())
        elif listener is not None:
            dropped = datagrams_dropped(listener.fileno())
        with self._lock:
            return Measurements(
                durations=self._durations.distribution(),
                turns=self.turns.distribution() if self._has_turns else None,
                events=dict(self.events),
                full=at_limit or (runner is not None and runner.full),
                queued=queued,
                dropped=dropped,
            )
