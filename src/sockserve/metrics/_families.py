"""What is told to Prometheus: every metric, its meaning, and where its numbers come from."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Literal, TypeAlias, get_args

import attrs

from .. import __version__
from .._text import printable
from ..handlers import handler_name
from ..server import AnyServer
from ..stats import Distribution, Measurements, ServerState, Stats, WorkerState
from ._watched import Watched

__all__ = ("Family", "Sample", "families")

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

STATES: tuple[str, ...] = get_args(ServerState)
WORKER_STATES: tuple[str, ...] = get_args(WorkerState)


@attrs.frozen
class Sample:
    """
    One number.

    Args:
        suffix: What its name has behind that of the family: ``_total``, ``_bucket``, nothing.
        labels: What tells it from the others.
        value: The number.
    """

    suffix: str
    labels: Mapping[str, str]
    value: float


@attrs.define
class Family:
    """
    A metric, of all servers.

    Args:
        name: Without the suffix of its samples.
        kind: What Prometheus does with it.
        meaning: In one sentence.
        samples: Its numbers.
    """

    name: str
    kind: Kind
    meaning: str
    samples: list[Sample] = attrs.field(factory=list)


#: Each metric: its name, its kind and what it means.
_METRICS: tuple[tuple[str, Kind, str], ...] = (
    ("info", "gauge", "Always 1; the labels say what serves."),
    ("state", "gauge", "1 for the state that the server is in, 0 for the others."),
    ("requests_accepted", "counter", "Requests handed to the strategy."),
    ("requests_active", "gauge", "Requests that have not ended yet."),
    ("requests_finished", "counter", "Requests that ended well, or by a peer that went away."),
    ("requests_failed", "counter", "Requests ended by an error of the handler or the death of its process."),
    ("requests_refused", "counter", "Requests turned away before any handler saw them."),
    ("request_duration_seconds", "histogram", "From the beginning of a request's handling to its end."),
    ("turn_duration_seconds", "histogram", "How long requests in the table have held the loop, turn by turn."),
    ("events", "counter", "Events of each kind, but those of every request."),
    ("accept_pauses", "counter", "Times that accepting paused for want of descriptors or memory."),
    ("workers", "gauge", "Processes that serve, by their state."),
    ("full", "gauge", "1 while the strategy can take no request, and clients wait in the kernel's queue."),
    ("queue_length", "gauge", "Clients in the kernel's queue, not accepted yet."),
    ("datagrams_dropped", "counter", "Datagrams that the kernel dropped for want of room in the socket's buffer."),
)


def families(watched: Watched) -> list[Family]:
    """Return the metrics of this moment; one without a number for any server is left out."""
    found = {name: Family(f"sockserve_{name}", kind, meaning) for name, kind, meaning in _METRICS}
    for server_name, server in watched.by_name().items():
        for name, sample in _samples(server):
            found[name].samples.append(attrs.evolve(sample, labels={"server": server_name, **sample.labels}))
    return [family for family in found.values() if family.samples]


def _samples(server: AnyServer) -> Iterator[tuple[str, Sample]]:
    measured = server.measure()
    yield "info", Sample("", _about(server), 1)
    for state in STATES:
        yield "state", Sample("", {"state": state}, int(state == server.state))
    yield from _counts(server.stats)
    yield from _histogram("request_duration_seconds", measured.durations)
    if measured.turns is not None:
        yield from _histogram("turn_duration_seconds", measured.turns)
    yield from _arrivals(measured)
    workers = server.workers()
    for worker_state in WORKER_STATES if workers else ():
        count = sum(worker.state == worker_state for worker in workers)
        yield "workers", Sample("", {"state": worker_state}, count)


def _about(server: AnyServer) -> dict[str, str]:
    return {
        "version": __version__,
        "transport": type(server.transport).__name__,
        "strategy": type(server.strategy).__name__,
        "handler": printable(handler_name(server.handler)),
    }


def _counts(stats: Stats) -> Iterator[tuple[str, Sample]]:
    yield "requests_active", Sample("", {}, stats.active)
    for name in ("accepted", "finished", "failed", "refused"):
        yield f"requests_{name}", Sample("_total", {}, getattr(stats, name))


def _histogram(name: str, found: Distribution) -> Iterator[tuple[str, Sample]]:
    for bound, count in zip((*found.bounds, None), accumulate(found.counts), strict=True):
        yield name, Sample("_bucket", {"le": "+Inf" if bound is None else repr(float(bound))}, count)
    yield name, Sample("_count", {}, found.count)
    yield name, Sample("_sum", {}, found.total)


def _arrivals(measured: Measurements) -> Iterator[tuple[str, Sample]]:
    events = dict(measured.events)
    yield "accept_pauses", Sample("_total", {}, events.pop("AcceptPaused", 0))
    for event, count in sorted(events.items()):
        yield "events", Sample("_total", {"event": event}, count)
    yield "full", Sample("", {}, int(measured.full))
    if measured.queued is not None:
        yield "queue_length", Sample("", {}, measured.queued)
    if measured.dropped is not None:
        yield "datagrams_dropped", Sample("_total", {}, measured.dropped)
