"""Tables for people."""

from collections.abc import Mapping, Sequence

from .outcomes import Difference, Run, differences
from .projects import Project
from .runs import SHIM, STDLIB

__all__ = ("BREAK_HEAD", "SUITE_HEAD", "break_rows", "complaints", "suite_row", "table")

#: Counts are of tests that passed, failed and were skipped; requests those that each module has served.
SUITE_HEAD = ("project", "version", "stdlib", "shim", "requests", "differ")
BREAK_HEAD = ("project", "break", "red", "for example")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(line.rstrip() for line in lines)


def suite_row(project: Project, stdlib: Run, shim: Run) -> tuple[str, ...]:
    """Say what became of a project's tests."""
    return (
        project.name,
        project.version,
        _counts(stdlib),
        _counts(shim),
        f"{stdlib.served_by(STDLIB)} / {shim.served_by(SHIM)}",
        str(len(differences(stdlib, shim))),
    )


def _counts(run: Run) -> str:
    failed = len(run.outcomes) - sum(run.count(each) for each in ("passed", "skipped", "expected failure"))
    return f"{run.count('passed')}/{failed}/{run.count('skipped')}"


def complaints(project: Project, stdlib: Run, shim: Run) -> list[str]:
    """Say what makes the comparison a failure: tests that got worse, or a run that proves nothing."""
    found = [_line(project, each) for each in differences(stdlib, shim) if each.is_worse]
    for run, module in ((stdlib, STDLIB), (shim, SHIM)):
        strangers = sum(run.requests.values()) - run.served_by(module)
        if not run.served_by(module):
            found.append(f"{project.name}: {module} has served nothing")
        if strangers:
            found.append(f"{project.name}: {strangers} requests were not served by {module}")
        if run.ended != "itself":
            found.append(f"{project.name}: with {module} it was ended by {run.ended}")
    if not stdlib.count("passed"):
        found.append(f"{project.name}: nothing passes with the standard library")
    return found


def _line(project: Project, each: Difference) -> str:
    return f"{project.name}: {each.test}: {each.before} with the standard library, {each.after} with the shim"


def break_rows(project: Project, found: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Say which breaks turned which tests red."""
    return [
        (project.name, name, str(len(tests)), ", ".join(test.rpartition("::")[2] for test in tests[:2]))
        for name, tests in found.items()
    ]
