"""The time: what is left of it is divided among the measurements that are left."""

from collections.abc import Callable, Sequence

import attrs

from .entries import Entry

__all__ = ("Budget", "Share")


@attrs.frozen
class Share:
    """
    What one measurement gets.

    Args:
        seconds: Of load.
        patience: Seconds after which it is given up.
        last: Whether that is when all is over, and no fault of the measurement.
    """

    seconds: float
    patience: float
    last: bool = False


@attrs.define
class Budget:
    """
    Seconds until *deadline*, a time of *clock*.

    What a measurement takes besides its seconds of load is learnt: the last time that it was measured counts, else
    the mean of those under the same load, else what the scenario says.

    Args:
        deadline: When everything has to be over.
        clock: Tells the time.
        most: Seconds of load beyond which a measurement does not get better.
        reserve: Seconds that are kept back: what starting and ending a server may take at worst, and writing.
    """

    deadline: float
    clock: Callable[[], float]
    most: float = 10.0
    reserve: float = 16.0
    _taken: dict[str, dict[str, float]] = attrs.field(init=False, factory=dict)

    def took(self, entry: Entry, overhead: float) -> None:
        """Learn what a measurement took besides its load."""
        self._taken.setdefault(entry.scenario.name, {})[entry.contestant.name] = max(0.0, overhead)

    def share(self, entry: Entry, others: Sequence[Entry]) -> Share | None:
        """
        Divide.

        Args:
            entry: What is measured next.
            others: What is measured after it, once for each time.

        Returns:
            None if what is left is not enough for the least.
        """
        left = self.deadline - self.reserve - self.clock()
        overhead, least = self._overhead(entry), entry.scenario.least
        if overhead + least > left:
            return None
        if entry.scenario.load is None:
            return _share(0.0, overhead, left)
        loads = 1 + sum(other.scenario.load is not None for other in others)
        spare = left - overhead - sum(map(self._overhead, others))
        seconds = min(self.most, left - overhead, max(least, spare / loads))
        return _share(seconds, overhead, left)

    def _overhead(self, entry: Entry) -> float:
        seen = self._taken.get(entry.scenario.name)
        if not seen:
            return entry.scenario.overhead
        return seen.get(entry.contestant.name, sum(seen.values()) / len(seen))


def _share(seconds: float, overhead: float, left: float) -> Share:
    patience = 10.0 + 3 * overhead + 10 * seconds
    return Share(seconds, min(left, patience), last=left < patience)
