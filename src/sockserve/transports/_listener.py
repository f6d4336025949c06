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
        cleanup: Called once, by `close`, before the socket is closed.
    """

    sock: socket.socket
    address: A
    cleanup: Callable[[], None] | None = attrs.field(default=None, kw_only=True)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        return self.sock.fileno()

    def close(self) -> None:
        """Clean up and close the socket, in this order: its inode's number stays taken until it is closed."""
        cleanup, self.cleanup = self.cleanup, None
        if cleanup is not None:
            cleanup()
        self.sock.close()
