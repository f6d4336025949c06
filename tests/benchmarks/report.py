"""Results as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import attrs

import sockserve

from .cases import Case
from .measure import Comparison, Pair, compare

__all__ = ("Result", "table", "write_json")

_UNITS = {
    "throughput": "requests/s",
    "cpu": "CPU us/request",
    "memory": "bytes/connection",
    "shutdown": "ms",
    "import": "ms",
    "modules": "modules",
}


@attrs.frozen
class Result:
    """A case and what was measured."""

    case: Case
    pairs: Sequence[Pair]

    def comparisons(self) -> list[Comparison]:
        """One for each measure."""
        return [compare(measure, self.pairs) for measure in self.pairs[0].ours]

    def verdicts(self, comparison: Comparison) -> list[tuple[str, bool]]:
        """The targets of one measure, and whether they were met."""
        return [
            (str(target), target.met_by(comparison))
            for target in self.case.targets
            if target.measure == comparison.measure
        ]


_HEAD = ("case", "measure", "ours", "(highest)", "peer", "(highest)", "ratio", "lowest..highest", "target")


def table(results: Sequence[Result]) -> str:
    """Lay the results out: medians, and the highest single value in parentheses."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for result in results:
        rows += [_cells(result, comparison) for comparison in result.comparisons()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def _cells(result: Result, comparison: Comparison) -> tuple[str, ...]:
    verdicts = [f"{text}: {'met' if met else 'MISSED'}" for text, met in result.verdicts(comparison)]
    return (
        result.case.name,
        _UNITS.get(comparison.measure, comparison.measure),
        _number(comparison.ours),
        f"({_number(comparison.ours_highest)})",
        _number(comparison.peer),
        f"({_number(comparison.peer_highest)})",
        f"{comparison.ratio:.3f}",
        f"{comparison.ratio_lowest:.3f}..{comparison.ratio_highest:.3f}",
        "; ".join(verdicts),
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, second, *numbers, last = zip(cells, widths, strict=True)
    aligned = [
        first[0].ljust(first[1]),
        second[0].ljust(second[1]),
        *(text.rjust(width) for text, width in numbers),
    ]
    return "  ".join([*aligned, last[0].ljust(last[1])])


def write_json(path: Path, results: Sequence[Result], options: dict[str, object]) -> None:
    """Write everything: where it ran, every single measurement, medians and verdicts."""
    document = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "sockserve": sockserve.__version__,
        "options": options,
        "cases": {result.case.name: _as_json(result) for result in results},
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _as_json(result: Result) -> dict[str, object]:
    return {
        "pairs": [{"ours": dict(pair.ours), "peer": dict(pair.peer)} for pair in result.pairs],
        "measures": {
            comparison.measure: {
                **attrs.asdict(comparison),
                "targets": [{"target": text, "met": met} for text, met in result.verdicts(comparison)],
            }
            for comparison in result.comparisons()
        },
    }
