"""
What clients notice when workers are replaced, or killed, under load.

``PYTHONPATH=tests python -m benchmarks.rolling`` prints three tables, each from a new server with ``--workers``
processes, and clients in threads of this one: a rolling restart (SIGHUP) with a connection for each request; the
same with kept connections; workers killed by SIGKILL with a connection for each request.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import attrs
from typing_extensions import override

from sockserve import (
    InetAddress,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
)
from sockserve.events import Event, WorkerDied, WorkerEnded, WorkerReplaced, WorkerStarted

from .measure import BenchmarkError
from .process import TESTS

assert sys.platform != "win32"  # there are no such workers
__all__ = ()

#: Seconds for kept connections in a worker that is replaced.
GRACE = 1.0
#: Seconds between two things that happen, for the load to go on undisturbed.
REST = 0.5


class _Pid(StreamRequestHandler[InetAddress]):
    """Answers each line with the number of the process that does."""

    @override
    def handle(self) -> None:
        for _line in self.rfile:
            self.wfile.write(b"%d\n" % os.getpid())


@attrs.frozen
class _Tell:
    """An observer that writes what happens to workers, and when, as lines of JSON."""

    def wants(self, kind: type[Event]) -> bool:
        """Nothing of requests: the load would be told of, too."""
        return kind in {WorkerDied, WorkerEnded, WorkerReplaced, WorkerStarted}

    def __call__(self, event: Event) -> None:
        """Write one line."""
        assert isinstance(event, WorkerDied | WorkerEnded | WorkerReplaced | WorkerStarted)
        print(json.dumps({"event": type(event).__name__, "pid": event.pid, "at": time.monotonic()}), flush=True)


def serve(workers: int, kept: bool) -> None:
    """Be the server: with SyncStrategy a connection for each request, else kept ones."""
    strategy = PreforkStrategy(SelectorStrategy() if kept else SyncStrategy(), workers=workers, grace=GRACE)
    with Server(TcpTransport(("127.0.0.1", 0)), strategy, _Pid, observer=_Tell()) as server:
        print(json.dumps(server.address), flush=True)
        server.serve_forever()


@attrs.define(eq=False)
class _Served:
    """A server in a process of its own, and what it tells."""

    process: "subprocess.Popen[str]"
    address: tuple[str, int]
    told: list[dict[str, Any]] = attrs.field(factory=list)
    _changed: threading.Condition = attrs.field(factory=threading.Condition)

    def listen(self) -> None:
        """Take note of what it tells, until its end; in a thread."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.told.append(json.loads(line))
                self._changed.notify_all()

    def wait_for(self, kind: str, number: int) -> list[dict[str, Any]]:
        """Wait until so many events of a kind were told; return them."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.told if each["event"] == kind]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= number, timeout=30.0):
                raise BenchmarkError(f"{number} times {kind} did not happen in 30 s: {self.told}")
            return found()


@contextmanager
def _serving(workers: int, *, kept: bool) -> Iterator[_Served]:
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "benchmarks.rolling", "--workers", str(workers), "--serve"]
    with subprocess.Popen(
        command + ["kept"] * kept + ["once"] * (not kept),
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        host, port = json.loads(process.stdout.readline())
        served = _Served(process, (host, port))
        listening = threading.Thread(target=served.listen)
        listening.start()
        try:
            served.wait_for("WorkerStarted", workers)
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(GRACE + 10.0)
            listening.join()


@attrs.define(eq=False)
class _Load:
    """Clients that ask, one after the other each, and what became of each request or connection."""

    address: tuple[str, int]
    ask: "Callable[[_Load], None]"
    clients: int
    outcomes: Counter[str] = attrs.field(factory=Counter)
    #: When a kept connection was lost.
    lost_at: list[float] = attrs.field(factory=list)
    waits: list[float] = attrs.field(factory=list)
    over: threading.Event = attrs.field(factory=threading.Event)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _threads: list[threading.Thread] = attrs.field(factory=list)

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [threading.Thread(target=self.ask, args=(self,)) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let each finish what it has asked for."""
        self.over.set()
        for thread in self._threads:
            thread.join()

    def count(self, outcome: str, wait: float) -> None:
        """Take note of one."""
        with self._lock:
            self.outcomes[outcome] += 1
            self.waits.append(wait)


def _outcome(error: OSError) -> str:
    return "refused" if isinstance(error, ConnectionRefusedError) else "failed"


def once(load: _Load) -> None:
    """A connection for each request."""
    while not load.over.is_set():
        began = time.monotonic()
        try:
            with socket.create_connection(load.address, timeout=10.0) as client:
                client.sendall(b"x\n")
                outcome = "answered" if client.recv(100).endswith(b"\n") else "failed"
        except OSError as error:
            outcome = _outcome(error)
        load.count(outcome, time.monotonic() - began)


