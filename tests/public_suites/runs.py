"""Runs a project's tests once, with something as ``socketserver``, within a bound of time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .environments import Environment
from .outcomes import Run, outcomes_of, requests_of
from .projects import Project
from .variants import Variant

__all__ = ("run",)

#: Seconds for one test; with a broken module many hang, and there it is known soon enough.
_TEST_SECONDS, _BROKEN_TEST_SECONDS = 60, 10
_BROKEN_SECONDS = 150.0
#: Failures after which a run with a broken module has shown what it is to show.
_BROKEN_FAILURES = 10


def run(project: Project, environment: Environment, variant: Variant, tests: Sequence[str] = ()) -> Run:
    """
    Run the tests of the row.

    Args:
        project: The row.
        environment: Made for it.
        variant: What is to be ``socketserver``.
        tests: Only these; all of the row if none is given.
    """
    logs = environment.folder
    served, outcomes = logs / f"{variant.name}.served", logs / f"{variant.name}.outcomes"
    for path in (served, outcomes):
        path.write_text("")
    environment.choose(variant, served, outcomes)
    started = time.monotonic()
    ended = _call(
        _command(project, environment, variant, tests),
        environment,
        logs / f"{variant.name}.log",
        project.seconds if variant.broken is None else min(project.seconds, _BROKEN_SECONDS),
    )
    return Run(
        outcomes_of(outcomes.read_text().splitlines()),
        requests_of(served.read_text().splitlines()),
        time.monotonic() - started,
        ended,
    )


def _command(project: Project, environment: Environment, variant: Variant, tests: Sequence[str]) -> list[str]:
    options = ["-p", f"{environment.package.name}.plugin", "-p", "no:cacheprovider", "-q", "--tb=short"]
    if variant.broken is None:
        options.append(f"--timeout={_TEST_SECONDS}")
    else:
        options += [f"--timeout={_BROKEN_TEST_SECONDS}", f"--maxfail={_BROKEN_FAILURES}"]
    options += [f"--deselect={test}" for test in project.deselected]
    return [str(environment.python), "-m", "pytest", *options, *(tests or project.tests)]


def _call(command: list[str], environment: Environment, log: Path, seconds: float) -> str:
    """Run the command in a session of its own, all of which is ended at the bound and after it."""
    home = environment.folder / "home"
    home.mkdir(exist_ok=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    variables["HOME"] = str(home)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=environment.source,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "the bound on its time"
        else:
            return "itself"
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of its session have ended
    process.wait()
