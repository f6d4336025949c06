"""The pages of the documentation, and what the reference shows."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


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
            for line in listed.splitlines():
                pages = set(page.parent.glob(f"{line}.md")) - found if line and line[0] != ":" else set()
                found |= pages
                left += pages
    return found
