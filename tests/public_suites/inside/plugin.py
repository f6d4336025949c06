"""
A plugin of pytest that writes each outcome as soon as it is known.

A run that hangs, and is ended from outside, has said by then what it knew.
"""

import json
from pathlib import Path

import pytest

from .hook import CHOICE

__all__ = ("pytest_collectreport", "pytest_runtest_logreport", "pytest_runtest_logstart")

_OUTCOMES = Path(json.loads(CHOICE.read_text())["outcomes"])


def _write(test: str, when: str, outcome: str) -> None:
    with _OUTCOMES.open("a") as file:
        file.write(json.dumps({"test": test, "when": when, "outcome": outcome}) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test that starts and never ends is a result too."""
    _write(nodeid, "start", "started")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the outcome of a test's set-up, call or tear-down."""
    outcome = "expected failure" if hasattr(report, "wasxfail") else report.outcome
    _write(report.nodeid, str(report.when), outcome)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A module that cannot be imported fails, and its tests are missing."""
    if report.failed:
        _write(report.nodeid, "collect", "failed")
