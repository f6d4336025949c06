"""The pages of the documentation, and what the reference shows."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)

#: The Python of each page, and what is typed, with what is printed below it.
BLOCKS = {page: found for page in PAGES if (found := _PYTHON.findall(page.read_text()))}
COMMANDS = {
    page: _COMMAND.findall("".join(found)) for page in PAGES if (found := _CONSOLE.findall(page.read_text()))
}
#: The pages whose only program is the first that a newcomer sees: it serves until Ctrl-C.
FIRST = (ROOT / "README.md", DOCS / "index.md")
#: The page whose programs are files, which commands run.
TYPED = DOCS / "tutorial.md"

#: How many programs and commands of each page were run.
_ran: dict[Path, tuple[int, int]] = {}


def note(page: Path, programs: int, commands: int) -> None:
    """Remember that they were run."""
    before = _ran.get(page, (0, 0))
    _ran[page] = (before[0] + programs, before[1] + commands)


def counted() -> str:
    """Say what was run, for people; nothing where nothing was."""
    if not _ran:
        return ""
    programs, commands = (sum(each) for each in zip(*_ran.values(), strict=True))
    return f"documentation: {programs} Python blocks and {commands} commands of {len(_ran)} pages were run"


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


def contents() -> set[Path]:
    """Find the pages that are reached from docs/index.md, by lists of contents."""
    found, left = {DOCS / "index.md"}, [DOCS / "index.md"]
    while left:
        page = left.pop()
        for listed in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in filter(None, listed.splitlines()):
                name = re.sub(r".*<(.*)>", r"\1", line)
                pages = set(page.parent.glob(f"{name}.md")) - found if name[0] != ":" else set()
                found |= pages
                left += pages
    return found
