"""CPython's own suites, of socketserver and of what is built on it, on sockserve's in its place."""

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("cpython_suite.py")

#: Each with the classes that are left out, since they talk to machines elsewhere.
SUITES: dict[str, tuple[str, ...]] = {
    "test_socketserver": (),
    "test_httpservers": (),
    "test_xmlrpc": (),
    "test_docxmlrpc": (),
    "test_wsgiref": (),
    "test_logging": (),
    "test_imaplib": ("RemoteIMAPTest", "RemoteIMAP_STARTTLSTest", "RemoteIMAP_SSLTest"),
    "test_urllib2_localnet": (),
    "test_pydoc": (),
}

#: It compares the modules of classes with the literal "socketserver". They are not, and do not pretend to be.
EXPECTED = {"test.test_socketserver.MiscTestCase.test_all"}


def name_of(suite: str) -> str:
    """Return the module; skip where this Python comes without its tests."""
    for name in (f"test.{suite}.{suite}", f"test.{suite}"):
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            pass
    pytest.skip(f"this Python has no Lib/test: {suite} is missing")


def run(whose: str, name: str, unwanted: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Run one suite, in a folder of its own for what it leaves behind."""
    folder.mkdir()
    command = [sys.executable, str(PROGRAM), whose, name, *unwanted]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_of_cpython(suite: str, tmp_path: Path) -> None:
    """The same tests pass, none more is skipped, and it was our module that was tested."""
    name = name_of(suite)
    with ThreadPoolExecutor(2) as pool:
        stdlib, ours = pool.map(
            lambda whose: run(whose, name, SUITES[suite], tmp_path / whose), ("stdlib", "sockserve")
        )
    assert ours["module"] == "sockserve.socketserver"
    assert all(module.startswith("sockserve.socketserver.") for module in ours["served by"])
    assert stdlib["served by"] == ["socketserver"]
    outcomes = stdlib["outcomes"]
    assert "passed" in outcomes.values()
    expected = {test: "failed" if test in EXPECTED else outcome for test, outcome in outcomes.items()}
    different = {test: outcome for test, outcome in ours["outcomes"].items() if outcome != expected.get(test)}
    assert different == {}, "\n".join(ours["texts"].get(test, "") for test in different)
    assert ours["outcomes"].keys() == outcomes.keys()
