"""
A metrics sink: counters, gauges, timings and sets by UDP, as StatsD's clients send them; a report for Graphite.

    python examples/statsd_sink.py --udp 127.0.0.1:8125 --interval 10
    echo 'page.views:1|c' | nc -u -q0 127.0.0.1 8125

A datagram has one metric a line: ``NAME:VALUE|c`` counts (``|@0.1`` says that only a tenth was sent), ``|g`` is a
gauge (``+1``, ``-1`` change it), ``|ms`` or ``|h`` a timing, ``|s`` a member of a set. What was counted in an
interval is printed by the first datagram of the next, and at the end: ``NAME VALUE TIME``, Graphite's plaintext.
What is no metric, or one too many, is counted as ``sink.bad``.
"""

import functools
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from _choose import SHARED_MEMORY, UDP, UNIX_DATAGRAM, CommandLine
from sockserve import MessageHandler

__all__ = ("Metrics", "StatsdHandler")

#: Names that are kept, members of a set, and timings of a name in an interval: whatever else comes is bad.
MAX_NAMES: Final = 10_000
MAX_KEPT: Final = 10_000

METRIC = re.compile(r"([\w./-]{1,200}):([^|\n]{1,200})\|(c|g|ms|h|s)(?:\|@([0-9.]{1,10}))?(?:\|#\S*)?", re.ASCII)


@attrs.define(eq=False)
class Metrics:
    """What was sent in this interval; gauges are kept for longer. One thread at a time may use it."""

    counts: defaultdict[str, float] = attrs.field(factory=lambda: defaultdict(float))
    gauges: dict[str, float] = attrs.field(factory=dict)
    timings: defaultdict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    sets: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))

    def add(self, packet: bytes) -> None:
        """Take note of a datagram."""
        for line in packet.decode(errors="replace").split("\n"):
            if line and not self._add(line):
                self.counts["sink.bad"] += 1

    def _add(self, line: str) -> bool:
        found = METRIC.fullmatch(line)
        if found is None:
            return False
        name, value, kind, rate = found.groups(default="1")
        try:
            return self._room(name) and self._note(name, value, kind, float(rate))
        except (ValueError, ZeroDivisionError, OverflowError):
            return False

    def _note(self, name: str, value: str, kind: str, rate: float) -> bool:
        if kind == "s":
            return _keep(self.sets[name].add, value, len(self.sets[name]))
        number, share = float(value), 1 / min(rate, 1.0)
        if not abs(number * share) < 1e15:  # also infinity, and what is not a number
            return False
        match kind:
            case "c":
                self.counts[name] += number * share
            case "g":
                self.gauges[name] = self.gauges.get(name, 0.0) + number if value[0] in "+-" else number
            case _:
                return _keep(self.timings[name].append, number, len(self.timings[name]))
        return True

    def _room(self, name: str) -> bool:
        every: tuple[Mapping[str, object], ...] = (self.counts, self.gauges, self.timings, self.sets)
        return any(name in each for each in every) or sum(len(each) for each in every) < MAX_NAMES

    def report(self) -> Iterator[tuple[str, float]]:
        """Give the figures of the interval, and begin another."""
        yield from sorted(self.counts.items())
        yield from sorted(self.gauges.items())
        for name, timings in sorted(self.timings.items()):
            timings.sort()
            yield f"{name}.count", len(timings)
            yield f"{name}.mean", sum(timings) / len(timings)
            yield f"{name}.p90", timings[int(0.9 * (len(timings) - 1))]
            yield f"{name}.max", timings[-1]
        for name, members in sorted(self.sets.items()):
            yield f"{name}.count", len(members)
        for each in (self.counts, self.timings, self.sets):
            each.clear()


def _keep(add: Callable[[Any], object], value: object, kept: int) -> bool:
    if kept >= MAX_KEPT:
        return False
    add(value)
    return True


@attrs.define(eq=False)
class Sink:
    """
    Where datagrams go. It may be used by several threads.

    Args:
        interval: Seconds from one report to the next.
        show: Called with each line.
        clock: The time of day, in seconds.
    """

    interval: float
    show: Callable[[str], object] = attrs.field(default=functools.partial(print, flush=True))  # pipes have readers
    clock: Callable[[], float] = time.time
    metrics: Metrics = attrs.field(factory=Metrics)
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    until: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.until = self.clock() + self.interval

    def take(self, packet: bytes) -> None:
        """Take note of a datagram; report what was before it, where a new interval has begun."""
        with self.lock:
            if self.clock() >= self.until:
                self._report()
            self.metrics.add(packet)

    def close(self) -> None:
        """Report what is left."""
        with self.lock:
            self._report()

    def _report(self) -> None:
        now = self.clock()
        for name, value in self.metrics.report():
            self.show(f"{name} {value:.15g} {now:.0f}")
        self.until = now + self.interval


class StatsdHandler(MessageHandler):
    """Takes a datagram. It never replies."""

    def __init__(self, *request: Any, sink: Sink) -> None:
        self.sink = sink
        super().__init__(*request)

    def respond(self, message: bytes) -> None:
        """Take note of it."""
        self.sink.take(message)


def main(arguments: Sequence[str] | None = None) -> None:
    """Receive until told to stop."""
    command = CommandLine(__doc__, UDP, UNIX_DATAGRAM, strategies=SHARED_MEMORY)
    command.add_argument("--interval", type=float, default=10.0, metavar="SECONDS", help="between reports (10)")
    options = command.parse_args(arguments)
    sink = Sink(options.interval)
    try:
        command.serve(options, functools.partial(StatsdHandler, sink=sink))
    finally:
        sink.close()


if __name__ == "__main__":
    main()
