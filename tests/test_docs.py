"""The pages: their Python runs, their links lead somewhere, what the README promises is in place."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize(
    "name",
    [
        f"docs/{name}.md"
        for name in ("cli", "guide", "extending", "messages", "migrating", "observability", "prefork", "tls")
    ],
)
def test_the_blocks_of_a_page_run(name: str, tmp_path: Path) -> None:
    """All of a page in one program, warnings being errors."""
    blocks = _PYTHON.findall((ROOT / name).read_text())
    assert blocks
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks))
    strict = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *strict, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page."""
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_has_its_two_commands_and_every_part() -> None:
    """One fenced block under each heading; a row or column for each transport and strategy."""
    from sockserve import strategies, transports

    text = (ROOT / "README.md").read_text()
    for heading in ("Run it", "Test it"):
        section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
        assert section.count("```") == 2, heading
    table = text.split("## What fits")[1].split("\n## ")[0]
    for name in (*strategies.__all__, *transports.__all__):
        assert f"`{name}`" in table


def test_ruff_is_content() -> None:
    """Lint and format, over everything."""
    pytest.importorskip("ruff")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "src", "tests", "examples"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_changelog_names_the_version() -> None:
    """Or says that it is yet to come."""
    from sockserve import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {__version__}" in text or "## Unreleased" in text
