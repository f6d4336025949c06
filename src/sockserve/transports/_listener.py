"""What every listener of a socket does alike."""

import socket
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

__all__ = ("SocketListener",)

A = TypeVar("A")


@attrs.define(eq=False)
class SocketListener(Generic[A]):
    """
    A bound socket, owned.

    Args:
        sock: The socket; this object closes it.
        address: Where it is bound.
        cleanup: Called once, after the socket was closed by `close`.
    """

    sock: socket.socket
    address: A
    cleanup: Callable[[], None] | None = attrs.field(default=None, kw_only=True)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the socket and clean up after it."""
        self.sock.close()
        cleanup, self.cleanup = self.cleanup, None
        if cleanup is not None:
            cleanup()
