"""Requests over TCP, by redis-benchmark."""

import csv
from typing import ClassVar

import attrs

from .loads import Amount, output_of
from .measure import BenchmarkError, Outcome

__all__ = ("RedisBenchmark", "parsed")


@attrs.frozen(kw_only=True)
class RedisBenchmark:
    """
    A connection for each request, or kept connections.

    With ``-k 0`` redis-benchmark opens a new connection whenever it has read a reply, and closes the old one; its
    first connection asks for a CONFIG, which no server here has, and is not counted.

    Args:
        clients: Connections at a time. Opening them is not timed; it pauses for 50 ms after each 64.
        keep: Whether each connection is kept for all its requests.
        inline: Whether a request is a line of text, rather than an array of bulk strings.
        pipeline: Requests that are sent together, before the reply of the first is waited for.
    """

    clients: int = 50
    keep: bool = False
    inline: bool = False
    pipeline: int = 1
    tool: ClassVar[str] = "redis-benchmark"
    package: ClassVar[str] = "redis-tools"

    def run(self, address: tuple[str, int], amount: Amount) -> Outcome:
        """See `Load.run`."""
        host, port = address
        test = "ping_inline" if self.inline else "ping_mbulk"
        command = [self.tool, "-h", host, "-p", str(port), "-t", test, "-k", str(int(self.keep)), "--csv"]
        command += ["-c", str(self.clients), "-P", str(self.pipeline), "-n", str(amount.requests)]
        return parsed(output_of(command), amount.requests)


def parsed(output: str, requests: int) -> Outcome:
    """Read the line of its CSV: requests a second, and percentiles in milliseconds (since Redis 6.2)."""
    rows = list(csv.DictReader(output.splitlines()))
    if len(rows) != 1 or "rps" not in rows[0]:
        raise BenchmarkError(f"redis-benchmark printed no result: {output!r}")
    (row,) = rows
    p50, p99 = (row.get(f"{name}_latency_ms") for name in ("p50", "p99"))
    return Outcome(
        requests=requests,
        rate=min(float(row["rps"]), requests * 1000.0),  # it counts milliseconds: none would be inf
        p50=None if p50 is None else float(p50),
        p99=None if p99 is None else float(p99),
    )
