"""CPython's own suites, of socketserver and of what is built on it, on sockserve's in its place."""

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("cpython_suite.py")

#: Each with the classes that are left out, since they talk to machines elsewhere. The longest come first.
SUITES: dict[str, tuple[str, ...]] = {
    "test_logging": (),
    "test_imaplib": ("RemoteIMAPTest", "RemoteIMAP_STARTTLSTest", "RemoteIMAP_SSLTest"),
    "test_pydoc": (),
    "test_urllib2_localnet": (),
    "test_xmlrpc": (),
    "test_docxmlrpc": (),
    "test_httpservers": (),
    "test_socketserver": (),
    "test_wsgiref": (),
}

#: It compares the modules of classes with the literal "socketserver". They are not, and do not pretend to be.
EXPECTED = {"test.test_socketserver.MiscTestCase.test_all"}


def name_of(suite: str) -> str | None:
    """Return the module; None where this Python comes without its tests."""
    for name in (f"test.{suite}.{suite}", f"test.{suite}"):
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            pass
    return None


def run(whose: str, suite: str, name: str | None, folder: Path) -> dict[str, Any]:
    """Run one suite, in a folder of its own for what it leaves behind."""
    if name is None:
        return {}
    folder.mkdir()
    command = [sys.executable, str(PROGRAM), whose, name, *SUITES[suite]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Future[dict[str, Any]]]:
    """Run them all at once: they wait most of the time."""
    folder = tmp_path_factory.mktemp("suites")
    names = {suite: name_of(suite) for suite in SUITES}  # here: 3.11 cannot import in several threads at once
    with ThreadPoolExecutor(6) as pool:
        return {
            (whose, suite): pool.submit(run, whose, suite, names[suite], folder / f"{whose}-{suite}")
            for suite in SUITES
            for whose in ("stdlib", "sockserve")
        }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_of_cpython(suite: str, results: dict[tuple[str, str], Future[dict[str, Any]]]) -> None:
    """The same tests pass, none more is skipped, and it was our module that was tested."""
    stdlib, ours = results["stdlib", suite].result(), results["sockserve", suite].result()
    if not stdlib:
        pytest.skip(f"this Python has no Lib/test: {suite} is missing")
    assert ours["module"] == "sockserve.socketserver"
    assert all(module.startswith("sockserve.socketserver.") for module in ours["served by"])
    assert stdlib["served by"] == ["socketserver"]
    outcomes = stdlib["outcomes"]
    assert "passed" in outcomes.values()
    expected = {test: "failed" if test in EXPECTED else outcome for test, outcome in outcomes.items()}
    different = {test: outcome for test, outcome in ours["outcomes"].items() if outcome != expected.get(test)}
    assert different == {}, "\n".join(ours["texts"].get(test, "") for test in different)
    assert ours["outcomes"].keys() == outcomes.keys()
