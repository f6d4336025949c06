"""What the load generators have in common: how much is asked of them, what they say, how they are run."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import ClassVar, Protocol

import attrs

from .measure import BenchmarkError, Outcome

__all__ = ("Amount", "Load", "figure", "missing", "output_of")

#: Seconds after which a run of a load generator is given up.
_PATIENCE = 180.0


@attrs.frozen
class Amount:
    """
    How much of a load.

    Args:
        requests: For the generators that count.
        seconds: For those that look at the clock.
    """

    requests: int
    seconds: float = 4.0


class Load(Protocol):
    """A load generator."""

    #: The program, and the Debian package that has it.
    tool: ClassVar[str]
    package: ClassVar[str]

    def run(self, address: tuple[str, int], amount: Amount) -> Outcome:
        """Send requests to *address*, and wait for their answers; raise `BenchmarkError` if some are missing."""
        ...


def missing(load: Load) -> bool:
    """Whether the load generator is not installed."""
    return shutil.which(load.tool) is None


def output_of(command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a program, for three minutes at most, and return what it prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True, env=env)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{command[0]} was not done after {_PATIENCE:g} s") from error
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(
            f"{command[0]} ended with status {error.returncode}: {error.stderr[-500:]}"
        ) from error
    return done.stdout


def figure(pattern: str, output: str, tool: str) -> float:
    """Find a number in what *tool* has printed."""
    found = re.search(pattern, output)
    if found is None:
        raise BenchmarkError(f"{tool} does not say {pattern!r}: {output[-500:]!r}")
    return float(found[1])
