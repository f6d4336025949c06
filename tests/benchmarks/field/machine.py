"""Where it was measured: what matters for the numbers, and neither names of hosts nor paths."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ("facts",)

_LIBRARIES = ("sockserve", "greenlet", "gevent", "uvloop", "trio", "twisted")
_PROGRAMS = {"redis-benchmark": "--version", "wrk": "--version", "dnsperf": "-h", "cc": "--version"}


def facts() -> Mapping[str, str]:
    """Return them by name."""
    if sys.platform != "linux":
        raise NotImplementedError  # as all that measures here: it reads /proc
    found = {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "system": f"{platform.system()} {'.'.join(re.findall('[0-9]+', platform.release())[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found.update((name, _version([name, option])) for name, option in _PROGRAMS.items())
    return found


def _processor() -> str:
    try:
        said = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        said = None
    return platform.machine() if said is None else f"{platform.machine()}, {said[1]}"


def _version(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    numbers = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return numbers[0] if numbers is not None else "unknown"
