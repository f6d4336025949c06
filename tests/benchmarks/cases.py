"""The comparisons, as a table: name, our server, the peer's, the load, what we want to reach."""

import attrs
from typing_extensions import override

from .load_dns import DnsPerf
from .load_redis import RedisBenchmark
from .load_tls import Handshakes
from .load_wrk import Wrk
from .loads import Load
from .measure import Comparison, Probe
from .probes import IdleProbe, ImportProbe, LoadProbe, ShutdownProbe, ThroughputProbe

__all__ = ("Case", "Target", "all_cases")


@attrs.frozen
class Target:
    """
    What a comparison should reach.

    Args:
        measure: Of what.
        field: The field of `Comparison` that is looked at.
        bound: The number.
        least: Whether the number is the least or the most that will do.
    """

    measure: str
    field: str
    bound: float
    least: bool

    def met_by(self, comparison: Comparison) -> bool:
        """Whether it was reached."""
        value: float = getattr(comparison, self.field)
        return value >= self.bound if self.least else value <= self.bound

    @override
    def __str__(self) -> str:
        return f"{self.field.replace('_', ' ')} {'≥' if self.least else '≤'} {self.bound:g}"


@attrs.frozen(kw_only=True)
class Case:
    """One comparison. *rounds* is its own number of pairs, where the usual one does not fit."""

    name: str
    ours: Probe
    peer: Probe
    targets: tuple[Target, ...] = ()
    load: Load | None = None
    rounds: int | None = None


def _ratio(measure: str, *, least: float | None = None, most: float | None = None) -> Target:
    bound = most if least is None else least
    assert bound is not None
    return Target(measure, "ratio", bound, least is not None)


_CONNECTIONS = RedisBenchmark(clients=50)
_QUERIES = DnsPerf()

