"""How soon the next worker is started, and when to give up."""

import attrs

__all__ = ("BUDGET", "Backoff")

#: Seconds between two workers of a slot that die soon: none before the first replacement, then twice as many each
#: time, up to a bound.
FIRST, MOST = 0.1, 5.0
#: Seconds that a worker has to live for its death to be a new misfortune, rather than the same again.
CALM = 10.0
#: Workers in a row, in all slots, that end before they serve: then it is no misfortune.
BUDGET = 5


@attrs.define
class Backoff:
    """The delays of one slot."""

    _next: float = attrs.field(init=False, default=0.0)

    def after(self, lived: float | None) -> float:
        """Return the seconds until the next worker, after one that *lived* so long; None: it has not served."""
        if lived is None:
            self._next = max(FIRST, self._next)
        elif lived >= CALM:
            self._next = 0.0
        delay = self._next
        self._next = min(max(FIRST, 2 * delay), MOST)
        return delay
