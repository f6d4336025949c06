"""What the tests of the table share: loops that the test turns, and handlers without a server."""

import contextlib
import functools
import socket
import struct
import time
from collections.abc import Callable, Iterator

from fakes import FakeCore, FakeJob
from recorder import FAILSAFE
from sockserve._loop.loop import EventLoop
from sockserve._loop.pollers import Poller, SelectorsPoller, default_poller
from sockserve._table.runner import TableRunner
from sockserve._table.sockets import CooperativeSocket, adopt

POLLERS: dict[str, Callable[[], Poller]] = {"edges": default_poller, "levels": SelectorsPoller}

Pair = tuple[socket.socket, socket.socket]


class Bench:
    """
    A table on a loop of its own, in this thread: what is given to `run` are handlers, which park in it.

    Args:
        make_poller: For the loop.
        slow: Of the table.
        clock: Of the loop.
    """

    def __init__(
        self,
        make_poller: Callable[[], Poller] = default_poller,
        slow: float = FAILSAFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = EventLoop(make_poller, clock)
        self.core = FakeCore()
        self.runner = TableRunner(slow, self.loop, self.core)
        self.jobs: list[FakeJob] = []

    def start(self, *works: Callable[[], object]) -> None:
        """Begin with handlers, in this order, as soon as the loop turns; also called by handlers."""
        for work in works:
            job = FakeJob(work)
            self.jobs.append(job)
            self.loop.call_soon(functools.partial(self.runner.submit, job))

    def run(self, *works: Callable[[], object], until: Callable[[], bool] | None = None) -> None:
        """Serve until all handlers have returned, or *until* says so; then abort the rest, as a server does."""
        self.start(*works)
        timed = self.loop.time is time.monotonic
        failsafe = self.loop.call_at(self.loop.time() + FAILSAFE, self._too_long) if timed else None
        try:
            self.loop.run(until or (lambda: all(job.done.is_set() for job in self.jobs)))
        finally:
            if failsafe is not None:
                failsafe.cancel()
            self.runner.leave()

    def _too_long(self) -> None:
        raise AssertionError(f"rows that wait for ever: {self.runner.rows()}")


def tcp_pair() -> Pair:
    """Make a TCP connection: the client's end, and the accepted one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    client.settimeout(FAILSAFE)
    return client, accepted


def unix_pair() -> Pair:
    """Make a Unix connection."""
    left, right = socket.socketpair()
    left.settimeout(FAILSAFE)
    return left, right


PAIRS: dict[str, Callable[[], Pair]] = {"tcp": tcp_pair, "unix": unix_pair}


@contextlib.contextmanager
def cooperating(pair: Pair) -> Iterator[tuple[socket.socket, CooperativeSocket]]:
    """Give the plain client and a cooperative server side; both are closed in the end."""
    client, accepted = pair
    with client, adopt(accepted) as server:
        yield client, server


def reset(sock: socket.socket) -> None:
    """Close a TCP socket so that its peer is reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
