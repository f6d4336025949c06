"""
The servers that can be measured, by name, and the program that runs one in a process of its own.

``python -m benchmarks.servers NAME`` prints its address as one line of JSON and serves until it is killed. A
module is imported only by the process that serves from it: nobody carries the other library's memory into a fork.
"""

import importlib
import importlib.util
import json
import sys
from typing import Protocol, cast

__all__ = ("SERVERS", "Served", "lacking", "make_server")

#: Name → module and function. One more server: one module beside this one, and one row here.
SERVERS: dict[str, tuple[str, str]] = {
    "sockserve-sync": ("server_sockserve", "sync"),
    "sockserve-thread": ("server_sockserve", "thread"),
    "sockserve-thread-daemon": ("server_sockserve", "thread_daemon"),
    "sockserve-thread-pool": ("server_sockserve", "thread_pool"),
    "sockserve-fork": ("server_sockserve", "fork"),
    "sockserve-sync-dns": ("server_sockserve", "sync_dns"),
    "shim-thread": ("server_shim", "thread"),
    "shim-fork": ("server_shim", "fork"),
    "shim-udp": ("server_shim", "sync_dns"),
    "bare-dns": ("server_bare", "dns"),
    "sockserve-selector": ("server_sockserve", "selector"),
    "sockserve-selector-kept": ("server_sockserve", "selector_kept"),
    "sockserve-selector-lines": ("server_sockserve", "selector_lines"),
    "sockserve-selector-http": ("server_sockserve", "selector_http"),
    "gevent-kept": ("server_gevent", "kept"),
    "gevent-lines": ("server_gevent", "lines"),
    "uvloop-kept": ("server_asyncio", "uvloop_kept"),
    "asyncio-kept": ("server_asyncio", "asyncio_kept"),
    "sockserve-pool-tls": ("server_tls", "pool"),
    "sockserve-selector-tls": ("server_tls", "selector"),
    "asyncio-tls": ("server_asyncio", "asyncio_tls"),
    "stdlib-thread-kept": ("server_stdlib", "thread_kept"),
    "stdlib-thread-http": ("server_stdlib", "thread_http"),
    "stdlib-sync": ("server_stdlib", "sync"),
    "stdlib-thread": ("server_stdlib", "thread"),
    "stdlib-thread-daemon": ("server_stdlib", "thread_daemon"),
    "stdlib-fork": ("server_stdlib", "fork"),
    "stdlib-sync-dns": ("server_stdlib", "sync_dns"),
}


#: How a server's name begins → what it needs that the project does not.
_NEEDS = {"gevent": "gevent", "uvloop": "uvloop"}


def lacking(name: str) -> str | None:
    """Say what would have to be installed for the server called *name*."""
    needed = _NEEDS.get(name.partition("-")[0])
    return needed if needed is not None and importlib.util.find_spec(needed) is None else None


class Served(Protocol):
    """What both libraries' servers have."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, once it listens."""
        ...

    def listen(self) -> None:
        """Let the kernel queue clients."""
        ...

    def serve_forever(self) -> None:
        """Serve in this thread."""
        ...

    def shutdown(self) -> None:
        """Let `serve_forever` return, and wait until it has."""
        ...

    def server_close(self) -> None:
        """Release everything."""
        ...


def make_server(name: str) -> Served:
    """Make the server called *name*, which listens on a free port of the loopback interface."""
    module, function = SERVERS[name]
    server = cast("Served", getattr(importlib.import_module(f"{__package__}.{module}"), function)())
    server.listen()
    return server


def main(arguments: list[str]) -> int:
    """Run one server."""
    if len(arguments) != 1 or arguments[0] not in SERVERS:
        print("usage: python -m benchmarks.servers NAME; NAME is one of:", *SERVERS, sep="\n  ", file=sys.stderr)
        return 2
    server = make_server(arguments[0])
    print(json.dumps(server.address), flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
