"""Measuring two things side by side: pairs, interleaved; what a measurement says."""

import statistics
from collections.abc import Callable, Mapping, Sequence

import attrs

__all__ = (
    "BenchmarkError",
    "Comparison",
    "Outcome",
    "Pair",
    "Probe",
    "compare",
    "interleave",
)

#: One measurement: the name of each measure, and its value.
Probe = Callable[[], Mapping[str, float]]


class BenchmarkError(Exception):
    """A measurement that cannot be trusted, or could not be made."""


@attrs.frozen
class Outcome:
    """
    What a load generator says of one run.

    Args:
        requests: How many were answered.
        rate: That many a second.
        p50: Milliseconds within which half of them were answered, where the generator says so.
        p99: The same, of 99 in 100.
    """

    requests: int
    rate: float
    p50: float | None = None
    p99: float | None = None


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
