"""The results as one picture."""

from collections.abc import Sequence

from .axes import short_number
from .contestants import CONTESTANTS, Contestant
from .drawing import Drawing
from .panels import Bar, Line, bars, bars_height, lines
from .results import Cell, Results
from .scenarios import Scenario

__all__ = ("plot",)

_WIDTH, _MARGIN, _GAP, _LINES = 960.0, 20.0, 30.0, 330.0
_COLUMN = (_WIDTH - 2 * _MARGIN - _GAP) / 2

#: Bars, two panels beside each other.
_PAIRS = (("kept-50", "pipelined-50"), ("lines-50", "once-50"), ("http-50", "http-1000"), ("dns", "idle"))
#: How the contestants of one family are told apart, in the order of `CONTESTANTS`.
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4")


def plot(results: Results) -> str:
    """Draw the SVG. What was not measured is left out."""
    named = {scenario.name: scenario for scenario in results.scenarios()}
    rows: list[list[tuple[str, list[Bar]]]] = []
    for pair in _PAIRS:
        panels = [(named[name].title, _bars(results, named[name])) for name in pair if name in named]
        if panels := [panel for panel in panels if panel[1]]:
            rows.append(panels)
    over = [(title, _lines(results, measure), measure == "cpu") for title, measure in _OVER]
    over = [panel for panel in over if panel[1]]
    head = 66.0
    height = head + (_LINES + 12 if over else 0) + sum(_height(row) for row in rows) + 34
    drawing = Drawing(_WIDTH, height, "sockserve and its peers under the same loads")
    _heading(drawing, results)
    y = head
    for place, (title, shown, logarithmic) in enumerate(over):
        lines(drawing, (_x(place), y, _COLUMN, _LINES), title, shown, logarithmic=logarithmic)
    y += _LINES + 12 if over else 0
    for row in rows:
        for place, (title, entries) in enumerate(row):
            bars(drawing, (_x(place), y), _COLUMN, title, entries)
        y += _height(row)
    _foot(drawing, results, height - 14)
    return drawing.text()


_OVER = (
    ("Kept connections, 1 to 10,000: requests/s", "throughput"),
    ("The same: server's CPU a request, µs", "cpu"),
)


def _x(place: int) -> float:
    return _MARGIN + place * (_COLUMN + _GAP)


def _height(row: Sequence[tuple[str, list[Bar]]]) -> float:
    return max(bars_height(len(entries)) for _, entries in row)


def _heading(drawing: Drawing, results: Results) -> None:
    drawing.words(_MARGIN, 28, drawing.title, kind="title")
    told = "Bars are requests a second, or bytes, with the CPU time of a request behind them; "
    told += "medians, thin lines from the lowest to the highest round."
    drawing.words(_MARGIN, 48, told, colour="faint", kind="small")
    if results.note:
        drawing.words(_WIDTH - _MARGIN, 28, results.note, anchor="end", kind="small strong")


def _foot(drawing: Drawing, results: Results, y: float) -> None:
    told = [f"{results.machine[name]}" for name in ("python", "system", "processor") if name in results.machine]
    cores = f"{results.machine.get('cores', '?')} cores, shared with the load generators"
    drawing.words(_MARGIN, y, ", ".join([*told, cores]), colour="faint", kind="small")


def _bars(results: Results, scenario: Scenario) -> list[Bar]:
    measure = "memory" if scenario.load is None else "throughput"
    made = [bar for who, cell in results.of(scenario) if (bar := _bar(who, cell, measure)) is not None]
    return sorted(made, key=lambda bar: bar.value, reverse=measure == "throughput")


def _bar(who: Contestant, cell: Cell, measure: str) -> Bar | None:
    found = cell.summary(measure)
    if found is None:
        return None
    cpu, p99 = cell.summary("cpu"), cell.summary("p99")
    note = short_number(max(0.0, found.median)) + (f", {short_number(cpu.median)} µs" if cpu is not None else "")
    tip = f"{who.label}: {found.median:,.0f} ({found.lowest:,.0f}..{found.highest:,.0f})"
    if p99 is not None:
        tip += f", 99 in 100 within {p99.median:.3g} ms"
    return Bar(
        name=who.short,
        colour=who.family,
        value=found.median,
        lowest=found.lowest,
        highest=found.highest,
        note=note,
        tip=tip,
        strong=who.ours,
        hollow=who.family == "limit",
    )


def _lines(results: Results, measure: str) -> list[Line]:
    """Return those who were measured often enough for a line: at most numbers of connections."""
    kept = [scenario for scenario in results.scenarios() if scenario.name.startswith("kept-")]
    points: dict[str, list[tuple[float, float]]] = {}
    for scenario in kept:
        for who, cell in results.of(scenario):
            if (found := cell.summary(measure)) is not None:
                points.setdefault(who.name, []).append((scenario.connections, found.median))
    seen: dict[str, int] = {}
    made = []
    for who in CONTESTANTS:
        number = seen.setdefault(who.family, 0)
        seen[who.family] += 1
        if 1 < len(points.get(who.name, ())) > len(kept) / 2:
            made.append(
                Line(
                    name=who.short,
                    colour=who.family,
                    points=points[who.name],
                    dashes="3 2" if who.family == "limit" else _DASHES[number],
                    strong=who.ours,
                )
            )
    return made
