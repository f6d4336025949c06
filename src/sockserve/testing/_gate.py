"""What a test holds a handler by, in whatever thread, process or row of a table that runs."""

import socket
from types import TracebackType
from typing import Self

from .._table.cooperation import cooperative
from ._recorder import FAILSAFE

__all__ = ("Gate",)


class Gate:
    """
    Holds handlers, without a sleep and under every strategy: a handler calls `pass_through`, and goes on when the
    test has called `open`.

    Two pairs of sockets: a lock would hold only threads. Use it as a context manager.
    """

    def __init__(self) -> None:
        self._reached = socket.socketpair()
        self._waits = socket.socketpair()
        self._reached[0].settimeout(FAILSAFE)

    def __enter__(self) -> Self:
        """Nothing to do: it is closed to handlers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its sockets."""
        self.close()

    def pass_through(self) -> None:
        """In a handler: say that it has come here, and wait until the gate is opened."""
        self.reached()
        self.wait()

    def reached(self) -> None:
        """In a handler: say that it has come here, and go on."""
        self._reached[1].send(b".")

    def wait(self) -> None:
        """In a handler: wait until the gate is opened."""
        with cooperative(self._waits[0].dup()) as mine:
            mine.recv(1)

    def wait_until_reached(self, times: int = 1) -> None:
        """
        In the test: wait until handlers have come so many times.

        Raises:
            TimeoutError: They do not within 30 seconds.
        """
        for _ in range(times):
            self._reached[0].recv(1)

    def open(self, times: int = 1) -> None:
        """In the test: let so many handlers go on."""
        self._waits[1].send(b"." * times)

    def close(self) -> None:
        """Close its sockets."""
        for sock in (*self._reached, *self._waits):
            sock.close()
