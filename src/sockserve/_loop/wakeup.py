"""Ending a loop's wait from anywhere: another thread, a signal handler, a worker."""

import os
import socket

__all__ = ("Wakeup",)


#: What `Wakeup.wake` writes: the number of no signal.
_CALL = b"\0"


class Wakeup:
    """
    A pair of connected sockets: one byte written to the one makes the other readable.

    Socket objects, not bare descriptors: a number that is kept too long may be a client's connection by then.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._pending = False
        #: Whom to tell which signals came, where `signal.set_wakeup_fd` has made C code write their numbers here
        #: rather than there; -1 for nobody.
        self.forward = -1

    def fileno(self) -> int:
        """Return the descriptor to watch for reading."""
        return self._receiver.fileno()

    def sender_fileno(self) -> int:
        """Return the descriptor that C code may write to (`signal.set_wakeup_fd`)."""
        return self._sender.fileno()

    def wake(self) -> None:
        """Make the receiver readable. Never blocks, takes no lock; safe in signal handlers, and after `close`."""
        if self._pending:  # a byte is on its way that the loop has not seen yet
            return
        self._pending = True
        try:
            self._sender.send(_CALL)
        except OSError:
            pass  # full: readable already; closed: there is nobody to wake

    def drain(self, _mask: int = 0) -> None:
        """
        Take what was written. Whoever drains looks for the reasons after this, never before.

        The flag is cleared last: a `wake` in the middle is then either skipped, and its reason seen by who drains,
        or makes it readable again. Cleared first, its byte could be taken here and the flag stay set: no later
        `wake` would be heard (seen, as a pool that stopped serving under load).
        """
        try:
            data = self._receiver.recv(4096)
        except BlockingIOError:
            data = b""
        self._pending = False
        if self.forward >= 0 and (numbers := data.replace(_CALL, b"")):
            try:
                os.write(self.forward, numbers)
            except OSError:
                pass  # full or closed: as it would have been for C code

    def close(self) -> None:
        """Close both sockets."""
        self._receiver.close()
        self._sender.close()
