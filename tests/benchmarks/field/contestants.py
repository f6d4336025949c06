"""Who takes part. A contestant's server for a kind of load is called contestant-kind in `benchmarks.servers`."""

import attrs

from ..servers import SERVERS

__all__ = ("CONTESTANTS", "Contestant")


@attrs.frozen(kw_only=True)
class Contestant:
    """
    One way to serve.

    Args:
        name: In the registry of servers.
        label: For people.
        short: The same where there is little room.
        family: Who makes it; ``"limit"`` is not a way to serve, but what the machine allows.
        most: Connections that it can keep at a time.
        why: What bounds them.
    """

    name: str
    label: str
    short: str
    family: str
    most: int | None = None
    why: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is what the field is measured for."""
        return self.family == "sockserve"

    def server(self, kind: str) -> str | None:
        """Name its server for one kind of load, if it has one."""
        name = f"{self.name}-{kind}"
        return name if name in SERVERS else None


_PROCESSES = "a process for each connection"
_WORKERS = "its 64 workers have a connection each"

CONTESTANTS = (
    Contestant(
        name="sockserve-selector",
        label="sockserve, SelectorStrategy",
        short="sockserve selector",
        family="sockserve",
    ),
    Contestant(
        name="sockserve-messages",
        label="sockserve, SelectorStrategy, MessageHandler",
        short="sockserve messages",
        family="sockserve",
    ),
    Contestant(
        name="sockserve-thread", label="sockserve, ThreadStrategy", short="sockserve threads", family="sockserve"
    ),
    Contestant(
        name="sockserve-pool",
        label="sockserve, ThreadPoolStrategy",
        short="sockserve pool",
        family="sockserve",
        most=64,
        why=_WORKERS,
    ),
    Contestant(
        name="sockserve-fork",
        label="sockserve, ForkStrategy",
        short="sockserve forks",
        family="sockserve",
        most=50,
        why=_PROCESSES,
    ),
    Contestant(name="sockserve-sync", label="sockserve, SyncStrategy", short="sockserve sync", family="sockserve"),
    Contestant(
        name="stdlib-thread",
        label="socketserver, ThreadingTCPServer",
        short="socketserver threads",
        family="stdlib",
    ),
    Contestant(
        name="stdlib-fork",
        label="socketserver, ForkingTCPServer",
        short="socketserver forks",
        family="stdlib",
        most=50,
        why=_PROCESSES,
    ),
    Contestant(name="stdlib-sync", label="socketserver, UDPServer", short="socketserver UDP", family="stdlib"),
    Contestant(name="gevent", label="gevent", short="gevent", family="gevent"),
    Contestant(name="asyncio-protocol", label="asyncio, protocol", short="asyncio protocol", family="asyncio"),
    Contestant(name="asyncio-streams", label="asyncio, streams", short="asyncio streams", family="asyncio"),
    Contestant(name="uvloop-protocol", label="uvloop, protocol", short="uvloop protocol", family="uvloop"),
    Contestant(name="uvloop-streams", label="uvloop, streams", short="uvloop streams", family="uvloop"),
    Contestant(name="trio", label="trio", short="trio", family="trio"),
    Contestant(name="twisted", label="Twisted", short="Twisted", family="twisted"),
    Contestant(name="bare", label="a bare loop in Python", short="bare loop", family="limit"),
    Contestant(name="c", label="C on epoll", short="C, epoll", family="limit"),
)
