"""Stops that were asked for, and not lost (docs/design/0005-stopping.md)."""

from collections import deque

import attrs

__all__ = ("Wish", "Wishes")


@attrs.frozen
class Wish:
    """
    A stop that was asked for.

    Args:
        of: The number of the period that is to end: a wish for one that has ended means nothing, one for the next
            is kept.
        grace: Seconds for the requests in flight; None to leave at once.
        until: When the grace ends, on the loop's clock.
    """

    of: int
    grace: float | None
    until: float


def _strictness(wish: Wish) -> tuple[bool, float]:
    return wish.grace is not None, wish.until


@attrs.define(eq=False)
class Wishes:
    """
    All of one server. No lock: any thread, and signal handlers.

    Those that were the strictest when they were asked for are kept until their period has ended, in an order that
    does not matter: so who asks at the same time does no harm, and no later grace softens an earlier wish.
    """

    _kept: deque[Wish] = attrs.field(init=False, factory=deque)

    def add(self, wish: Wish) -> None:
        """Take note of one, unless another is as strict."""
        known = self.strictest(wish.of)
        if known is None or _strictness(wish) < _strictness(known):
            self._kept.append(wish)

    def strictest(self, number: int) -> Wish | None:
        """Give the wish that ends period *number* first: to leave at once, or the grace that ends first."""
        if not self._kept:
            return None
        wishes = [wish for wish in self._kept.copy() if wish.of == number]
        return min(wishes, key=_strictness, default=None)

    def forget_before(self, number: int) -> None:
        """Forget those of the periods before."""
        while self._kept and self._kept[0].of < number:
            self._kept.popleft()
