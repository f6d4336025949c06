"""What is asked of them: the loads, as a table."""

import attrs

from ..load_dns import DnsPerf
from ..load_redis import RedisBenchmark
from ..load_wrk import Wrk
from ..loads import Load

__all__ = ("FEWEST", "SCENARIOS", "Scenario")

#: Requests of each connection, at least: accepting it is not what is measured.
FEWEST = 5


@attrs.frozen(kw_only=True)
class Scenario:
    """
    One load.

    Args:
        name: For ``--only``.
        title: For people.
        kind: Which of a contestant's servers is asked.
        connections: Kept at a time.
        load: The load. None: the connections are idle, and memory is measured.
        warm: A shorter way to warm the server up, which also tells how fast it is.
        warm_up: Its requests. 1,000: all that the interpreter specialises has run by then.
        least: Seconds below which the load tells nothing, or cannot go. 0 where there is none.
        overhead: Seconds that a measurement takes besides, roughly: starting, checking, warming up, connecting.
        rounds: The most rounds, where each takes long.
    """

    name: str
    title: str
    kind: str
    connections: int = 0
    load: Load | None
    warm: Load | None = None
    warm_up: int = 1_000
    least: float = 0.2
    overhead: float = 1.0
    rounds: int | None = None


def _redis(name: str, title: str, load: RedisBenchmark, kind: str = "kept", rounds: int | None = None) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        kind=kind,
        connections=load.clients,
        load=load,
        warm=attrs.evolve(load, clients=min(load.clients, 50)),
        least=max(0.2, FEWEST * load.clients / 15_000),
        overhead=1.0 + load.clients / 64 * 0.05,  # redis-benchmark pauses while it connects
        rounds=rounds,
    )


def _kept(connections: int, rounds: int | None = None) -> Scenario:
    title = "One kept connection" if connections == 1 else f"{connections:,} kept connections"
    return _redis(f"kept-{connections}", title, RedisBenchmark(clients=connections, keep=True), rounds=rounds)


SCENARIOS = (
    _kept(1),
    _kept(50),
    _kept(500),
    _kept(1_000),
    _redis("pipelined-50", "50 kept connections, 16 requests at a time", RedisBenchmark(keep=True, pipeline=16)),
    _redis(
        "lines-50", "Lines of text, 50 kept connections", RedisBenchmark(keep=True, inline=True), kind="lines"
    ),
    Scenario(
        name="once-50",
        title="A connection for each request, 50 at a time",
        kind="once",
        load=RedisBenchmark(),
        warm=RedisBenchmark(),
        warm_up=200,  # who forks for each takes two seconds for them
    ),
    Scenario(name="dns", title="DNS over UDP, 100 queries at a time", kind="dns", load=DnsPerf(latencies=4),
             warm=DnsPerf()),
    *(
        Scenario(
            name=f"http-{connections}",
            title=f"A handler of http.server, {connections:,} kept connections",
            kind="http",
            connections=connections,
            load=Wrk(clients=connections),
            least=1.0,
        )
        for connections in (50, 1_000)
    ),
    Scenario(name="idle", title="Memory of an idle connection, bytes", kind="kept", connections=10_000, load=None,
             least=0.0, overhead=4.0, rounds=2),
    _kept(10_000, rounds=2),
)  # fmt: skip
