"""Tables for people."""

from collections.abc import Mapping, Sequence

from .outcomes import Difference, Run, differences
from .projects import Project
from .variants import SHIM, STDLIB, Variant

__all__ = ("BREAK_HEAD", "SUITE_HEAD", "break_rows", "complaints", "suite_row", "table")

#: Counts are of tests that passed, failed and were skipped, requests those that each module has served. Races are
#: tests that got worse and do so on the standard library alike, when its ``shutdown`` wastes no time.
SUITE_HEAD = ("project", "version", "stdlib", "shim", "requests", "seconds", "worse", "races", "better")
BREAK_HEAD = ("project", "break", "red", "for example")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(line.rstrip() for line in lines)


def suite_row(project: Project, stdlib: Run, shim: Run, races: Sequence[str]) -> tuple[str, ...]:
    """Say what became of a project's tests."""
    found = differences(stdlib, shim)
    worse = [each for each in found if each.is_worse and each.test not in races]
    better = [each for each in found if not each.is_worse]
    return (
        project.name,
        project.version,
        _counts(stdlib),
        _counts(shim),
        f"{stdlib.served_by(STDLIB.module)} / {shim.served_by(SHIM.module)}",
        f"{stdlib.seconds:.0f} / {shim.seconds:.0f}",
        *(str(len(each)) for each in (worse, races, better)),
    )


def _counts(run: Run) -> str:
    failed = len(run.outcomes) - sum(run.count(each) for each in ("passed", "skipped", "expected failure"))
    return f"{run.count('passed')}/{failed}/{run.count('skipped')}"


def complaints(project: Project, stdlib: Run, shim: Run, races: Sequence[str]) -> list[str]:
    """Say what makes the comparison a failure: tests that got worse, or a run that proves nothing."""
    found = [
        _line(project, each) for each in differences(stdlib, shim) if each.is_worse and each.test not in races
    ]
    found += _proves_nothing(project, stdlib, STDLIB)
    found += _proves_nothing(project, shim, SHIM)
    return found


def _proves_nothing(project: Project, run: Run, variant: Variant) -> list[str]:
    served = run.served_by(variant.module)
    strangers = sum(run.requests.values()) - served
    doubts = {
        f"{variant.module} has served nothing": not served,
        f"{strangers} requests were not served by {variant.module}": strangers,
        f"no test passes on {variant.module}": not run.count("passed"),
        f"the run on {variant.module} was ended by {run.ended}": run.ended != "itself",
    }
    return [f"{project.name}: {doubt}" for doubt, applies in doubts.items() if applies]


def _line(project: Project, each: Difference) -> str:
    return f"{project.name}: {each.test}: {each.before} with the standard library, {each.after} with the shim"


def break_rows(project: Project, found: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Say which breaks turned which tests red."""
    return [
        (project.name, name, str(len(tests)), ", ".join(test.rpartition("::")[2] for test in tests[:2]))
        for name, tests in found.items()
    ]
