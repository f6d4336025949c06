"""What became of the tests of one run, and how two runs differ: no processes, no files."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

__all__ = ("Difference", "Run", "differences", "outcomes_of", "red", "requests_of")

#: What can be said of a test whose run was ended before it.
NEVER_ENDED = "never ended"

#: What counts, of the several reports on one test: the first of these that there is.
_ORDER = ("failed", "expected failure", "skipped", "passed")


@attrs.frozen
class Run:
    """
    One run of a suite.

    Args:
        outcomes: Test → outcome.
        requests: (whose BaseServer has served, class of the server) → number of requests.
        seconds: How long it took.
        ended: What ended it: "itself", or "the bound on its time".
    """

    outcomes: Mapping[str, str]
    requests: Mapping[tuple[str, str], int]
    seconds: float
    ended: str

    def count(self, outcome: str) -> int:
        """Count the tests with this outcome."""
        return sum(each == outcome for each in self.outcomes.values())

    def served_by(self, module: str) -> int:
        """Count the requests that the module, or a package of that name, has served."""
        return sum(
            number
            for (whose, _server), number in self.requests.items()
            if whose == module or whose.startswith(f"{module}.")
        )


@attrs.frozen
class Difference:
    """A test, and what became of it in two runs."""

    test: str
    before: str
    after: str

    @property
    def is_worse(self) -> bool:
        """Whether it passed in the first run only."""
        return self.before == "passed"


def outcomes_of(lines: Iterable[str]) -> dict[str, str]:
    """Read what the plugin has written: a test that started and of which nothing more is known never ended."""
    found: dict[str, set[str]] = {}
    ended: set[str] = set()
    for line in lines:
        report = json.loads(line)
        found.setdefault(report["test"], set()).add(report["outcome"])
        if report["when"] in ("teardown", "collect"):
            ended.add(report["test"])
    return {test: _outcome(outcomes, over=test in ended) for test, outcomes in found.items()}


def _outcome(outcomes: set[str], *, over: bool) -> str:
    if not over and "failed" not in outcomes:
        return NEVER_ENDED
    return next(outcome for outcome in _ORDER if outcome in outcomes)


def requests_of(lines: Iterable[str]) -> dict[tuple[str, str], int]:
    """Read what the hook has written: a line for each request."""
    return dict(Counter((whose, server) for whose, server in (line.split(maxsplit=1) for line in lines)))


def differences(before: Run, after: Run) -> list[Difference]:
    """Return the tests that did not come to the same end in both runs."""
    tests = sorted(before.outcomes.keys() | after.outcomes.keys())
    found = (
        Difference(test, before.outcomes.get(test, "missing"), after.outcomes.get(test, "missing"))
        for test in tests
    )
    return [each for each in found if each.before != each.after]


def red(whole: Run, broken: Run) -> list[str]:
    """Return the tests that pass with the whole module, and fail or never end with a broken one."""
    return [
        each.test for each in differences(whole, broken) if each.is_worse and each.after in ("failed", NEVER_ENDED)
    ]
