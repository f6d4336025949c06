"""The victims in a process of their own, and what it holds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

__all__ = ("Held", "Victims")

_TESTS = Path(__file__).resolve().parents[1]


@attrs.frozen
class Held:
    """What a process holds: bytes of memory, shared with its children or not, descriptors, threads, children."""

    memory: int
    descriptors: int
    threads: int
    children: int

    def holds_no_more_than(self, other: "Held") -> bool:
        """Of all but memory, which is the allocator's business."""
        return (
            self.descriptors <= other.descriptors
            and self.threads <= other.threads
            and self.children <= other.children
        )


@attrs.define(eq=False)
class Victims:
    """
    Servers in a process, from ``with`` to its end.

    Args:
        names: Which of `attacks.victims.VICTIMS`.
        environment: Variables of theirs, besides those of this process.
    """

    names: tuple[str, ...]
    environment: dict[str, str] = attrs.field(factory=dict)
    addresses: dict[str, tuple[str, int]] = attrs.field(init=False, factory=dict)
    _process: "subprocess.Popen[str] | None" = attrs.field(init=False, default=None)

    def __enter__(self) -> Self:
        """Start, and wait until they listen."""
        path = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "attacks.victims", *self.names],
            env={**os.environ, **self.environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.addresses = {name: tuple(each) for name, each in zip(self.names, json.loads(line), strict=True)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it; its exit code is what tells whether it had survived."""
        self.end()

    def end(self) -> int:
        """Ask it to stop, and return its exit code: 0, unless something was wrong."""
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def held(self) -> Held:
        """Look at it: proc(5)."""
        assert self._process is not None
        folder = Path("/proc", str(self._process.pid))
        memory = next(
            int(line.split()[1]) * 1024
            for line in (folder / "smaps_rollup").read_text().splitlines()
            if line.startswith("Rss:")
        )
        threads = [entry.name for entry in (folder / "task").iterdir()]
        children = sum(_children(folder / "task" / each) for each in threads)
        return Held(memory, len(list((folder / "fd").iterdir())), len(threads), children)


def _children(task: Path) -> int:
    """How many a thread has forked that are still there."""
    try:
        return len((task / "children").read_text().split())
    except OSError:
        return 0  # it has ended meanwhile
