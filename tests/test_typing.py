"""What type checkers say: of the whole project, of what they must accept, of what they must refuse."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ACCEPT, REJECT = (str(ROOT / "tests" / "typing" / name) for name in ("accept.py", "reject.py"))
PLATFORMS = ("linux", "darwin", "win32")


def _mypy(*arguments: str) -> list[dict[str, object]]:
    mypy = pytest.importorskip("mypy.api")
    text, errors, _ = mypy.run(
        ["--config-file", str(ROOT / "mypy.ini"), "--output=json", "--no-error-summary", *arguments]
    )
    assert not errors
    found = [json.loads(line) for line in text.splitlines()]
    return [each for each in found if each["severity"] == "error"]


def _pyright(*arguments: str) -> list[dict[str, object]]:
    pytest.importorskip("pyright")
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    try:
        found: list[dict[str, object]] = json.loads(run.stdout[run.stdout.index("{") :])["generalDiagnostics"]
    except ValueError:
        pytest.fail(f"pyright did not run: {run.stdout}{run.stderr}")
    return [each for each in found if each["severity"] == "error"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_mypy_is_content_with_the_project(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """src, tests and examples, strict, as for each platform. Code for others is unreachable there, and may be."""
    monkeypatch.chdir(ROOT)
    more = [] if platform == sys.platform else ["--no-warn-unreachable"]
    assert _mypy("--platform", platform, *more) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("platform", ["Linux", "Darwin", "Windows"])
def test_pyright_is_content_with_the_project(platform: str) -> None:
    """The same for the other checker."""
    assert _pyright("--pythonplatform", platform) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_mypy_accepts_what_is_documented(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every composition that works."""
    monkeypatch.chdir(ROOT)
    assert _mypy("--platform", platform, ACCEPT) == []


@pytest.mark.timeout(300)
def test_mypy_rejects_each_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lines with the same codes as the file says, and no other."""
    monkeypatch.chdir(ROOT)
    expected: Counter[tuple[int, str]] = Counter()
    for number, line in enumerate(Path(REJECT).read_text().splitlines(), 1):
        expected.update((number, code) for code in re.findall(r"# E: ([a-z-]+)", line))
    found = Counter((each["line"], each["code"]) for each in _mypy(REJECT))
    assert found == expected


@pytest.mark.timeout(300)
def test_pyright_rejects_each_mistake(tmp_path: Path) -> None:
    """The same lines; its codes are its own."""
    lines = Path(REJECT).read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# E: " in line}
    copy = tmp_path / "reject.py"  # the project's settings exclude it where it lies
    copy.write_text("\n".join(lines))
    found = {each["range"]["start"]["line"] + 1 for each in _pyright(str(copy))}  # type: ignore[index]
    assert found == expected


@pytest.mark.timeout(300)
def test_a_mistake_is_explained_readably(monkeypatch: pytest.MonkeyPatch) -> None:
    """mypy names the argument and both types, rather than a type variable that it cannot solve."""
    monkeypatch.chdir(ROOT)
    for each in _mypy(REJECT):
        assert "Cannot infer" not in str(each["message"])
