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
        family: ``"ours"``, ``"peer"``, or ``"limit"``, which is not a way to serve, but what the machine allows.
        most: Connections that it can keep at a time.
        why: What bounds them.
    """

    name: str
    label: str
    family: str = "peer"
    most: int | None = None
    why: str = ""

    def server(self, kind: str) -> str | None:
        """Name its server for one kind of load, if it has one."""
        name = f"{self.name}-{kind}"
        return name if name in SERVERS else None


_PROCESSES = "a process for each connection"
_WORKERS = "its 64 workers have a connection each"

CONTESTANTS = (
    Contestant(name="sockserve-selector", label="sockserve, SelectorStrategy", family="ours"),
    Contestant(name="sockserve-messages", label="sockserve, SelectorStrategy, MessageHandler", family="ours"),
    Contestant(name="sockserve-thread", label="sockserve, ThreadStrategy", family="ours"),
    Contestant(name="sockserve-pool", label="sockserve, ThreadPoolStrategy", family="ours", most=64, why=_WORKERS),
    Contestant(name="sockserve-fork", label="sockserve, ForkStrategy", family="ours", most=50, why=_PROCESSES),
    Contestant(name="sockserve-sync", label="sockserve, SyncStrategy", family="ours"),
    Contestant(name="stdlib-thread", label="socketserver, ThreadingTCPServer"),
    Contestant(name="stdlib-fork", label="socketserver, ForkingTCPServer", most=50, why=_PROCESSES),
    Contestant(name="stdlib-sync", label="socketserver, UDPServer"),
    Contestant(name="gevent", label="gevent"),
    Contestant(name="asyncio-protocol", label="asyncio, protocol"),
    Contestant(name="asyncio-streams", label="asyncio, streams"),
    Contestant(name="uvloop-protocol", label="uvloop, protocol"),
    Contestant(name="uvloop-streams", label="uvloop, streams"),
    Contestant(name="trio", label="trio"),
    Contestant(name="twisted", label="Twisted"),
    Contestant(name="bare", label="a bare loop in Python", family="limit"),
    Contestant(name="c", label="C on epoll", family="limit"),
)
