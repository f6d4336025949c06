"""Where things are on an axis, which numbers are written at it, and how."""

import math
from collections.abc import Sequence

import attrs

__all__ = ("Axis", "apart", "decades", "short_number", "steps", "uncrowded")


def short_number(value: float) -> str:
    """Write three digits: 23.6k."""
    divisor, unit = (1e6, "M") if value >= 999_500 else (1e3, "k") if value >= 999.5 else (1.0, "")
    scaled = value / divisor
    return f"{scaled:.0f}{unit}" if scaled >= 99.5 else f"{scaled:.3g}{unit}"


@attrs.frozen
class Axis:
    """Values from *low* to *high* at places from *start* to *end*."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the place of *value*."""
        scale = math.log10 if self.logarithmic else float
        low, high = scale(self.low), scale(self.high)
        return self.start + (scale(value) - low) / (high - low) * (self.end - self.start)


def steps(high: float) -> list[float]:
    """Return round numbers from 0 to *high*, about five of them."""
    power = 10.0 ** math.floor(math.log10(high / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if high / (factor * power) <= 5)
    return [step * count for count in range(int(high / step) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between *low* and *high*."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    values = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def apart(places: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Move labels apart that are closer than *gap*, and keep their order; *places* ascend."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, lowest))
    limit = highest
    for number in range(len(moved) - 1, -1, -1):
        moved[number] = min(moved[number], limit)
        limit = moved[number] - gap
    return moved


def uncrowded(places: Sequence[float], gap: float) -> list[int]:
    """Return which of *places* can be written below without touching the one before."""
    kept: list[int] = []
    for number, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= gap:
            kept.append(number)
    return kept
