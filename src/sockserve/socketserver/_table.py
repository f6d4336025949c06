"""
The one table that names the servers: kinds of socket by strategies.

A strategy is one row. `_generate` makes the classes from it, into `_combinations.py`, and a test compares.
"""

import attrs

__all__ = ("FORK", "SOCKETS", "STRATEGIES", "UNIX", "Sockets", "Strategies")

#: What a platform must have: the conditions of the generated code, which type checkers understand.
UNIX = 'sys.platform != "win32" and hasattr(socket, "AF_UNIX")'
FORK = 'sys.platform != "win32" and hasattr(os, "fork")'


@attrs.frozen(kw_only=True)
class Sockets:
    """
    A kind of socket.

    Args:
        server: The server's name, and the end of those of the combinations.
        what: What it is called in prose.
        needs: What the platform must have.
    """

    server: str
    what: str
    needs: str | None = None


@attrs.frozen(kw_only=True)
class Strategies:
    """
    A strategy.

    Args:
        prefix: The begin of the names.
        how: What the mix-in does, in prose.
        module: Where the mix-in is written by hand; None where it is made from the strategy.
        strategy: The strategy's class, where the mix-in is made from it.
        names: Field → attribute, for the fields whose documented attribute is called otherwise.
        attributes: The class attributes and their types, which are the strategy's fields.
        needs: What the platform must have.
    """

    prefix: str
    how: str
    module: str | None = None
    strategy: str | None = None
    names: dict[str, str] = attrs.field(factory=dict)
    attributes: dict[str, str] = attrs.field(factory=dict)
    needs: str | None = None


SOCKETS = (
    Sockets(server="TCPServer", what="TCP"),
    Sockets(server="UDPServer", what="UDP"),
    Sockets(server="UnixStreamServer", what="Unix stream sockets", needs=UNIX),
    Sockets(server="UnixDatagramServer", what="Unix datagram sockets", needs=UNIX),
)

STRATEGIES = (
    Strategies(prefix="Threading", how="each request in a new thread", module="_threading"),
    Strategies(prefix="Forking", how="each request in a new process", module="_forking", needs=FORK),
    Strategies(
        prefix="ThreadPool",
        how="requests in at most ``workers`` threads, which are reused",
        strategy="ThreadPoolStrategy",
        names={"daemon": "daemon_threads"},
        attributes={"workers": "int", "daemon_threads": "bool"},
    ),
    Strategies(
        prefix="Selector",
        how="all requests in the thread that serves, parked while they wait",
        strategy="SelectorStrategy",
        attributes={"slow": "float"},
    ),
    Strategies(
        prefix="Prefork",
        how="requests in ``workers`` processes, which are supervised",
        module="_preforking",
        needs=FORK,
    ),
)
