"""The writing side of a connection that is served in a thread of its own."""

import socket
import threading
from typing import Protocol

__all__ = ("Outlet", "ThreadOutlet", "shut")


class Outlet(Protocol):
    """The writing side of a connection, on which messages do not get in between each other."""

    def send(self, data: bytes) -> None:
        """Send what the connection's own thread or row has to say, after what was delivered before; all of it."""
        ...

    def deliver(self, data: bytes) -> bool:
        """See the argument of `sockserve.abc.Conversation.connect`."""
        ...

    def finish(self) -> None:
        """Send what is still to be sent."""
        ...

    def close(self) -> None:
        """Let nobody send any more: the descriptor is about to be closed, and its number another's."""
        ...


class ThreadOutlet:
    """Implements `Outlet`: a lock is held while a message is sent, for as long as the peer does not read."""

    __slots__ = ("_closed", "_lock", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._closed = False
        self._lock = threading.Lock()

    def send(self, data: bytes) -> None:
        """See `Outlet.send`."""
        with self._lock:
            self._sock.sendall(data)

    def deliver(self, data: bytes) -> bool:
        """See `Outlet.deliver`."""
        with self._lock:
            if self._closed:
                return False
            try:
                self._sock.sendall(data)
            except OSError:
                # Part of it may have been sent: nothing can follow. The connection's own thread sees the end.
                self._closed = True
                shut(self._sock)
                return False
            return True

    def finish(self) -> None:
        """Nothing: it has been sent."""

    def close(self) -> None:
        """See `Outlet.close`."""
        with self._lock:
            self._closed = True


def shut(sock: socket.socket) -> None:
    """End a connection both ways, whatever kind of socket it is; who waits for it sees that."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # the peer has done so
