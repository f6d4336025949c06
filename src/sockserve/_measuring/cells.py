"""Numbers in a row, in which a server's measures are counted: in a list, or in memory that processes share."""

from bisect import bisect_left
from collections.abc import Sequence

from .. import events
from ..abc import Cells
from ..stats import Distribution

__all__ = ("BOUNDS", "COUNT", "DURATIONS", "EVENTS", "TURNS", "Histogram", "distribution", "event_counts")

#: Upper ends of the classes, in seconds: from what a small request takes in one thread to what a person waits.
#: In the steps of Prometheus's own clients, 1, 2.5 and 5: each class is about twice as wide as the one below.
BOUNDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)

#: A histogram: one cell for each class, the last of what is longer than every bound; and one for the nanoseconds
#: of all together.
_CLASSES = len(BOUNDS) + 1
_NANOSECONDS = 1e9

#: Each event that is counted, and its cell behind the histograms. The two of every request are not.
_NAMES = sorted(set(events.__all__) - {"Event", "Accepted", "Finished"})

#: Where what begins.
DURATIONS = 0
TURNS = DURATIONS + _CLASSES + 1
EVENTS = {name: TURNS + _CLASSES + 1 + index for index, name in enumerate(_NAMES)}

#: How many cells one server, or one of its workers, needs.
COUNT = TURNS + _CLASSES + 1 + len(_NAMES)


class Histogram:
    """
    How many durations were at most how long. One thread at a time adds.

    Args:
        cells: Where it counts.
        base: The first of its cells.
    """

    __slots__ = ("_base", "_cells", "_total")

    def __init__(self, cells: Cells, base: int) -> None:
        self._cells = cells
        self._base = base
        self._total = base + _CLASSES

    def add(self, seconds: float) -> None:
        """Count one that took *seconds*: an upper end belongs to its class."""
        cells = self._cells
        cells[self._base + bisect_left(BOUNDS, seconds)] += 1
        cells[self._total] += int(seconds * _NANOSECONDS)


def distribution(cells: Sequence[int], base: int) -> Distribution:
    """Return what the histogram at *base* has counted."""
    counts = tuple(cells[base : base + _CLASSES])
    return Distribution(bounds=BOUNDS, counts=counts, total=cells[base + _CLASSES] / _NANOSECONDS)


def event_counts(cells: Sequence[int]) -> dict[str, int]:
    """Return how often each event has happened, of those that have."""
    return {name: cells[index] for name, index in EVENTS.items() if cells[index]}
