"""DNS queries over UDP, by dnsperf."""

import math
import re
import tempfile
from pathlib import Path
from typing import ClassVar

import attrs

from .loads import Amount, figure, output_of
from .measure import BenchmarkError, Outcome

__all__ = ("DnsPerf", "latencies", "parsed", "percentile")

_NAMES = 500  # of the data file, which is run through a whole number of times
_LOST_AT_MOST = 0.001


@attrs.frozen(kw_only=True)
class DnsPerf:
    """
    DNS queries from one client.

    The number of queries without an answer is bounded: the next is sent when one comes back, so that the server is
    always busy and its socket's buffer never overflows.

    Args:
        outstanding: That number.
        latencies: Runs of the data file, besides, by a dnsperf that prints each query's latency: it is slower.
    """

    outstanding: int = 100
    latencies: int = 0
    tool: ClassVar[str] = "dnsperf"
    package: ClassVar[str] = "dnsperf"

    def run(self, address: tuple[str, int], amount: Amount) -> Outcome:
        """See `Load.run`; the requests are rounded to a multiple of the names in the data file."""
        outcome = parsed(self._output(address, max(1, round(amount.requests / _NAMES)), []))
        if not self.latencies:
            return outcome
        output = self._output(address, self.latencies, ["-v"])
        spent = latencies(output)
        return attrs.evolve(
            outcome,
            requests=outcome.requests + parsed(output).requests,
            p50=percentile(50, spent),
            p99=percentile(99, spent),
        )

    def _output(self, address: tuple[str, int], runs: int, options: list[str]) -> str:
        host, port = address
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder, "queries")
            data.write_text("".join(f"host{number}.example A\n" for number in range(_NAMES)))
            command = [self.tool, "-m", "udp", "-s", host, "-p", str(port), "-d", str(data), "-n", str(runs)]
            command += ["-c", "1", "-T", "1", "-q", str(self.outstanding), "-t", "2", *options]
            return output_of(command)


def parsed(output: str) -> Outcome:
    """Read its statistics: at most one query in a thousand may have been lost."""
    sent = figure(r"Queries sent:\s+(\d+)", output, "dnsperf")
    completed = figure(r"Queries completed:\s+(\d+)", output, "dnsperf")
    if sent - completed > _LOST_AT_MOST * sent:
        raise BenchmarkError(f"{sent - completed:.0f} of {sent:.0f} queries were lost")
    return Outcome(int(completed), figure(r"Queries per second:\s+([\d.]+)", output, "dnsperf"))


def latencies(output: str) -> list[float]:
    """Read the milliseconds of each query from what ``-v`` prints, ascending; there is at least one."""
    found = re.findall(r"^> \S+ \S+ \S+ ([\d.]+)$", output, re.MULTILINE)
    if not found:
        raise BenchmarkError(f"dnsperf -v does not say how long a query took: {output[:500]!r}")
    return sorted(1000 * float(seconds) for seconds in found)


def percentile(percent: int, ascending: list[float]) -> float:
    """Return the least value that is not exceeded by *percent* percent (nearest rank)."""
    return ascending[max(0, math.ceil(percent / 100 * len(ascending)) - 1)]
