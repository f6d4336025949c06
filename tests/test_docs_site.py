"""The documentation as a site: each page has its place, each public name is shown, it builds without a warning."""

import importlib.util
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

import sockserve

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PUBLIC = ["sockserve"] + [
    module.name
    for module in pkgutil.walk_packages(sockserve.__path__, "sockserve.")
    if "._" not in module.name and not module.name.endswith("__main__")
]


def exported() -> Any:
    """The part of the reference's directive that needs no Sphinx."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        return importlib.import_module("exported")
    finally:
        sys.path.pop(0)


def shown() -> list[str]:
    """Read the dotted names that the pages of the reference show."""
    found = []
    for page in sorted(DOCS.glob("reference/*.md")):
        for line in re.findall(r"^```\{public\} (.*)$", page.read_text(), re.MULTILINE):
            module, *names = line.split()
            found += [f"{exported().shortest(module, name)}.{name}" for name in names or exported().own(module)]
    return found


def named(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_public_name_is_shown_once() -> None:
    """Whatever a public module has in its ``__all__`` is in the reference: a new module needs a line there."""
    names = shown()
    assert len(names) == len(set(names))
    objects = {id(named(name)) for name in names}
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in getattr(importlib.import_module(module), "__all__", ())
        if id(named(f"{module}.{name}")) not in objects
    ]
    assert missing == []


def test_every_page_has_its_place() -> None:
    """In the contents of docs/index.md, or of a page that is in them: a new page needs a line there."""
    listed = {"index.md"}
    for page in DOCS.rglob("*.md"):
        for contents in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in filter(None, contents.splitlines()):
                if not line.startswith(":"):
                    listed |= {str(each.relative_to(DOCS)) for each in page.parent.glob(f"{line}.md")}
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} == listed


#: Both in one process, which is half of the time that two take.
_BUILD = """
import sys
from sphinx.cmd.build import main
source, folder = sys.argv[1:]
settings = ["-W", "--keep-going", "-q", "-d", f"{folder}/trees", source]
for builder in ("html", "doctest"):
    if status := main(["-b", builder, *settings, f"{folder}/{builder}"]):
        sys.exit(status)
"""


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    """
    Every reference leads somewhere, every docstring is well formed, and what they promise by ``>>>`` holds.

    Nothing is fetched: links to Python's documentation are made only where SOCKSERVE_INTERSPHINX is set.
    """
    for module in ("sphinx", "furo", "myst_parser"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install '.[docs]'")
    (tmp_path / "build.py").write_text(_BUILD)  # by -c, the source of what has none would be taken to be this
    command = [sys.executable, str(tmp_path / "build.py"), str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + done.stdout
    inventory = (tmp_path / "html" / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.partition(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    assert set(shown()) - known == set()
