"""Measuring two things side by side: pairs, interleaved; the CPU time of a server and of its children."""

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import attrs

__all__ = ("BenchmarkError", "Comparison", "Pair", "Probe", "ServerProcess", "compare", "interleave")

#: One measurement: the name of each measure, and its value.
Probe = Callable[[], Mapping[str, float]]


class BenchmarkError(Exception):
    """A measurement that cannot be trusted, or could not be made."""


@attrs.frozen
class Pair:
    """What was measured of ours and of the peer's, one right after the other."""

    ours: Mapping[str, float]
    peer: Mapping[str, float]


def interleave(ours: Probe, peer: Probe, rounds: int, progress: Callable[[Pair], object]) -> list[Pair]:
    """
    Measure both *rounds* times, in turns: what else the machine does meets both alike.

    Who comes first in a pair changes from pair to pair, so that a machine which gets slower favours nobody.
    """
    pairs = []
    for number in range(rounds):
        if number % 2:
            measured_peer = peer()
            pair = Pair(ours(), measured_peer)
        else:
            measured_ours = ours()
            pair = Pair(measured_ours, peer())
        pairs.append(pair)
        progress(pair)
    return pairs


@attrs.frozen(kw_only=True)
class Comparison:
    """
    One measure over all pairs.

    The ratio, ours to the peer's, is computed pair by pair: its median says more than the ratio of the medians
    where the machine's speed changes during a run.
    """

    measure: str
    ours: float
    ours_highest: float
    peer: float
    peer_highest: float
    ratio: float
    ratio_lowest: float
    ratio_highest: float


def compare(measure: str, pairs: Sequence[Pair]) -> Comparison:
    """Take the medians and the extremes of one measure."""
    ours = [pair.ours[measure] for pair in pairs]
    peer = [pair.peer[measure] for pair in pairs]
    ratios = [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]
    return Comparison(
        measure=measure,
        ours=statistics.median(ours),
        ours_highest=max(ours),
        peer=statistics.median(peer),
        peer_highest=max(peer),
        ratio=statistics.median(ratios),
        ratio_lowest=min(ratios),
        ratio_highest=max(ratios),
    )


_TESTS = Path(__file__).resolve().parents[1]
if sys.platform == "win32":
    _TICK = 100
else:
    _TICK = os.sysconf("SC_CLK_TCK")


@attrs.define(eq=False)
class ServerProcess:
    """
    A server of the registry in a process of its own, from ``with`` to its end.

    Resource handling:
        At the end it gets SIGTERM, and SIGKILL if that is not enough.
    """

    name: str
    address: tuple[str, int] = attrs.field(init=False, default=("", 0))
    _process: "subprocess.Popen[str] | None" = attrs.field(init=False, default=None)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        path = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.servers", self.name],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the standard library prints a traceback for each client that goes away
            text=True,
        )
        try:
            assert self._process.stdout is not None
            host, port = json.loads(_first_line(self._process.stdout, self.name))
            self.address = host, port
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def cpu_seconds(self) -> float:
        """User and system time of the process and of the children that it has reaped: proc(5), stat, 14 to 17."""
        return sum(int(ticks) for ticks in _stat(self.pid)[11:15]) / _TICK

    def memory(self) -> float:
        """Bytes: its proportional set size, in which shared pages count by their share (proc(5), smaps_rollup)."""
        for line in Path("/proc", str(self.pid), "smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Pss":
                return 1024 * float(value.split()[0])
        raise BenchmarkError("the kernel does not tell the proportional set size")

    def settle(self) -> None:
        """
        Wait until it has reaped its children, whose time is counted only then: the standard library's needs half a
        second for the last ones. At most 3 s.
        """
        time.sleep(0.05)  # the last replies were sent before the last threads ended
        until = time.monotonic() + 3.0
        while _has_children(self.pid):
            if time.monotonic() > until:
                raise BenchmarkError(f"{self.name} does not reap its children")
            time.sleep(0.05)


def _first_line(output: IO[str], name: str) -> str:
    ready, _, _ = select.select([output], [], [], 10.0)
    line = output.readline() if ready else ""
    if not line:
        raise BenchmarkError(f"the server {name} does not start; try: python -m benchmarks.servers {name}")
    return line


def _stat(pid: int | str) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: the second may hold spaces and parentheses."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()


def _has_children(pid: int) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(entry.name)[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if parent == pid:
                return True
    return False
