"""Leaving the next client to another worker."""

from .board import Record

__all__ = ("Share",)

#: How many more requests than the least of the others, and than a quarter more, a worker may have in flight.
SLACK = 2
#: How often others are waited for that do not accept anything: they compute, or have no processor.
TRIES = 10


class Share:
    """
    Keeps the workers' shares of the connections alike, where these are kept.

    A burst of connections wakes all workers, and those that get a processor first would take most of it. Whoever
    has clearly more than another looks away for a moment, and goes on with what he has.

    Args:
        record: Of this worker.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._seen = -1
        self._tries = 0

    def yields(self) -> bool:
        """Whether the next client is to be left to another worker, for a moment."""
        mine = self._record.active
        if mine < SLACK:
            return False
        others = list(self._record.siblings())
        least = min((active for _, active in others), default=mine)
        if mine < least + max(SLACK, least // 4):
            return False
        seen = sum(accepted for accepted, _ in others)
        if seen != self._seen:  # they are getting on with it
            self._seen, self._tries = seen, 0
        self._tries += 1
        return self._tries <= TRIES
