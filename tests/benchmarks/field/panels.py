"""The two kinds of panels of the plot: bars, and lines over the number of connections."""

from collections.abc import Sequence

import attrs

from .axes import Axis, apart, decades, short_number, steps, uncrowded
from .drawing import Drawing

__all__ = ("Bar", "Line", "bars", "bars_height", "lines")

_ROW = 18.0
_HEAD = 30.0
_LABELS = 144.0  # pixels for the names beside bars
_VALUES = 92.0  # and for the numbers behind them
_NUMBERS, _NAMES = 40.0, 150.0  # for the numbers before lines, and for the names behind them


@attrs.frozen(kw_only=True)
class Bar:
    """A row: its name, colour, value and extremes, what is written behind it, what who points at it is told."""

    name: str
    colour: str
    value: float
    lowest: float
    highest: float
    note: str = ""
    tip: str = ""
    strong: bool = False
    hollow: bool = False


def bars_height(rows: int) -> float:
    """Return the height of a panel of bars."""
    return _HEAD + _ROW * rows + 14.0


def bars(drawing: Drawing, corner: tuple[float, float], width: float, title: str, rows: Sequence[Bar]) -> None:
    """Draw *rows*, in their order, below *corner*; thin lines go from the lowest to the highest."""
    x, y = corner
    drawing.words(x, y + 16, title, kind="title")
    left = x + _LABELS
    scale = (width - _LABELS - _VALUES) / max([row.highest for row in rows] + [1e-9])
    for place, row in enumerate(rows):
        top = y + _HEAD + place * _ROW
        middle = top + _ROW / 2
        drawing.words(left - 8, middle + 4, row.name, anchor="end", kind="strong" if row.strong else "")
        drawing.box(left, top + 3, row.value * scale, _ROW - 6, row.colour, hollow=row.hollow, tip=row.tip)
        if row.highest > row.lowest:
            drawing.line([(left + row.lowest * scale, middle), (left + row.highest * scale, middle)], "ink")
        end = left + max(row.value, row.highest) * scale
        drawing.words(end + 6, middle + 4, row.note, colour="faint", kind="small")
    bottom = y + _HEAD + len(rows) * _ROW
    drawing.line([(left, y + _HEAD), (left, bottom)], "faint")


@attrs.frozen(kw_only=True)
class Line:
    """A line: its name, colour, dashes, and (connections, value) from left to right."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashes: str = ""
    strong: bool = False


def lines(
    drawing: Drawing,
    box: tuple[float, float, float, float],
    title: str,
    shown: Sequence[Line],
    *,
    logarithmic: bool = False,
) -> None:
    """Draw lines over numbers of connections, with their names at their ends; *box* is x, y, width, height."""
    x, y, width, height = box
    drawing.words(x, y + 16, title, kind="title")
    values = [value for line in shown for _, value in line.points]
    counts = sorted({count for line in shown for count, _ in line.points})
    low, high = (min(values) / 1.2, max(values) * 1.2) if logarithmic else (0.0, max(values) * 1.05)
    up = Axis(low, high, y + height - 24, y + _HEAD, logarithmic)
    along = Axis(counts[0], max(counts[-1], counts[0] + 1), x + _NUMBERS, x + width - _NAMES, logarithmic=True)
    _grid(drawing, up, along, counts)
    ends = sorted((up.at(line.points[-1][1]), number) for number, line in enumerate(shown))
    names = apart([place for place, _ in ends], 14.0, up.end, up.start)
    for (_, number), name in zip(ends, names, strict=True):
        _line(drawing, up, along, shown[number], name)


def _grid(drawing: Drawing, up: Axis, along: Axis, counts: Sequence[float]) -> None:
    for value in decades(up.low, up.high) if up.logarithmic else steps(up.high):
        place = up.at(value)
        drawing.line([(along.start, place), (along.end, place)], "rule")
        drawing.words(along.start - 6, place + 4, short_number(value), colour="faint", anchor="end", kind="small")
    for number in uncrowded([along.at(count) for count in counts], 26.0):
        count = counts[number]
        below = up.start + 16
        drawing.words(along.at(count), below, f"{count:,.0f}", colour="faint", anchor="middle", kind="small")


def _line(drawing: Drawing, up: Axis, along: Axis, line: Line, name: float) -> None:
    """Draw one, and its name at the height *name*."""
    spots = [(along.at(count), up.at(value)) for count, value in line.points]
    drawing.line(spots, line.colour, width=2.5 if line.strong else 1.5, dashes=line.dashes, tip=line.name)
    for (x, y), (count, value) in zip(spots, line.points, strict=True):
        drawing.dot(x, y, line.colour, tip=f"{line.name}, {count:,.0f}: {short_number(value)}")
    x, y = spots[-1]
    drawing.line([(x + 4, y), (along.end + 14, name)], line.colour, width=0.7)
    drawing.words(along.end + 18, name + 4, line.name, kind="small strong" if line.strong else "small")
