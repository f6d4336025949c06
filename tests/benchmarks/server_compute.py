"""Servers whose answer takes a time to compute, in pure Python."""

import multiprocessing
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from typing_extensions import override

from sockserve import (
    Chunks,
    ExecutorStrategy,
    InetAddress,
    MessageHandler,
    Server,
    SyncStrategy,
    TcpTransport,
)
from sockserve.abc import Strategy

from .answers import PONG

__all__ = ("streams",)


class Computes(MessageHandler[InetAddress]):
    """A reply for each request, after *seconds* of its thread's processor time: no less on a busy machine."""

    framing = Chunks()
    seconds: float

    @override
    def respond(self, message: bytes) -> bytes:
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            for _ in range(20):
                pass
        return PONG


class ComputesLong(Computes):
    """5 ms."""

    seconds = 0.005


class ComputesShort(Computes):
    """0.2 ms."""

    seconds = 0.0002


_HANDLERS = {"long": ComputesLong, "short": ComputesShort}


def _two_processes() -> Strategy:
    # Ends with this process. Twice as many outstanding: the next message is there when one has been answered.
    executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    return ExecutorStrategy(executor, outstanding=4)


_STRATEGIES: dict[str, Callable[[], Strategy]] = {"sync": SyncStrategy, "executor": _two_processes}


def streams(strategy: str, what: str) -> Server[socket.socket, InetAddress]:
    """Make a server of connections."""
    return Server(TcpTransport(("127.0.0.1", 0)), _STRATEGIES[strategy](), _HANDLERS[what])
