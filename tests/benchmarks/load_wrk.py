"""HTTP requests over kept connections, by wrk."""

import re
from typing import ClassVar

import attrs

from .loads import Amount, figure, output_of
from .measure import BenchmarkError, Outcome

__all__ = ("Wrk", "parsed")


@attrs.frozen(kw_only=True)
class Wrk:
    """As many requests as there can be in a given time, of whole seconds."""

    clients: int = 1000
    tool: ClassVar[str] = "wrk"
    package: ClassVar[str] = "wrk"

    def run(self, address: tuple[str, int], amount: Amount) -> Outcome:
        """See `Load.run`."""
        host, port = address
        seconds = max(1, round(amount.seconds))
        command = [
            self.tool,
            "-t",
            "1",
            "-c",
            str(self.clients),
            "-d",
            f"{seconds}s",
            "--timeout",
            "10s",
            "--latency",
        ]
        return parsed(output_of([*command, f"http://{host}:{port}/"]))


_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def parsed(output: str) -> Outcome:
    """Read its report. A request without the right answer, or without any, spoils it."""
    for line in output.splitlines():
        name, _, counts = line.strip().partition(":")
        if name in {"Socket errors", "Non-2xx or 3xx responses"} and re.search("[1-9]", counts):
            raise BenchmarkError(f"wrk reports {line.strip()}")
    return Outcome(
        requests=int(figure(r"(\d+) requests in", output, "wrk")),
        rate=figure(r"Requests/sec:\s+([\d.]+)", output, "wrk"),
        p50=_latency(50, output),
        p99=_latency(99, output),
    )


def _latency(percent: int, output: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", output, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"wrk does not say its latency at {percent}%: {output[-500:]!r}")
    return float(found[1]) * _MILLISECONDS[found[2]]
