"""
The counts of all workers, in memory that they share.

Each count is written by one process, as one aligned store of eight bytes, and read by any: no lock. A record is
never set back: the next worker that gets it goes on counting where the last one ended, so that the sum over all
records is what the server has served, by those who have ended too.
"""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence

from .._measuring.cells import COUNT
from ..stats import Stats

__all__ = ("Board", "Record")

#: The last says whether the worker accepts, and is written by the supervisor.
_ACCEPTED, _FINISHED, _FAILED, _REFUSED, _OPEN, _FIELDS = range(6)
_BYTES = 8


class Board:
    """
    All records.

    Args:
        records: How many workers may live at a time.

    Resource handling:
        Anonymous memory, without a descriptor; it goes with the last process that refers to it.
    """

    def __init__(self, records: int) -> None:
        self.counts = _shared(records * _FIELDS)
        # By themselves: the counts are looked through for every arrival.
        self._cells = _shared(records * COUNT)
        self._free = list(range(records))

    def take(self) -> "Record | None":
        """Get a record that no worker has; None where all are taken."""
        if not self._free:
            return None
        number = self._free.pop()
        return Record(self.counts, number * _FIELDS, self._cells[number * COUNT : (number + 1) * COUNT])

    def give_back(self, record: "Record") -> None:
        """Let another worker have it. What was in flight in the one that has ended has failed."""
        counts, base = record.counts, record.base
        counts[base + _FAILED] = counts[base + _ACCEPTED] - counts[base + _FINISHED]
        record.open(accepts=False)
        self._free.append(base // _FIELDS)

    def total(self) -> Stats:
        """Return the sum of this moment. Any process and thread."""
        accepted = finished = failed = refused = 0
        counts = self.counts
        for base in range(0, len(counts), _FIELDS):
            ended = counts[base + _FINISHED], counts[base + _FAILED]
            refused += counts[base + _REFUSED]
            finished += ended[0]
            failed += ended[1]
            # Read last: what has ended was accepted before, unless the processor has changed the order.
            accepted += max(counts[base + _ACCEPTED], sum(ended))
        return Stats(accepted, accepted - finished - failed, finished, failed, refused)

    def measured(self) -> Sequence[int]:
        """Return the cells of all workers, added up. Any process and thread."""
        cells = self._cells.tolist()
        return [sum(cells[index::COUNT]) for index in range(COUNT)]


def _shared(numbers: int) -> "memoryview[int]":
    """Make so many numbers, all 0, that the processes forked from here on share."""
    return memoryview(mmap.mmap(-1, numbers * _BYTES)).cast("q")


class Record:
    """
    What one worker counts. Implements `sockserve.abc.Tally`.

    Attributes:
        cells: See `sockserve.abc.Tally`.
        before: What those have counted that had it before.
    """

    __slots__ = ("_left", "_retire", "base", "before", "cells", "counts")

    def __init__(self, counts: "memoryview[int]", base: int, cells: "memoryview[int]") -> None:
        self.counts = counts
        self.base = base
        self.cells = cells
        self.before = counts[base : base + _OPEN].tolist()
        self._left = -1
        self._retire: Callable[[], object] | None = None

    def limit(self, most: int | None, retire: Callable[[], object]) -> None:
        """
        Call *retire* when *most* requests have been accepted, or up to a tenth fewer; None: never.

        Workers that began together, and are asked as often, are not to end together.
        """
        if most is not None:
            self._left = most - int.from_bytes(os.urandom(4)) % (most // 10 + 1)
            self._retire = retire

    def open(self, *, accepts: bool) -> None:
        """Say whether the worker accepts. The supervisor only."""
        self.counts[self.base + _OPEN] = accepts

    @property
    def active(self) -> int:
        """How many requests it has in flight."""
        counts, base = self.counts, self.base
        return counts[base + _ACCEPTED] - counts[base + _FINISHED] - counts[base + _FAILED]

    def siblings(self) -> Iterator[tuple[int, int]]:
        """For each other worker that accepts: how many requests it has accepted, and has in flight."""
        counts = self.counts.tolist()
        for base in range(0, len(counts), _FIELDS):
            if counts[base + _OPEN] and base != self.base:
                accepted, finished, failed = counts[base : base + _REFUSED]
                yield accepted, accepted - finished - failed

    def own(self) -> Stats:
        """Return what this worker has counted. Any process and thread."""
        counts, base, before = self.counts, self.base, self.before
        finished = counts[base + _FINISHED] - before[_FINISHED]
        failed = counts[base + _FAILED] - before[_FAILED]
        refused = counts[base + _REFUSED] - before[_REFUSED]
        accepted = max(counts[base + _ACCEPTED] - before[_ACCEPTED], finished + failed)  # read last: see above
        return Stats(accepted, accepted - finished - failed, finished, failed, refused)

    def accepted(self) -> None:
        """See `sockserve.abc.Tally.accepted`."""
        self.counts[self.base] += 1
        self._left -= 1
        if not self._left and self._retire is not None:
            self._retire()

    def ended(self, ok: bool, /) -> None:
        """See `sockserve.abc.Tally.ended`."""
        self.counts[self.base + (_FINISHED if ok else _FAILED)] += 1

    def refused(self) -> None:
        """See `sockserve.abc.Tally.refused`."""
        self.counts[self.base + _REFUSED] += 1
