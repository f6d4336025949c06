"""The command: ``PYTHONPATH=tests python -m public_suites``. See README.md beside this file."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .environments import Environment, PreparationError, prepare
from .inside.breaks import BREAKS
from .outcomes import Difference, Run, differences, red
from .projects import PROJECTS, Project
from .report import BREAK_HEAD, SUITE_HEAD, break_rows, complaints, suite_row, table
from .runs import run
from .variants import HASTY, SHIM, STDLIB, Variant, broken

#: A race is lost now and then only.
_TRIES = 5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m public_suites",
        description="Run public projects' own tests on the standard library's socketserver and on sockserve's.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="projects (all)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter (this one)")
    parser.add_argument(
        "--break",
        dest="breaks",
        action="append",
        default=[],
        choices=[*BREAKS, "all"],
        help="instead, see which tests a deliberately broken shim turns red; may be repeated",
    )
    parser.add_argument("--folder", type=Path, help="keep environments and logs there, and use them again")
    parser.add_argument("--list", action="store_true", help="name the projects and the breaks")
    return parser


def _chosen(names: Sequence[str]) -> list[Project]:
    by_name = {project.name: project for project in PROJECTS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measured(project: Project, environment: Environment, variant: Variant, tests: Sequence[str] = ()) -> Run:
    found = run(project, environment, variant, tests)
    passed = found.count("passed")
    _say(f"{project.name} on {variant.name}: {passed} passed, {found.seconds:.0f} s, ended by {found.ended}")
    return found


class _Comparison:
    """The two modules, side by side."""

    head = SUITE_HEAD

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        self.failures: list[str] = []

    def add(self, project: Project, environment: Environment) -> None:
        stdlib, shim = (_measured(project, environment, variant) for variant in (STDLIB, SHIM))
        found = differences(stdlib, shim)
        races = _races(project, environment, found)
        self.rows.append(suite_row(project, stdlib, shim, races))
        self.failures += complaints(project, stdlib, shim, races)
        for each in found:
            _say(f"  {each.test}: {each.before} → {each.after}{' (a race)' if each.test in races else ''}")


def _races(project: Project, environment: Environment, found: Sequence[Difference]) -> list[str]:
    """Return the tests that got worse, and do so on the standard library alike when its loop ends at once."""
    worse = [each.test for each in found if each.is_worse]
    races: set[str] = set()
    for _ in range(_TRIES if worse else 0):
        hasty = _measured(project, environment, HASTY, worse)
        races.update(test for test in worse if hasty.outcomes.get(test) == "failed")
    return sorted(races)


class _Breaking:
    """Whether the tests notice a broken module."""

    head = BREAK_HEAD

    def __init__(self, breaks: Sequence[str]) -> None:
        self._breaks = list(BREAKS) if "all" in breaks else list(breaks)
        self.rows: list[tuple[str, ...]] = []
        self.failures: list[str] = []

    def add(self, project: Project, environment: Environment) -> None:
        whole = _measured(project, environment, SHIM)
        found = {name: red(whole, _measured(project, environment, broken(name))) for name in self._breaks}
        self.rows += break_rows(project, found)
        if not any(found.values()):
            self.failures.append(f"{project.name}: no break turns anything red: it proves nothing")


def _run_all(options: argparse.Namespace, folder: Path) -> int:
    work = _Breaking(options.breaks) if options.breaks else _Comparison()
    for project in _chosen(options.names):
        try:
            work.add(project, prepare(project, options.python, folder / project.name))
        except PreparationError as error:
            work.failures.append(f"{project.name}: {error}")
    if work.rows:
        print(table(work.head, work.rows))
    print(*work.failures, sep="\n", file=sys.stderr)
    return int(bool(work.failures))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a test passes with the standard library only, or a run proves nothing."""
    options = _parser().parse_args(arguments)
    if options.list:
        print(*(f"{each.name} {each.version}: {each.serves}" for each in PROJECTS), sep="\n")
        print(*(f"--break {name}: {each}" for name, each in BREAKS.items()), sep="\n")
        return 0
    if options.folder is not None:
        return _run_all(options, options.folder.resolve())
    with tempfile.TemporaryDirectory(prefix="public-suites-") as folder:
        return _run_all(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
