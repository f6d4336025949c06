"""What a supervisor and one worker say to each other, over a pair of sockets."""

import math
import socket
import struct
from collections.abc import Sequence

from ..abc import Order
from ..framing import LengthPrefixed

__all__ = ("ASKED", "FAILED", "LEAVING", "RENEW", "RETIRING", "SERVING", "Link", "WorkerLink", "unpack_grace")

#: What a worker says: that it accepts; that it has served enough; that it ends; what it died of; and what a
#: handler asks for: that the server is to stop, that all workers are to be replaced.
SERVING, RETIRING, LEAVING, FAILED, ASKED, RENEW = b"s", b"r", b"l", b"f", b"a", b"n"

_GRACE = struct.Struct("=d")
_FRAMING = LengthPrefixed("!H", max_length=4096)
_LETTER = 1


class Link:
    """
    One end.

    Args:
        sock: This object closes it. A message of ours is far smaller than its buffer, and so sent whole or not at
            all; where the buffer is full, the other side has not looked for thousands of them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self._decoder = _FRAMING.decoder()
        #: Whether the other end is closed.
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.sock.fileno()

    def send(self, message: bytes) -> None:
        """Send, to nobody where there is none."""
        try:
            self.sock.send(_FRAMING.encode(message))
        except OSError:
            pass  # full: see above; broken or closed: its end is noticed elsewhere

    def receive(self) -> list[bytes]:
        """Take what has come."""
        found: list[bytes] = []
        while not self.ended:
            try:
                data = self.sock.recv(4096)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.ended = not data
            found += self._decoder.feed(data)
        return found

    def order(self, order: Order, grace: float = 0.0) -> None:
        """Tell a worker what to do."""
        self.send(order.value[:_LETTER].encode() + _GRACE.pack(grace))

    def close(self) -> None:
        """Close this end."""
        self.ended = True
        self.sock.close()


class WorkerLink(Link):
    """The worker's end. Implements `sockserve.abc.Overseer`."""

    def __init__(self, sock: socket.socket, grace: float, mask: set[int]) -> None:
        super().__init__(sock)
        self.grace = grace
        self.mask = mask

    def orders(self) -> Sequence[tuple[Order, float]]:
        """See `sockserve.abc.Overseer.orders`."""
        before = self.ended
        orders = [
            (_BY_LETTER[message[:_LETTER]], _GRACE.unpack(message[_LETTER:])[0]) for message in self.receive()
        ]
        if self.ended and not before:
            orders.append((Order.ORPHAN, self.grace))
        return orders

    def serving(self) -> None:
        """See `sockserve.abc.Overseer.serving`."""
        self.send(SERVING)

    def retiring(self) -> None:
        """Tell that this worker has accepted as many requests as it was to."""
        self.send(RETIRING)

    def leaving(self) -> None:
        """See `sockserve.abc.Overseer.leaving`."""
        self.send(LEAVING)

    def ask_to_renew(self) -> None:
        """See `sockserve.abc.Overseer.ask_to_renew`."""
        self.send(RENEW)

    def ask_to_stop(self, grace: float | None, /) -> None:
        """See `sockserve.abc.Overseer.ask_to_stop`."""
        self.send(ASKED + _GRACE.pack(math.nan if grace is None else grace))

    def failed(self, error: BaseException) -> None:
        """Say what this worker dies of."""
        self.send(FAILED + repr(error).encode(errors="replace")[:2000])


_BY_LETTER = {order.value[:_LETTER].encode(): order for order in Order}


def unpack_grace(body: bytes) -> float | None:
    """Return the grace with which a worker has asked to stop."""
    grace: float = _GRACE.unpack(body)[0]
    return None if math.isnan(grace) else grace
