"""
HTTP from several processes: http.server's own file handler, in workers that are supervised and replaced.

    python examples/http_workers.py --port 8000 --workers 4 .
    curl http://127.0.0.1:8000/
    kill -HUP PID       # replaces the workers, one by one; nobody is refused
    kill -TERM PID      # lets them finish what they have in hand

Connections are kept, as HTTP does, and parked in each worker. What happens to workers is printed; ``/-/workers``
tells who answers, and how much all of them have answered.
"""

import argparse
import functools
import http.server
import os
import sys
from collections.abc import Sequence

from sockserve import PreforkStrategy, SelectorStrategy, Server, TcpTransport
from sockserve.events import Event, WorkerEnded, WorkerReplaced, WorkerStarted
from sockserve.observers import log_events


class Files(http.server.SimpleHTTPRequestHandler):
    """Files, and a page of numbers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/-/workers":
            super().do_GET()
            return
        stats = self.server.stats  # type: ignore[attr-defined]  # sockserve's, and the same in every worker
        body = f"process {os.getpid()} of a server with {stats.accepted} connections so far\n".encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: what happens to workers is to be seen."""


class Tell:
    """An observer: prints what happens to workers, in the process that supervises, and logs the rest."""

    told = (WorkerStarted, WorkerEnded, WorkerReplaced)

    def wants(self, kind: type[Event]) -> bool:
        return kind in self.told or log_events.wants(kind)

    def __call__(self, event: Event) -> None:
        match event:
            case WorkerStarted(number=number, pid=pid):
                print(f"worker {number}: process {pid} serves", flush=True)
            case WorkerReplaced(number=number, pid=pid, by=by):
                print(f"worker {number}: process {by} has replaced {pid}", flush=True)
            case WorkerEnded(number=number, pid=pid):
                print(f"worker {number}: process {pid} has ended", flush=True)
            case _:
                log_events(event)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="whose files are served")
    parser.add_argument("--port", type=int, default=8000, help="on loopback; 0 takes a free one")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    options = parser.parse_args(arguments)

    strategy = PreforkStrategy(SelectorStrategy(), workers=options.workers, max_requests=100_000, grace=10)
    handler = functools.partial(Files, directory=options.folder)
    try:
        with Server(TcpTransport(("127.0.0.1", options.port)), strategy, handler, observer=Tell()) as server:
            print(f"listening at {server.address.host}:{server.address.port}", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
