"""A server in a process of its own: starting and ending it, its CPU time and its children's, its memory."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import attrs

from .measure import BenchmarkError, Outcome
from .servers import STANDING

__all__ = ("TESTS", "Measured", "ServerProcess")

TESTS = Path(__file__).resolve().parents[1]
if sys.platform == "win32":
    _TICK, _LAST = 100, signal.SIGTERM
else:
    _TICK, _LAST = os.sysconf("SC_CLK_TCK"), signal.SIGKILL


@attrs.frozen
class Measured:
    """What a load generator says, and microseconds of the server's CPU time for a request."""

    outcome: Outcome
    cpu: float


@attrs.define(eq=False)
class ServerProcess:
    """
    A server of the registry in a process of its own, from ``with`` to its end.

    Resource handling:
        At the end it and its children get SIGTERM, and SIGKILL if that is not enough.
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
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.servers", self.name],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the standard library prints a traceback for each client that goes away
            text=True,
            start_new_session=True,
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
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._signal(_LAST)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        """Send it to the process and to its children, which are in the session that was made for it."""
        if sys.platform == "win32":
            raise NotImplementedError
        os.killpg(self.pid, number)  # not reaped yet: nobody else has this number

    def cpu_seconds(self) -> float:
        """
        User and system time of the process and of those that serve beside it, by their clocks, and of the children
        that it has reaped, in ticks.

        A clock's number is what clock_getcpuclockid(3) returns; the children's are proc(5), stat, 16 and 17.
        """
        if sys.platform == "win32":
            raise NotImplementedError
        reaped = sum(int(ticks) for ticks in _stat(self.pid)[13:15]) / _TICK
        return sum(map(_clock, (self.pid, *self._standing()))) + reaped

    def _standing(self) -> list[int]:
        """Return the processes that serve as long as it does."""
        return _children_of(self.pid) if self.name in STANDING else []

    def measured(self, run: Callable[[], Outcome]) -> "Measured":
        """Let *run* load it, and look at its CPU time before and after."""
        self.settle()
        before = self.cpu_seconds()
        outcome = run()
        self.settle()
        return Measured(outcome, 1e6 * (self.cpu_seconds() - before) / outcome.requests)

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
        while len(_children_of(self.pid)) != STANDING.get(self.name, 0):
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


def _clock(pid: int) -> float:
    if sys.platform == "win32":
        raise NotImplementedError
    return time.clock_gettime(~pid << 3 | 2)


def _children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(entry.name)[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if parent == pid:
                found.append(int(entry.name))
    return found
