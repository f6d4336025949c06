"""
One of CPython's own test suites, on the standard library's socketserver or on sockserve's in its place.

``python cpython_suite.py sockserve test.test_socketserver`` prints one line of JSON: what became of each test, and
whose classes the tests have used.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import unittest
from collections.abc import Iterator
from typing import Any

from typing_extensions import override


class Outcomes(unittest.TestResult):
    """What became of each test, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    @override
    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.outcomes.setdefault(test.id(), "passed")

    @override
    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    @override
    def addExpectedFailure(self, test: unittest.TestCase, err: object) -> None:
        super().addExpectedFailure(test, err)  # type: ignore[arg-type]
        self.outcomes[test.id()] = "expected failure"

    def collect_failures(self) -> None:
        """Take over what unittest has made texts of."""
        for test, text in (*self.failures, *self.errors):
            name = test.id().split(" ")[0] if "SubTest" in type(test).__name__ else test.id()
            self.outcomes[name] = "failed"
            self.texts[name] = text


def prepare() -> None:
    """Allow what stays on this machine, as the suite's own runner does by its options."""
    support: Any = importlib.import_module("test.support")
    support.verbose = 0
    support.use_resources = ["network"]  # the loopback interface counts as one


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Walk over the single tests."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flatten(each)
        else:
            yield each


def main(arguments: list[str]) -> None:
    """Run a suite, without the classes that are named after it and a hyphen."""
    whose, name, *unwanted = arguments
    if whose == "sockserve":
        sys.modules["socketserver"] = importlib.import_module("sockserve.socketserver")
    prepare()
    loaded = unittest.defaultTestLoader.loadTestsFromName(name)
    tests = [test for test in flatten(loaded) if type(test).__name__ not in unwanted]
    result = Outcomes()
    with contextlib.redirect_stdout(io.StringIO()):
        # One suite for all: set-up of modules and classes is the suite's work.
        unittest.TestSuite([unittest.TestSuite(tests)]).run(result)
    result.collect_failures()
    module = sys.modules["socketserver"]
    servers = importlib.import_module("http.server").HTTPServer.__mro__
    report = {
        "module": module.__name__,
        "served by": sorted({each.__module__ for each in servers if each.__name__ in ("TCPServer", "BaseServer")}),
        "outcomes": result.outcomes,
        "texts": result.texts,
    }
    sys.__stdout__.write(json.dumps(report) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]
    os._exit(0)  # some suites leave threads behind


if __name__ == "__main__":
    main(sys.argv[1:])
