"""
One handler over every transport and every strategy, each asked by a client: ``python -m sockserve.demo``.

Serves on loopback and in a temporary folder only, prints what answered and how fast, and exits with 0 only if all
did.
"""

import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs

from ._typing import override
from .abc import DatagramRequest, Strategy, Transport
from .addresses import Address, InetAddress
from .events import Event, HandlerFailed
from .handlers import BaseRequestHandler
from .server import Server
from .strategies import (
    ForkStrategy,
    PreforkStrategy,
    SelectorStrategy,
    SyncStrategy,
    ThreadPoolStrategy,
    ThreadStrategy,
)
from .transports import TcpTransport, UdpTransport, UnixDatagramTransport, UnixStreamTransport

__all__ = ("main",)

#: Whichever of the transports: they are covariant.
AnyRequest: TypeAlias = socket.socket | DatagramRequest
AnyTransport: TypeAlias = Transport[AnyRequest, Address]

REQUESTS = 50
_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)  # Windows has none, and no Unix transport either
PATIENCE = 10.0  # seconds until a client gives up


class Shout(BaseRequestHandler[AnyRequest, Address]):
    """Give back in capitals: each line of a connection, or a datagram."""

    @override
    def handle(self) -> None:
        """Serve either kind of request."""
        if isinstance(self.request, tuple):
            packet, sock = self.request
            sock.sendto(packet.upper(), self.client_address)
            return
        with self.request.makefile("rb") as lines:
            for line in lines:
                self.request.sendall(line.upper())


TRANSPORTS: dict[str, Callable[[Path], AnyTransport]] = {
    "TCP": lambda folder: TcpTransport(("127.0.0.1", 0)),
    "UDP": lambda folder: UdpTransport(("127.0.0.1", 0)),
    "Unix stream": lambda folder: UnixStreamTransport(folder / "stream"),
    "Unix datagram": lambda folder: UnixDatagramTransport(folder / "datagram"),
}

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "sync": SyncStrategy,
    "thread": lambda: ThreadStrategy(daemon=True),
    "thread pool": ThreadPoolStrategy,
    "fork": ForkStrategy,
    "selector": SelectorStrategy,
    "prefork": lambda: PreforkStrategy(SelectorStrategy(), workers=2),
}


@attrs.frozen
class Outcome:
    """What came of one combination: the median time of an answer in microseconds, or what went wrong."""

    microseconds: float = 0.0
    problem: str = ""

    @override
    def __str__(self) -> str:
        return f"failed: {self.problem}" if self.problem else f"{self.microseconds:.0f} us"


def _ask(server: Server[AnyRequest, Address], folder: Path, question: bytes) -> bytes:
    """Ask once, over a socket of its own, as most clients do."""
    stream = server.transport.stream
    address = server.address
    family = socket.AF_INET if isinstance(address, InetAddress) else _AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        mine = folder / "client"
        if family != socket.AF_INET and not stream:
            client.bind(str(mine))  # a Unix datagram is answered where it comes from
        try:
            client.connect(address)
            client.sendall(question)
            answer = client.recv(4096)
            if stream:
                client.shutdown(socket.SHUT_RDWR)
            return answer
        finally:
            mine.unlink(missing_ok=True)


def _try(transport: AnyTransport, strategy: Strategy, folder: Path) -> Outcome:
    failures: list[Event] = []

    def observe(event: Event) -> None:
        if isinstance(event, HandlerFailed):
            failures.append(event)

    times = []
    try:
        with Server(transport, strategy, Shout, observer=observe).running() as server:
            for number in range(REQUESTS):
                question = b"question %d\n" % number
                began = time.perf_counter()
                answer = _ask(server, folder, question)
                times.append(time.perf_counter() - began)
                if answer != question.upper():
                    return Outcome(problem=f"answered {answer!r} to {question!r}")
    except Exception as error:  # noqa: BLE001 - shown in the table, and by the exit status
        return Outcome(problem=repr(error))
    if failures:
        return Outcome(problem=repr(failures[0]))
    return Outcome(statistics.median(times) * 1e6)


def _try_all(folder: Path) -> dict[str, dict[str, Outcome]]:
    return {
        name: {
            title: _try(transport(folder), strategy(), folder)
            for title, strategy in STRATEGIES.items()
            if hasattr(socket, "AF_UNIX") or "Unix" not in name
        }
        for name, transport in TRANSPORTS.items()
    }


def _table(outcomes: dict[str, dict[str, Outcome]]) -> str:
    rows = [["", *STRATEGIES]]
    rows += [[name, *map(str, found.values())] for name, found in outcomes.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> int:
    """Try every combination, print the table, and give the exit status: 0 where all answered."""
    with tempfile.TemporaryDirectory(prefix="sockserve-") as folder:
        outcomes = _try_all(Path(folder))
    found = [outcome for row in outcomes.values() for outcome in row.values()]
    failed = sum(bool(outcome.problem) for outcome in found)
    print(f"One handler, {REQUESTS} requests for each combination; the median time of an answer:\n")
    print(_table(outcomes))
    print(f"\n{len(found) - failed} of {len(found)} combinations answered every request")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
