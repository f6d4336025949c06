"""Time that passes when the test says so."""

import attrs

__all__ = ("FakeClock",)


@attrs.define(eq=False)
class FakeClock:
    """
    A monotonic clock that stands still: call it for the time, `advance` it.

    Args:
        now: Seconds that it shows at first. Not 0, which code that confuses it with None would pass.
    """

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """
        Let time pass.

        Raises:
            ValueError: It would go back, which a monotonic clock does not.
        """
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back by {-seconds} s")
        self.now += seconds
