"""The pages: their Python runs, their links lead somewhere, what the README promises is in place."""

import importlib.util
import pkgutil
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

import sockserve
from docs_kit import BLOCKS, COMMANDS, DOCS, FIRST, PAGES, ROOT, TYPED, contents, named, note, shown
from recorder import FAILSAFE

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_LINK = re.compile(r"\]\(([^)#:]+)\)")
_STRICT = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning"]

#: What pages are written with, beside what the tests need in any case.
NEEDS = {"migrating-gevent.md": "gevent"}
PROGRAMS = [page for page in BLOCKS if page not in {*FIRST, TYPED}]

Done: TypeAlias = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Future[Done]]:
    """Run the programs of the pages that are asked for, side by side."""
    folder = tmp_path_factory.mktemp("pages")

    def run(page: Path) -> Done:
        program = folder / f"{page.stem}.py"
        program.write_text("\n".join(BLOCKS[page]))
        return subprocess.run([*_STRICT, program], capture_output=True, text=True, timeout=60, check=False)

    specs = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {spec.params.get("page") for spec in specs if spec is not None}
    with ThreadPoolExecutor(2) as pool:
        return {page: pool.submit(run, page) for page in PROGRAMS if page in wanted}


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, ran: dict[Path, Future[Done]]) -> None:
    """All of a page in one program, warnings being errors."""
    needed = NEEDS.get(page.name)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    done = ran[page].result()
    assert (done.returncode, done.stderr) == (0, "")
    note(page, len(BLOCKS[page]), 0)


def test_the_first_program_serves(tmp_path: Path) -> None:
    """It is the same on both pages, and answers as docs/index.md shows, until Ctrl-C."""
    (first,), (same,) = (BLOCKS[page] for page in FIRST)
    assert first == same
    assert "9000" in first
    program = tmp_path / "upper.py"
    program.write_text(first.replace("9000", "0"))
    with subprocess.Popen(
        [*_STRICT, "-u", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout
            port = re.findall(r"\d+", process.stdout.readline())[-1]
            with socket.create_connection(("127.0.0.1", int(port)), FAILSAFE) as client:
                client.sendall(b"hello\n")
                assert client.recv(100) == b"HELLO\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(FAILSAFE) == -signal.SIGINT
            note(FIRST[1], 1, len(COMMANDS[FIRST[1]]))
        finally:
            process.kill()


def test_every_page_has_its_place() -> None:
    """In the contents of docs/index.md, or of a page that is in them: a new page needs a line there."""
    assert set(DOCS.rglob("*.md")) - contents() == set()


def test_every_example_is_in_the_gallery() -> None:
    """With its source."""
    page = (DOCS / "gallery.md").read_text()
    shown = set(re.findall(r"^```\{literalinclude\} \.\./examples/(\w+)\.py$", page, re.MULTILINE))
    assert {path.stem for path in (ROOT / "examples").glob("[!_]*.py")} == shown


def test_every_public_name_is_shown_once() -> None:
    """Whatever a public module has in its ``__all__`` is in the reference: a new module needs a line there."""
    modules = [
        module.name
        for module in pkgutil.walk_packages(sockserve.__path__, "sockserve.")
        if "._" not in module.name and not module.name.endswith("__main__")
    ]
    names = shown()
    assert len(names) == len(set(names))
    objects = {id(named(name)) for name in names}
    missing = [
        f"{module}.{name}"
        for module in ["sockserve", *modules]
        for name in getattr(importlib.import_module(module), "__all__", ())
        if id(named(f"{module}.{name}")) not in objects
    ]
    assert missing == []


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
            [sys.executable, "-m", "ruff", *command, "--no-cache", "src", "tests", "examples", "docs"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_every_event_is_on_the_page_with_its_level() -> None:
    """As the default observer logs it."""
    import logging

    from sockserve import events
    from sockserve.observers import _ROWS

    table = (DOCS / "observability.md").read_text().partition("| event | level | when |")[2].partition("\n\n")[0]
    told = {
        name: level
        for row in table.splitlines()[2:]
        for names, level in [row.strip("| ").split(" | ")[:2]]
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {
        kind: logging.getLevelName(_ROWS[getattr(events, kind)][0]) for kind in events.__all__ if kind != "Event"
    }


def test_the_changelog_names_the_version() -> None:
    """Or says that it is yet to come."""
    from sockserve import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {__version__}" in text or "## Unreleased" in text
