"""A cluster answers messages: a real one of Dask's, in processes, of which one is killed under load."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs Dask: pip install 'sockserve[dask]'")

PROGRAM = Path(__file__).parent / "dask_load.py"


def _run(*arguments: str) -> dict[str, int]:
    """Run the load in a process of its own: Dask leaves threads behind in the one that it is used in."""
    command: Sequence[str] = [sys.executable, "-W", "error", str(PROGRAM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)", done.stdout, re.MULTILINE)}


def test_a_worker_is_killed_under_load_and_no_client_waits_for_ever() -> None:
    """Each request is answered, or its connection closed with an event: where a task may not be tried again."""
    found = _run("--workers", "2", "--clients", "4", "--requests", "25", "--allowed-failures", "0")
    assert found["workers"] == 2
    assert found["sent"] == 100
    assert found["answered"] + found["closed"] == 100
    assert found["closed"] == found["events"]
    assert found["lost"] == found["wrong"] == 0
