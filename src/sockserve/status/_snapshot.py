"""How servers are doing at one moment, as JSON has it."""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import attrs

from .. import __version__
from .._text import printable
from ..handlers import handler_name
from ..metrics._shown import address_text
from ..metrics._watched import Watched
from ..server import AnyServer
from ..stats import Distribution, RowInfo, WorkerInfo

__all__ = ("JSON", "health", "snapshot")

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | None"

#: Requests in flight that are listed for one server, at most: those that have waited longest. More than that
#: nobody reads, and a page of ten thousand is slow in the browser.
MOST_ROWS = 200


def snapshot(watched: Watched, began: float) -> dict[str, JSON]:
    """Return everything; *began* is when watching did, on `time.monotonic`'s clock."""
    now = time.monotonic()
    return {
        "sockserve": __version__,
        "python": platform.python_version(),
        "pid": os.getpid(),
        "health": health(watched),
        "watched_seconds": now - began,
        "cpu_seconds": time.process_time(),
        "memory_bytes": _memory(),
        "threads": threading.active_count(),
        "servers": [_server(name, server, now) for name, server in watched.by_name().items()],
    }


def health(watched: Watched) -> str:
    """Return "ok" where every server serves, else the state of one that does not."""
    return next((server.state for _, server in watched.servers if server.state != "serving"), "ok")


def _server(name: str, server: AnyServer, now: float) -> JSON:
    measured, stats = server.measure(), server.stats
    rows = server.rows(MOST_ROWS)
    return {
        "name": printable(name),
        "address": address_text(server._core.address),
        "transport": type(server.transport).__name__,
        "strategy": printable(options_text(server.strategy)),
        "handler": printable(handler_name(server.handler)),
        "state": server.state,
        "stats": {**attrs.asdict(stats)},
        "full": measured.full,
        "queued": measured.queued,
        "dropped": measured.dropped,
        "durations": _distribution(measured.durations),
        "turns": None if measured.turns is None else _distribution(measured.turns),
        "events": {**measured.events},
        "workers": [_worker(worker, now) for worker in server.workers()],
        "rows": [_row(row, now) for row in rows],
        "rows_left_out": max(0, stats.active - MOST_ROWS),
    }


def options_text(value: object) -> str:
    """Write a strategy as people compose it: with the options that are not as they would be anyway."""
    kind = type(value)
    if not attrs.has(kind):
        return repr(value)
    options = ((field, getattr(value, field.name)) for field in attrs.fields(kind) if field.init)
    shown = (f"{field.alias}={options_text(option)}" for field, option in options if option != _default(field))
    return f"{kind.__name__}({', '.join(shown)})"


def _default(field: "attrs.Attribute[object]") -> object:
    make: Callable[[], object] | None = getattr(field.default, "factory", None)
    return field.default if make is None else make()


def _row(row: RowInfo, now: float) -> JSON:
    return {
        "peer": address_text(row.client_address),
        "state": row.state.lower(),
        "waiting_for": row.waiting_for,
        "seconds": None if row.since is None else max(0.0, now - row.since),
        "seconds_left": None if row.deadline is None else max(0.0, row.deadline - now),
    }


def _worker(worker: WorkerInfo, now: float) -> JSON:
    return {
        "number": worker.number,
        "pid": worker.pid,
        "state": worker.state,
        "seconds": None if worker.since is None else max(0.0, now - worker.since),
        "stats": {**attrs.asdict(worker.stats)},
    }


def _distribution(found: Distribution) -> JSON:
    return {"bounds": [*found.bounds], "counts": [*found.counts], "total": found.total}


def _memory() -> int | None:
    """Return the bytes of memory that the process holds, on Linux (proc_pid_statm(5): the second number)."""
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None  # no /proc here, or no descriptor left
