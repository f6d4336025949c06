"""
A server that computes: the prime factors of each line's number, in the processes of a pool.

    python examples/primes_messages.py --tcp 127.0.0.1:7000 --udp 127.0.0.1:7000 --workers 4
    echo 999999866000004473 | nc -N 127.0.0.1 7000

Connections, however many, are parked in one thread; a process for each processor computes. The handler does not
know: it is the same under every other strategy (``--strategy selector``), and in its tests without a socket.
"""

import contextlib
import math
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from _choose import STRATEGIES, TCP, UDP, UNIX, CommandLine
from sockserve import ExecutorStrategy, Lines, MessageHandler

#: Divided by every odd number up to its root: that takes some tens of seconds at most.
LARGEST = 10**18


class Primes(MessageHandler):
    """Answer a number by its prime factors."""

    framing = Lines(max_length=100)

    def respond(self, message: bytes) -> bytes:
        text = message.strip()
        if not text.isdigit() or not 1 <= int(text) <= LARGEST:
            return b"? a whole number from 1 to %d" % LARGEST
        return text + b": " + b" ".join(b"%d" % factor for factor in factors(int(text)))


def factors(number: int) -> Iterator[int]:
    """Give the prime factors of *number*, the smallest first."""
    divisor = 2
    while divisor <= math.isqrt(number):
        if number % divisor == 0:
            yield divisor
            number //= divisor
        else:
            divisor += 1 if divisor == 2 else 2
    if number > 1:
        yield number


def leave_signals_to_the_server() -> None:
    """Ctrl-C reaches every process of the terminal: the server stops, and then the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the command line says."""
    with contextlib.ExitStack() as stack:

        def executor(*, workers: int = os.cpu_count() or 1) -> ExecutorStrategy:
            """Make the strategy; the executor is ours, and ends after the server."""
            pool = ProcessPoolExecutor(
                workers,
                mp_context=multiprocessing.get_context("spawn"),  # its processes are no copies of this one
                initializer=leave_signals_to_the_server,
            )
            # Twice as many as there are processes: the next message is there when one has been answered.
            return ExecutorStrategy(stack.enter_context(pool), outstanding=2 * workers)

        parser: CommandLine[Any, Any] = CommandLine(
            __doc__, TCP, UNIX, UDP, strategies={"executor": executor, **STRATEGIES}
        )
        parser.set_defaults(strategy="executor")
        parser.serve(parser.parse_args(arguments), Primes)


if __name__ == "__main__":
    main()
