"""
The writing side of a connection that a row with a stack serves: over TLS, behind a proxy's header.

What its own row says waits for the peer, as everything does that the row calls. What is said unasked must not: the
caller may be the loop itself, or a row without a stack, and all would wait with it.
"""

import socket
import threading

from .._table.beside import SideJob
from .._table.current import current_row
from .._table.fibres import fibres_here
from .._table.locks import Lock
from .._table.unsent import has_room
from ._outlet import shut

__all__ = ("RowOutlet",)

#: Bytes that are sent at a time of what is kept: so much room there is again while the peer reads slowly.
PIECE = 64 * 1024


class RowOutlet:
    """
    Implements `Outlet`: what is delivered is kept, up to a bound, until another row has sent it.

    Made in the row that serves *sock*.
    """

    __slots__ = ("_client_address", "_closed", "_fibres", "_kept", "_mutex", "_sending", "_sock", "_writing")

    def __init__(self, sock: socket.socket) -> None:
        row = current_row()
        assert row is not None
        self._sock = sock
        self._client_address = row.job.client_address
        self._fibres = fibres_here()
        self._closed = False
        self._begin()
        row.on_forked = self._begin

    def _begin(self) -> None:
        """Have nothing to send; in a process that is forked, too: that is the parent's, as is who holds a lock."""
        #: What was delivered and is not sent yet. Only who holds `_writing` takes from it.
        self._kept = bytearray()
        #: Whether a row sends it, or is about to.
        self._sending = False
        #: Held for a moment.
        self._mutex = threading.Lock()
        #: Held while something is sent, for as long as the peer does not read.
        self._writing = Lock()

    def send(self, data: bytes) -> None:
        """See `Outlet.send`."""
        with self._writing:
            if self._kept:
                self._send_kept()
            self._sock.sendall(data)

    def deliver(self, data: bytes) -> bool:
        """See `Outlet.deliver`. A message may be of any length where nothing else waits."""
        with self._mutex:
            if self._closed or not has_room(len(self._kept), len(data)):
                return False
            self._kept += data
            sending, self._sending = self._sending, True
        if not sending:
            self._fibres.table.call(self._begin_sending)
        return True

    def finish(self) -> None:
        """See `Outlet.finish`; what comes from now on is not taken."""
        with self._mutex:
            self._closed = True
        with self._writing:
            self._send_kept()

    def close(self) -> None:
        """See `Outlet.close`."""
        with self._mutex:
            self._closed = True

    def _begin_sending(self) -> None:
        """Let a row send what is kept, unless the connection's own has done so meanwhile. Called by the loop."""
        if not self._rests() and not self._closed:
            self._fibres.start(SideJob(self._send_all, self._client_address))

    def _rests(self) -> bool:
        """Whether there is nothing to be sent; who delivers something from now on asks for a row again."""
        with self._mutex:
            self._sending = bool(self._kept)
            return not self._sending

    def _send_all(self) -> None:
        try:
            while not self._rests():
                with self._writing:
                    if self._closed:
                        return  # its own row sends what is left
                    self._send_kept()
        except OSError:
            # Part of it may have been sent: nothing can follow. The connection's own row sees the end.
            self.close()
            shut(self._sock)

    def _send_kept(self) -> None:
        """Send what is kept now, and not what comes while it is sent: a reply may be waiting for its turn."""
        rest = len(self._kept)
        while rest:
            with self._mutex:
                piece = bytes(self._kept[: min(rest, PIECE)])
            self._sock.sendall(piece)
            rest -= len(piece)
            with self._mutex:
                del self._kept[: len(piece)]
