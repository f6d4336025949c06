"""
A server whose messages a Dask cluster answers, under load, while a worker is killed: what becomes of each.

    python tests/dask_load.py --workers 3 --clients 8 --requests 50

Prints how many requests were sent, answered, closed and lost: a request is closed where its connection ended
without an answer, and lost where its client waited in vain. Exits with 0 only if none was lost, and none answered
wrongly.
"""

import argparse
import importlib
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sockserve import CompositionError, ExecutorStrategy, InetAddress, Lines, MessageHandler, Server, TcpTransport
from sockserve.events import Event, TaskLost

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

#: Seconds after which a client gives its request up for lost. Dask takes some to see that a worker has gone.
PATIENCE = 30.0


class Factorial(MessageHandler):
    """Computes for some milliseconds; answers the same however often it is asked, since lost tasks run again."""

    framing = Lines()

    def respond(self, message: bytes) -> bytes:
        found = 1
        for number in range(2, 1500):
            found = found * number % 1_000_000_007
        return b"%s %d %d" % (message, found, os.getpid())


class Load:
    """Clients, each of which asks again when it has been answered, over a connection that it renews if need be."""

    def __init__(self, address: InetAddress, requests: int) -> None:
        self.address = address
        self.requests = requests
        self.counts: Counter[str] = Counter()
        self.workers: Counter[int] = Counter()
        self.progress = threading.Condition()

    def run(self, clients: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._ask_all, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def wait_until_answered(self, count: int) -> None:
        with self.progress:
            assert self.progress.wait_for(lambda: self.counts["answered"] >= count, PATIENCE)

    def _ask_all(self, client: int) -> None:
        number = 0
        while number < self.requests:
            with socket.create_connection(self.address, PATIENCE) as sock, sock.makefile("rb") as lines:
                while number < self.requests:
                    number += 1
                    outcome = self._ask(sock, lines, b"%d-%d" % (client, number))
                    with self.progress:
                        self.counts["sent"] += 1
                        self.counts[outcome] += 1
                        self.progress.notify_all()
                    if outcome != "answered":
                        break

    def _ask(self, sock: socket.socket, lines: Any, word: bytes) -> str:
        try:
            sock.sendall(word + b"\n")
            line = lines.readline()
        except TimeoutError:
            return "lost"
        except ConnectionError:
            return "closed"
        if not line:
            return "closed"
        echoed, _, worker = line.split()
        self.workers[int(worker)] += 1
        return "answered" if echoed == word else "wrong"


def check_that_equal_messages_are_two(client: Any) -> None:
    """See that Dask's default, under which equal messages are one task, is refused."""
    for executor in (client.get_executor(), client.get_executor(pure=True)):
        try:
            Server(TcpTransport(("127.0.0.1", 0)), ExecutorStrategy(executor), Factorial)
        except CompositionError as error:
            assert "pure=False" in str(error)  # noqa: PT017 - this is no test of pytest's
        else:
            raise AssertionError("not refused")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=50, help="of each client")
    parser.add_argument(
        "--allowed-failures", type=int, default=3, help="workers that may die of one task (Dask's 3)"
    )
    options = parser.parse_args(arguments)

    dask: Any = importlib.import_module("dask")  # none of ours to check the types of
    distributed: Any = importlib.import_module("distributed")
    lost: list[Event] = []

    def observe(event: Event) -> None:
        if isinstance(event, TaskLost):
            lost.append(event)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": options.allowed_failures}),
        distributed.LocalCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        check_that_equal_messages_are_two(client)
        strategy = ExecutorStrategy(client.get_executor(pure=False), outstanding=4 * options.workers)
        server = Server(TcpTransport(("127.0.0.1", 0)), strategy, Factorial, observer=observe)
        with server.running():
            load = Load(server.address, options.requests)
            threads = load.run(options.clients)
            load.wait_until_answered(options.clients * options.requests // 4)
            victim = next(iter(workers.values()))
            os.kill(victim, signal.SIGKILL)
            for thread in threads:
                thread.join()
    counts = load.counts
    print(f"workers     {len(workers)}, of which process {victim} was killed")
    print(f"answered by {len(load.workers)} processes")
    print(f"events      {len(lost)} TaskLost")
    for name in ("sent", "answered", "closed", "lost", "wrong"):
        print(f"{name:<11} {counts[name]}")
    return 1 if counts["lost"] or counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
