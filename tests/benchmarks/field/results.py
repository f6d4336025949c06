"""What was measured, and its JSON."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .contestants import CONTESTANTS, Contestant
from .scenarios import SCENARIOS, Scenario

__all__ = ("MEASURES", "Cell", "Results", "Summary")

#: Each measure, and its unit.
MEASURES = {
    "throughput": "requests/s",
    "p50": "ms",
    "p99": "ms",
    "cpu": "µs of the server's CPU a request",
    "memory": "bytes a connection",
}


@attrs.frozen
class Summary:
    """One measure over all rounds."""

    median: float
    lowest: float
    highest: float


@attrs.define(kw_only=True)
class Cell:
    """
    One contestant under one load.

    Args:
        samples: What was measured, round by round: the name of each measure, and its value.
        failures: Rounds that could not be measured, and why.
        skipped: Why it was not tried.
    """

    scenario: str
    contestant: str
    samples: list[Mapping[str, float]] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)
    skipped: str | None = None

    def summary(self, measure: str) -> Summary | None:
        """Return the median and the extremes, where it was measured."""
        values = [sample[measure] for sample in self.samples if measure in sample]
        return Summary(statistics.median(values), min(values), max(values)) if values else None


@attrs.define(kw_only=True)
class Results:
    """
    Everything.

    Args:
        machine: On what, with which versions.
        options: What was asked for.
        note: What a reader has to know first.
        cells: In the order in which they are measured.
        remarks: What happened on the way.
    """

    machine: Mapping[str, str]
    options: Mapping[str, float]
    note: str = ""
    cells: list[Cell] = attrs.field(factory=list)
    remarks: list[str] = attrs.field(factory=list)

    def scenarios(self) -> list[Scenario]:
        """Those that somebody took part in."""
        names = {cell.scenario for cell in self.cells}
        return [scenario for scenario in SCENARIOS if scenario.name in names]

    def of(self, scenario: Scenario) -> Iterable[tuple[Contestant, Cell]]:
        """All who took part in one."""
        cells = {cell.contestant: cell for cell in self.cells if cell.scenario == scenario.name}
        return [(who, cells[who.name]) for who in CONTESTANTS if who.name in cells]

    def failed(self) -> bool:
        """Whether something that could be measured was not, or not each time."""
        return any(cell.failures or not (cell.samples or cell.skipped) for cell in self.cells)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads; medians and extremes are there for other readers."""
        document = attrs.asdict(self)
        for cell, entry in zip(self.cells, document["cells"], strict=True):
            summaries = {measure: cell.summary(measure) for measure in MEASURES}
            entry["summary"] = {
                name: attrs.asdict(found) for name, found in summaries.items() if found is not None
            }
        return {"measures": MEASURES, **document}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Results":
        """Read what was written."""
        cells = [
            Cell(**{name: value for name, value in entry.items() if name != "summary"})
            for entry in document["cells"]
        ]
        rest = {name: document[name] for name in ("machine", "options", "note", "remarks")}
        return cls(cells=cells, **rest)
