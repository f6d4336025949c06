"""Since when the requests in children wait for their clients: numbers that they write, and their parent reads."""

import mmap
import socket
from typing import Final

from .._pulse import LENGTH, waits_since, watched
from ..abc import Job

__all__ = ("Cells",)

_SIZE = 8  # bytes of a number


class Cells:
    """
    The pulses of requests, in memory that is shared with the children.

    Args:
        number: How many there are at a time, at most.
    """

    def __init__(self, number: int) -> None:
        self._memory: Final = mmap.mmap(-1, number * LENGTH * _SIZE)  # of no file, and shared (mmap(2))
        self._numbers: Final = memoryview(self._memory).cast("d")
        self._free: Final = list(range(0, number * LENGTH, LENGTH))
        self._places: Final[dict[Job, int]] = {}

    def begin(self, job: Job) -> None:
        """Have numbers for *job*, before its child is forked: it waits for nothing yet."""
        place = self._places[job] = self._free.pop()
        for offset in range(LENGTH):
            self._numbers[place + offset] = 0.0

    def end(self, job: Job) -> None:
        """Give them to another: its child has ended, or was never there. Again: no effect."""
        place = self._places.pop(job, None)
        if place is not None:
            self._free.append(place)

    def write(self, job: Job) -> None:
        """Have the connection of *job*, in its child, write them from here on."""
        request = job.request
        if job.stream and type(request) is socket.socket:
            place = self._places[job]
            job.replace(watched(request, self._numbers[place : place + LENGTH]))

    def read(self, job: Job) -> tuple[float, float]:
        """See `sockserve.abc.PulseRunner`."""
        place = self._places.get(job)
        if place is None:
            return 0.0, 0.0
        with self._numbers[place : place + LENGTH] as numbers:
            return waits_since(numbers)

    def close(self) -> None:
        """Release the memory. Children go on with theirs."""
        self._numbers.release()
        self._memory.close()