#: Name, our server, the peer's, load, share of ``--requests`` (forks take long, datagrams do not), targets.
_LOADED: tuple[tuple[str, str, str, Load, float, tuple[Target, ...]], ...] = (
    ("thread", "sockserve-thread-once", "stdlib-thread-once", _CONNECTIONS, 1.0,
     (_ratio("throughput", least=1.05),)),
    ("thread-daemon", "sockserve-thread-daemon-once", "stdlib-thread-daemon-once", _CONNECTIONS, 1.0,
     (_ratio("throughput", least=1.05),)),
    ("thread-pool", "sockserve-pool-once", "stdlib-thread-once", _CONNECTIONS, 1.0,
     (_ratio("throughput", least=1.8), _ratio("cpu", most=0.6))),
    ("fork", "sockserve-fork-once", "stdlib-fork-once", _CONNECTIONS, 0.25, (_ratio("throughput", least=1.0),)),
    ("prefork-fork", "sockserve-prefork-once", "stdlib-fork-once", _CONNECTIONS, 0.5,
     (_ratio("throughput", least=15.0),)),
    ("prefork-asyncio", "sockserve-prefork-once", "asyncio-streams-once", _CONNECTIONS, 2.0,
     (_ratio("throughput", least=1.3),)),
    ("prefork-busy", "sockserve-prefork-busy", "sockserve-selector-busy", RedisBenchmark(keep=True), 1.0,
     (_ratio("throughput", least=1.7),)),
    ("selector-uvloop", "sockserve-selector-kept", "uvloop-streams-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("throughput", least=1.1), _ratio("cpu", most=0.85))),
    ("selector-asyncio", "sockserve-selector-kept", "asyncio-streams-kept", RedisBenchmark(keep=True), 10.0, ()),
    ("selector-gevent", "sockserve-selector-kept", "gevent-kept", RedisBenchmark(keep=True), 10.0, ()),
    ("selector-lines", "sockserve-selector-lines", "gevent-lines", RedisBenchmark(keep=True, inline=True), 10.0,
     (_ratio("throughput", least=1.3), _ratio("cpu", most=0.7))),
    ("selector-1000", "sockserve-selector-kept", "stdlib-thread-kept",
     RedisBenchmark(clients=1000, keep=True), 10.0, (_ratio("throughput", least=2.0), _ratio("cpu", most=0.4))),
    ("selector-once", "sockserve-selector-once", "stdlib-thread-once", _CONNECTIONS, 1.0,
     (_ratio("throughput", least=2.5),)),
    ("selector-http", "sockserve-selector-http", "stdlib-thread-http", Wrk(), 1.0,
     (_ratio("throughput", least=1.4),)),
    ("dns-bare", "bare-dns", "stdlib-sync-dns", _QUERIES, 10.0, ()),
    ("shim-thread", "shim-thread-once", "stdlib-thread-once", _CONNECTIONS, 1.0,
     (_ratio("throughput", least=1.0),)),
    ("shim-fork", "shim-fork-once", "stdlib-fork-once", _CONNECTIONS, 0.25,
     (_ratio("throughput", least=1.0),)),
    ("shim-udp", "shim-sync-dns", "stdlib-sync-dns", _QUERIES, 10.0, (_ratio("cpu", most=1.0),)),
    ("tls", "sockserve-pool-tls", "asyncio-tls", Handshakes(), 1.0, (_ratio("throughput", least=1.0),)),
    ("tls-selector", "sockserve-selector-tls", "asyncio-tls", Handshakes(), 1.0, ()),
    ("dns", "sockserve-sync-dns", "stdlib-sync-dns", _QUERIES, 10.0, (_ratio("cpu", most=0.8),)),
    ("messages-dns", "sockserve-messages-dns", "uvloop-protocol-dns", _QUERIES, 10.0, (_ratio("cpu", most=1.05),)),
    ("selector-dns", "sockserve-selector-dns", "uvloop-protocol-dns", _QUERIES, 10.0, (_ratio("cpu", most=1.05),)),
    ("messages-50", "sockserve-messages-kept", "uvloop-protocol-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("throughput", least=0.98), _ratio("cpu", most=1.0))),
    ("messages-500", "sockserve-messages-kept", "uvloop-protocol-kept",
     RedisBenchmark(clients=500, keep=True), 10.0, (_ratio("throughput", least=0.98), _ratio("cpu", most=1.0))),
    ("messages-c", "sockserve-messages-kept", "c-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("cpu", most=1.3),)),
    ("messages-lines", "sockserve-messages-lines", "uvloop-streams-lines",
     RedisBenchmark(keep=True, inline=True, pipeline=16), 100.0, (_ratio("throughput", least=2.0),)),
    ("bounded-thread", "bounded-thread-once", "sockserve-thread-once", _CONNECTIONS, 1.0,
     (_ratio("cpu", most=1.05),)),
    ("bounded-thread-kept", "bounded-thread-kept", "sockserve-thread-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("cpu", most=1.05),)),
    ("bounded-selector", "bounded-selector-once", "sockserve-selector-once", _CONNECTIONS, 1.0,
     (_ratio("cpu", most=1.05),)),
    ("bounded-selector-kept", "bounded-selector-kept", "sockserve-selector-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("cpu", most=1.05),)),
    ("bounded-messages-kept", "bounded-messages-kept", "sockserve-messages-kept", RedisBenchmark(keep=True), 10.0,
     (_ratio("cpu", most=1.05),)),
)  # fmt: skip

#: Our servers that compute for each request, by two processes and by one: name, share of ``--requests``, targets.
_COMPUTING: tuple[tuple[str, float, tuple[Target, ...]], ...] = (
    ("long", 0.1, (_ratio("throughput", least=1.7),)),
    ("short", 1.0, ()),
)
_FEW_CLIENTS = RedisBenchmark(clients=8)

#: Strategies whose idle shutdown is compared with the standard library's TCPServer, and its bound in milliseconds.
_SHUTDOWN = {"sync": "sync", "thread": "thread-once", "thread-pool": "pool-once", "fork": "fork-once"}
_SHUTDOWN_MOST = 5.0

#: What `import sockserve` may not load: none of it is needed to compose a server.
_HEAVY = ("asyncio", "ssl", "multiprocessing", "concurrent", "greenlet")


def all_cases(requests: int) -> list[Case]:
    """Make all cases, with loads of about *requests* requests."""
    loaded = [
        Case(
            name=name,
            ours=LoadProbe(ours, load, round(requests * share)),
            peer=LoadProbe(peer, load, round(requests * share)),
            targets=targets,
            load=load,
        )
        for name, ours, peer, load, share, targets in _LOADED
    ]
    quick = tuple(Target("shutdown", field, _SHUTDOWN_MOST, least=False) for field in ("ours", "ours_highest"))
    shutdown = [
        Case(
            name=f"shutdown-{name}",
            ours=ShutdownProbe(f"sockserve-{server}"),
            peer=ShutdownProbe("stdlib-sync"),
            targets=quick,
            rounds=30,
        )
        for name, server in _SHUTDOWN.items()
    ]
    computing = [
        Case(
            name=f"executor-{name}",
            ours=ThroughputProbe(f"sockserve-executor-{name}", _FEW_CLIENTS, round(requests * share)),
            peer=ThroughputProbe(f"sockserve-sync-{name}", _FEW_CLIENTS, round(requests * share)),
            targets=targets,
            load=_FEW_CLIENTS,
        )
        for name, share, targets in _COMPUTING
    ]
    idle = Case(
        name="selector-idle",
        ours=IdleProbe("sockserve-selector-kept"),
        peer=IdleProbe("gevent-kept"),
        targets=(_ratio("memory", most=0.8),),
        rounds=3,
    )
    imported = Case(
        name="import", ours=ImportProbe("sockserve", _HEAVY), peer=ImportProbe("socketserver"), rounds=15
    )
    return [*loaded, *computing, idle, *shutdown, imported]
