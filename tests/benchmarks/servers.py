"""
The servers that can be measured, by name, and the program that runs one in a process of its own.

``python -m benchmarks.servers NAME`` prints its address as one line of JSON and serves until it is killed. A
module is imported only by the process that serves from it: nobody carries the other library's memory into a fork.
"""

import importlib
import importlib.util
import json
import shutil
import sys
from typing import Protocol, cast

__all__ = ("SERVERS", "STANDING", "Served", "lacking", "make_server")

#: Name → module, function, its arguments. One more server: a module beside this one, a row here. The field's are
#: named by contestant and kind of load (see field/contestants.py).
SERVERS: dict[str, tuple[str, ...]] = {
    "bare-dns": ("server_bare", "dns"),
    "c-once": ("server_c", "streams", "once"),
    "c-kept": ("server_c", "streams", "kept"),
    "stdlib-sync": ("server_stdlib", "sync"),
    "stdlib-sync-dns": ("server_stdlib", "datagrams"),
    "stdlib-thread-once": ("server_stdlib", "thread", "once"),
    "stdlib-thread-daemon-once": ("server_stdlib", "thread_daemon", "once"),
    "stdlib-thread-kept": ("server_stdlib", "thread_daemon", "kept"),
    "stdlib-thread-lines": ("server_stdlib", "thread_daemon", "lines"),
    "stdlib-thread-http": ("server_stdlib", "thread_daemon", "http"),
    "stdlib-fork-once": ("server_stdlib", "fork", "once"),
    "stdlib-fork-kept": ("server_stdlib", "fork_many", "kept"),
    "gevent-once": ("server_gevent", "streams", "once"),
    "gevent-kept": ("server_gevent", "streams", "kept"),
    "gevent-lines": ("server_gevent", "streams", "lines"),
    "gevent-http": ("server_gevent", "streams", "http"),
    "gevent-dns": ("server_gevent", "datagrams"),
    "asyncio-streams-once": ("server_asyncio", "streams", "asyncio", "once"),
    "asyncio-streams-kept": ("server_asyncio", "streams", "asyncio", "kept"),
    "asyncio-streams-lines": ("server_asyncio", "streams", "asyncio", "lines"),
    "asyncio-protocol-once": ("server_asyncio", "protocol", "asyncio", "once"),
    "asyncio-protocol-kept": ("server_asyncio", "protocol", "asyncio", "kept"),
    "asyncio-protocol-dns": ("server_asyncio", "datagrams", "asyncio"),
    "asyncio-tls": ("server_asyncio", "tls"),
    "uvloop-streams-once": ("server_asyncio", "streams", "uvloop", "once"),
    "uvloop-streams-kept": ("server_asyncio", "streams", "uvloop", "kept"),
    "uvloop-streams-lines": ("server_asyncio", "streams", "uvloop", "lines"),
    "uvloop-protocol-once": ("server_asyncio", "protocol", "uvloop", "once"),
    "uvloop-protocol-kept": ("server_asyncio", "protocol", "uvloop", "kept"),
    "uvloop-protocol-dns": ("server_asyncio", "datagrams", "uvloop"),
    "trio-once": ("server_trio", "streams", "once"),
    "trio-kept": ("server_trio", "streams", "kept"),
    "trio-dns": ("server_trio", "datagrams"),
    "twisted-once": ("server_twisted", "streams", "once"),
    "twisted-kept": ("server_twisted", "streams", "kept"),
    "twisted-lines": ("server_twisted", "streams", "lines"),
    "twisted-dns": ("server_twisted", "datagrams"),
    "shim-thread-once": ("server_shim", "thread", "once"),
    "shim-fork-once": ("server_shim", "fork", "once"),
    "shim-sync-dns": ("server_shim", "datagrams"),
    "sockserve-sync": ("server_sockserve", "streams", "sync", "once"),
    "sockserve-sync-dns": ("server_sockserve", "datagrams", "sync"),
    "sockserve-thread-once": ("server_sockserve", "streams", "thread", "once"),
    "sockserve-thread-daemon-once": ("server_sockserve", "streams", "thread-daemon", "once"),
    "sockserve-thread-kept": ("server_sockserve", "streams", "thread-daemon", "kept"),
    "sockserve-thread-lines": ("server_sockserve", "streams", "thread-daemon", "lines"),
    "sockserve-thread-http": ("server_sockserve", "streams", "thread-daemon", "http"),
    "sockserve-pool-once": ("server_sockserve", "streams", "pool", "once"),
    "sockserve-pool-kept": ("server_sockserve", "streams", "pool-daemon", "kept"),
    "sockserve-pool-lines": ("server_sockserve", "streams", "pool-daemon", "lines"),
    "sockserve-pool-http": ("server_sockserve", "streams", "pool-daemon", "http"),
    "sockserve-pool-tls": ("server_tls", "pool"),
    "sockserve-fork-once": ("server_sockserve", "streams", "fork", "once"),
    "sockserve-fork-kept": ("server_sockserve", "streams", "fork-many", "kept"),
    "sockserve-prefork-once": ("server_sockserve", "streams", "prefork", "once"),
    "sockserve-prefork-busy": ("server_sockserve", "streams", "prefork-selector", "busy"),
    "sockserve-selector-busy": ("server_sockserve", "streams", "selector", "busy"),
    "sockserve-selector-once": ("server_sockserve", "streams", "selector", "once"),
    "sockserve-selector-kept": ("server_sockserve", "streams", "selector", "kept"),
    "sockserve-selector-lines": ("server_sockserve", "streams", "selector", "lines"),
    "sockserve-selector-http": ("server_sockserve", "streams", "selector", "http"),
    "sockserve-selector-dns": ("server_sockserve", "datagrams", "selector"),
    "sockserve-selector-tls": ("server_tls", "selector"),
    "sockserve-sync-long": ("server_compute", "streams", "sync", "long"),
    "sockserve-sync-short": ("server_compute", "streams", "sync", "short"),
    "sockserve-executor-long": ("server_compute", "streams", "executor", "long"),
    "sockserve-executor-short": ("server_compute", "streams", "executor", "short"),
    "bounded-thread-once": ("server_sockserve", "bounded", "thread", "once"),
    "bounded-thread-kept": ("server_sockserve", "bounded", "thread-daemon", "kept"),
    "bounded-selector-once": ("server_sockserve", "bounded", "selector", "once"),
    "bounded-selector-kept": ("server_sockserve", "bounded", "selector", "kept"),
    "bounded-messages-kept": ("server_sockserve", "bounded", "selector", "messages"),
    "sockserve-messages-dns": ("server_sockserve", "messages", "selector"),
    "sockserve-messages-kept": ("server_sockserve", "streams", "selector", "messages"),
    "sockserve-messages-lines": ("server_sockserve", "streams", "selector", "message-lines"),
}

#: Those that have so many processes all the time: nobody waits for the ends of these.
STANDING: dict[str, int] = {"sockserve-prefork-once": 8, "sockserve-prefork-busy": 2}

#: How a server's name begins → the module that it needs and the project does not.
_MODULES = {"gevent": "gevent", "uvloop": "uvloop", "trio": "trio", "twisted": "twisted"}


def lacking(name: str) -> str | None:
    """Say what would have to be installed for the server called *name*."""
    family = name.partition("-")[0]
    if family == "c":
        return "a C compiler called cc" if shutil.which("cc") is None else None
    needed = _MODULES.get(family)
    if needed is None or importlib.util.find_spec(needed) is not None:
        return None
    return f"{needed} (pip install '.[bench]')"


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
    module, function, *arguments = SERVERS[name]
    make = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    server = cast("Served", make(*arguments))
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
