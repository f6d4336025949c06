"""The documentation as a site: it builds without a warning, and has every public name."""

import importlib.util
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from docs_kit import DOCS, shown

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
    (tests,) = re.findall(r"^ *(\d+) tests$", (tmp_path / "doctest" / "output.txt").read_text(), re.MULTILINE)
    assert int(tests) >= 15  # those of the docstrings
    inventory = (tmp_path / "html" / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.partition(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    assert set(shown()) - known == set()
