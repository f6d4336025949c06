"""What type checkers say: of the whole project, of what they must accept, of what they must refuse."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.timeout(400)

#: The errors that a checker has found.
Found: TypeAlias = list[dict[str, object]]

ROOT = Path(__file__).parent.parent
ACCEPT, REJECT = (str(ROOT / "tests" / "typing" / name) for name in ("accept.py", "reject.py"))
#: As mypy calls them, and as pyright does.
PLATFORMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}


def _run(module: str, *arguments: str) -> str:
    pytest.importorskip(module)
    # pyright --verifytypes asks the first Python on the PATH where packages are, whatever --pythonpath says.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def _mypy(platform: str, *arguments: str) -> Found:
    settings = ("--config-file", "mypy.ini", "--output=json", "--no-error-summary", "--platform", platform)
    text = _run("mypy", *settings, "--cache-dir", f".mypy_cache/{platform}", *arguments)
    found: Found = [json.loads(line) for line in text.splitlines()]
    return [each for each in found if each["severity"] == "error"]


def _pyright(*arguments: str) -> Found:
    text = _run("pyright", "--outputjson", "--pythonpath", sys.executable, *arguments)
    found: Found = json.loads(text[text.index("{") :])["generalDiagnostics"]
    return [each for each in found if each["severity"] == "error"]


def _verify_types() -> Found:
    """List what is not known of the types of the package, to those who install it."""
    arguments = ("--verifytypes", "sockserve", "--ignoreexternal", "--outputjson", "--pythonpath", sys.executable)
    text = _run("pyright", *arguments)
    report = json.loads(text[text.index("{") :])["typeCompleteness"]
    found: Found = [
        {"symbol": symbol["name"], "message": each["message"]}
        for symbol in report["symbols"]
        for each in symbol["diagnostics"]
        if each["severity"] == "error"
    ]
    assert (report["completenessScore"] == 1) == (not found)
    return found


def _mypy_thrice(platform: str) -> dict[str, Found]:
    """Check everything; code for other platforms is unreachable, and may be. What follows is then half known."""
    more = [] if platform == sys.platform else ["--no-warn-unreachable"]
    return {
        "project": _mypy(platform, *more),
        "accept": _mypy(platform, ACCEPT),
        "reject": _mypy(platform, REJECT),
    }


Checks: TypeAlias = dict[str, Future[dict[str, Found]]]


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """Start all the checkers at once: they take longer than most of the suite."""
    copy = tmp_path_factory.mktemp("typing") / "reject.py"  # the project's settings exclude it where it lies
    copy.write_text(Path(REJECT).read_text())
    with ThreadPoolExecutor(3) as pool:
        found = {name: pool.submit(_mypy_thrice, name) for name in PLATFORMS}
        for name in PLATFORMS.values():
            found[name] = pool.submit(lambda name: {"project": _pyright("--pythonplatform", name)}, name)
        found["pyright"] = pool.submit(lambda: {"reject": _pyright(str(copy))})
        found["outside"] = pool.submit(lambda: {"project": _verify_types()})
        return found


@pytest.mark.parametrize("platform", [*PLATFORMS, *PLATFORMS.values()])
def test_the_checkers_are_content_with_the_project(platform: str, checks: Checks) -> None:
    """mypy and pyright, with src, tests and examples, strict, as for each platform."""
    assert checks[platform].result()["project"] == []


def test_every_type_is_known_to_those_who_install_it(checks: Checks) -> None:
    """``pyright --verifytypes`` at 100 %: all that the package shows is annotated; nothing has to be guessed."""
    assert checks["outside"].result()["project"] == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_mypy_accepts_what_is_documented(platform: str, checks: Checks) -> None:
    """Every composition that works."""
    assert checks[platform].result()["accept"] == []


def test_mypy_rejects_each_mistake(checks: Checks) -> None:
    """The same lines with the same codes as the file says, and no other, on the platform that has it all."""
    expected: Counter[tuple[object, object]] = Counter()
    for number, line in enumerate(Path(REJECT).read_text().splitlines(), 1):
        expected.update((number, code) for code in re.findall(r"# E: ([a-z-]+)", line))
    assert Counter((each["line"], each["code"]) for each in checks["linux"].result()["reject"]) == expected


def test_pyright_rejects_each_mistake(checks: Checks) -> None:
    """The same lines; its codes are its own."""
    lines = Path(REJECT).read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# E: " in line}
    found = {each["range"]["start"]["line"] + 1 for each in checks["pyright"].result()["reject"]}  # type: ignore[index]
    assert found == expected


def test_a_mistake_is_explained_readably(checks: Checks) -> None:
    """mypy names the argument and both types, rather than a type variable that it cannot solve."""
    for each in checks["linux"].result()["reject"]:
        assert "Cannot infer" not in str(each["message"])
