"""The results as Markdown: one table for each load."""

from collections.abc import Iterator

from .contestants import Contestant
from .results import Cell, Results, Summary
from .scenarios import Scenario

__all__ = ("markdown",)

_COLUMNS = ("requests/s", "from..to", "p50 ms", "p99 ms", "CPU µs/request", "from..to")
_MEMORY = ("bytes/connection", "from..to")


def markdown(results: Results) -> str:
    """Write the whole page."""
    return "\n".join(_page(results)) + "\n"


def _page(results: Results) -> Iterator[str]:
    yield "# The field: results"
    yield ""
    yield "Written by `python -m benchmarks.field`; [how to read it](../benchmarks.md)."
    if results.note:
        yield from ("", f"**{results.note}**")
    yield from ("", ", ".join(f"{name} {value}" for name, value in results.machine.items()) + ".")
    asked = ", ".join(f"{name} {value:g}" for name, value in results.options.items())
    yield from ("", f"Asked for: {asked}. Medians of the rounds, with the lowest and the highest.")
    for remark in results.remarks:
        yield from ("", f"Remark: {remark}.")
    for scenario in results.scenarios():
        yield from ("", f"## {scenario.title}", "")
        yield from _table(results, scenario)


def _table(results: Results, scenario: Scenario) -> Iterator[str]:
    measure, head = ("memory", _MEMORY) if scenario.load is None else ("throughput", _COLUMNS)
    rows = [(who, cell, cell.summary(measure)) for who, cell in results.of(scenario)]
    measured = [(who, cell, summary) for who, cell, summary in rows if summary is not None]
    measured.sort(key=lambda row: row[2].median, reverse=measure == "throughput")
    if measured:
        yield f"| server | {' | '.join(head)} |"
        yield "|---" + "|---:" * len(head) + "|"
        for who, cell, summary in measured:
            cells = _bytes(summary) if measure == "memory" else [*_row(cell)]
            yield f"| {_name(who)} | {' | '.join(cells)} |"
    notes = list(_notes(results, scenario))
    if notes:
        yield from ("", *notes)


def _row(cell: Cell) -> Iterator[str]:
    yield from _numbers(cell.summary("throughput"))
    for measure in ("p50", "p99"):
        yield _numbers(cell.summary(measure))[0]
    yield from _numbers(cell.summary("cpu"))


def _name(who: Contestant) -> str:
    return f"**{who.label}**" if who.ours else f"*{who.label}*" if who.family == "limit" else who.label


def _numbers(summary: Summary | None) -> tuple[str, str]:
    if summary is None:
        return "", ""
    return _number(summary.median), f"{_number(summary.lowest)}..{_number(summary.highest)}"


def _bytes(summary: Summary) -> tuple[str, str]:
    return f"{summary.median:,.0f}", f"{summary.lowest:,.0f}..{summary.highest:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _notes(results: Results, scenario: Scenario) -> Iterator[str]:
    """Say what is missing, and why."""
    for who, cell in results.of(scenario):
        if cell.skipped is not None:
            yield f"- {who.label}: not measured: {cell.skipped}."
        elif not (cell.samples or cell.failures):
            yield f"- {who.label}: not measured: the time was over."
        for failure in cell.failures:
            yield f"- {who.label}: **failed** in {failure}."
