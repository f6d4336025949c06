"""One measurement: a server in a new process, checked, warmed up, loaded, ended."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import attrs

from ..loads import Amount
from ..measure import BenchmarkError
from ..probes import idle_memory
from ..process import ServerProcess
from .budget import Share
from .checks import check
from .entries import Entry
from .scenarios import FEWEST

__all__ = ("Measure", "TimeOverError", "measure")

#: Who, under which load; what it gets; requests a second that are expected of it → the value of each measure.
Measure = Callable[[Entry, Share, float | None], Mapping[str, float]]

_FEWEST = 100  # requests, however short the time and slow the server


class TimeOverError(BenchmarkError):
    """It was not done in the time that it had."""


def measure(entry: Entry, share: Share, rate: float | None) -> Mapping[str, float]:
    """Measure once; raise `BenchmarkError` if that fails."""
    try:
        with ServerProcess(entry.server) as process, _limit(share.patience):
            if entry.scenario.load is None:
                return {"memory": idle_memory(process)}
            return _loaded(entry, process, share, rate)
    except OSError as error:  # a connection that is refused or reset, no descriptors left, ...
        raise BenchmarkError(repr(error)) from error


def _loaded(entry: Entry, process: ServerProcess, share: Share, rate: float | None) -> Mapping[str, float]:
    scenario = entry.scenario
    load = scenario.load
    assert load is not None
    check(scenario.kind, process.address)
    if scenario.warm is not None:
        warmed = scenario.warm.run(process.address, Amount(scenario.warm_up))
        rate = rate or warmed.rate
    requests = max(_FEWEST, FEWEST * scenario.connections, round(share.seconds * (rate or 0.0)))
    measured = process.measured(lambda: load.run(process.address, Amount(requests, share.seconds)))
    outcome = attrs.asdict(measured.outcome)
    return {
        "throughput": measured.outcome.rate,
        **{name: outcome[name] for name in ("p50", "p99") if outcome[name] is not None},
        "cpu": measured.cpu,
    }


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """
    Raise `TimeOverError` in what takes longer, wherever it is.

    It is entered after the server has started, and left before it is ended, which have their own limits: an
    interrupted end would leave a server behind.
    """
    if sys.platform == "win32":
        raise NotImplementedError

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TimeOverError(f"it was not done after {seconds:.1f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
