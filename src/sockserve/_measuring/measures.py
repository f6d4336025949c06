"""What is measured of a server while somebody wants to know: how long requests take, and what happens."""

import threading
from collections.abc import Callable, Iterable, Sequence

import attrs

from ..abc import Cells, Listener, Runner, Supervisor, TurningRunner
from ..events import Accepted, Event, Finished
from ..stats import Measurements
from .cells import COUNT, DURATIONS, EVENTS, TURNS, Histogram, distribution, event_counts
from .kernel import datagrams_dropped, queue_length

__all__ = ("Measures",)


@attrs.define(eq=False)
class Measures:
    """
    What one server's core counts for those who watch it.

    Args:
        cells: Where it counts: memory that other processes see, in one of several that serve.

    Attributes:
        turns: How long each turn of a request has held the loop's thread; added to by that thread alone.
    """

    cells: Cells = attrs.field(factory=lambda: [0] * COUNT)
    turns: Histogram = attrs.field(init=False)
    _durations: Histogram = attrs.field(init=False)
    #: Events that are not of this library, by their names.
    _others: dict[str, int] = attrs.field(init=False, factory=dict)
    _has_turns: bool = attrs.field(init=False, default=False)
    # Reentrant: a signal handler may make an event while this thread counts one.
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)

    def __attrs_post_init__(self) -> None:
        self.turns = Histogram(self.cells, TURNS)
        self._durations = Histogram(self.cells, DURATIONS)

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of *kind* are counted here: all but the two of every request, which `Stats` counts."""
        return kind is not Accepted and kind is not Finished

    def count(self, event: Event) -> None:
        """Count *event*. Any thread."""
        name = type(event).__name__
        cell = EVENTS.get(name)
        with self._lock:
            if cell is None:
                self._others[name] = self._others.get(name, 0) + 1
            else:
                self.cells[cell] += 1

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
        self,
        runner: Runner | None,
        listeners: Sequence[Listener[object, object]],
        *,
        at_limit: bool,
        elsewhere: Callable[[], Sequence[int]] | None,
    ) -> Measurements:
        """
        Return all that was measured, and how things stand now.

        Args:
            runner: The strategy at work, if it is.
            listeners: The open endpoints.
            at_limit: Whether as many requests are in flight as may be.
            elsewhere: Gives the cells of all processes that serve, where there are several.
        """
        self.time_turns(runner)
        with self._lock:
            cells, others = [self.cells[index] for index in range(COUNT)], dict(self._others)
        if elsewhere is not None:
            # Those of a worker are among them.
            own = cells if isinstance(self.cells, list) else [0] * COUNT
            cells = [*map(sum, zip(own, elsewhere(), strict=True))]
        turns = distribution(cells, TURNS)
        return Measurements(
            durations=distribution(cells, DURATIONS),
            turns=turns if self._has_turns or turns.count else None,
            events=event_counts(cells) | others,
            # Who supervises other processes takes nothing itself, ever.
            full=at_limit or (runner is not None and runner.full and not isinstance(runner, Supervisor)),
            queued=_sum(queue_length(each.fileno()) for each in listeners if each.stream),
            dropped=_sum(datagrams_dropped(each.fileno()) for each in listeners if not each.stream),
        )


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Add up what is known; None where nothing is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