def keep(load: _Load) -> None:
    """One connection, as long as it lasts, then another: a request a few milliseconds after each reply."""
    while not load.over.is_set():
        try:
            with socket.create_connection(load.address, timeout=10.0) as client:
                load.count("connections", 0.0)
                _converse(load, client)
        except OSError as error:
            load.count(_outcome(error), 0.0)
            load.lost_at.append(time.monotonic())


def _converse(load: _Load, client: socket.socket) -> None:
    while not load.over.wait(random.uniform(0.0, 0.01)):
        client.sendall(b"x\n")
        if not client.recv(100).endswith(b"\n"):
            raise ConnectionResetError("the server has closed, with a request on its way")
        load.count("answered", 0.0)


def _rows(title: str, rows: dict[str, str]) -> None:
    print(title)
    for name, value in rows.items():
        print(f"  {name:<44} {value}")
    print()


def _shown(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    median, last = ordered[len(ordered) // 2], ordered[-1]
    return f"{1e3 * median:.1f} ms median, {1e3 * last:.1f} ms at most, of {len(ordered)}"


def restart_once(workers: int, clients: int, times: int) -> None:
    """Replace all workers, some times, with a connection for each request."""
    with _serving(workers, kept=False) as served, _Load(served.address, once, clients) as load:
        spent = []
        for number in range(1, times + 1):
            time.sleep(REST)
            began = time.monotonic()
            served.process.send_signal(signal.SIGHUP)
            spent.append(served.wait_for("WorkerReplaced", workers * number)[-1]["at"] - began)
        time.sleep(REST)
    _rows(
        f"Rolling restart, {times} times, {workers} workers, {clients} clients, a connection for each request",
        {
            "answered": str(load.outcomes["answered"]),
            "failed": str(load.outcomes["failed"]),
            "refused": str(load.outcomes["refused"]),
            "until the last worker was replaced": _shown(spent),
            "a request": _shown(load.waits),
        },
    )


def restart_kept(workers: int, clients: int) -> None:
    """Replace all workers with kept connections."""
    with _serving(workers, kept=True) as served, _Load(served.address, keep, clients) as load:
        time.sleep(REST)
        began = time.monotonic()
        served.process.send_signal(signal.SIGHUP)
        replaced = served.wait_for("WorkerReplaced", workers)
        served.wait_for("WorkerEnded", workers)
        time.sleep(REST)
    when = Counter(round(at - began, 1) for at in load.lost_at)
    _rows(
        f"Rolling restart, {workers} workers, {clients} kept connections, a grace of {GRACE} s",
        {
            "answered": str(load.outcomes["answered"]),
            "connections opened": str(load.outcomes["connections"]),
            "connections cut": str(load.outcomes["failed"]),
            "refused": str(load.outcomes["refused"]),
            "until the last worker was replaced": _shown([replaced[-1]["at"] - began]),
            "cut so many seconds after SIGHUP": ", ".join(f"{n} at {at} s" for at, n in sorted(when.items()))
            or "-",
        },
    )


def kill(workers: int, clients: int, times: int) -> None:
    """Kill a worker, some times, with a connection for each request: at most its request in hand is lost."""
    with _serving(workers, kept=False) as served, _Load(served.address, once, clients) as load:
        replaced_after = []
        for number in range(1, times + 1):
            time.sleep(REST)
            living = {each["pid"] for each in served.wait_for("WorkerStarted", workers)}
            living -= {each["pid"] for each in served.told if each["event"] == "WorkerDied"}
            began = time.monotonic()
            os.kill(random.choice(sorted(living)), signal.SIGKILL)
            replaced_after.append(served.wait_for("WorkerReplaced", number)[-1]["at"] - began)
        time.sleep(REST)
    _rows(
        f"kill -9 of a worker, {times} times, {workers} workers, {clients} clients, a connection for each request",
        {
            "answered": str(load.outcomes["answered"]),
            "failed: of those that the killed workers had": str(load.outcomes["failed"]),
            "refused": str(load.outcomes["refused"]),
            "until another worker was in its place": _shown(replaced_after),
        },
    )


def main(arguments: list[str]) -> int:
    """Print the three tables, or be the server of one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rolling", description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--times", type=int, default=5, help="restarts, and kills")
    parser.add_argument("--serve", choices=("once", "kept"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.workers, options.serve == "kept")
        return 0
    restart_once(options.workers, options.clients, options.times)
    restart_kept(options.workers, options.clients)
    kill(options.workers, options.clients, options.times)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
