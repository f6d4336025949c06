"""The last word to clients that are turned away."""

import functools
import socket
from typing import cast

import attrs

from ..abc import Loop, Patience, Timer
from ..addresses import InetAddress, scoped_sockaddr

__all__ = ("Farewells", "tell_here")

#: Seconds, at most, until a client has taken what it was told and has ended the connection.
LINGER = 1.0
#: Connections that are read to their end at a time, at most: each holds a descriptor, and a flood is to get none.
MOST = 128
_PIECE = 16 * 1024

#: This call is not to wait, whatever the socket does. 0 where the system has no such flag.
_MSG_DONTWAIT: int = getattr(socket, "MSG_DONTWAIT", 0)


@attrs.define(eq=False)
class Farewells:
    """
    Connections that are told *words*, and then closed.

    One that is closed while there is something that it was sent and nobody has read is reset, and what it was
    told is lost (tcp(7) and RFC 2525, 2.17): so it is half-closed, and read until the client ends it.

    Args:
        words: What they are told.
        loop: Where they are read. The loop's thread only.
    """

    words: bytes
    loop: Loop
    _open: dict[socket.socket, Timer] = attrs.field(init=False, factory=dict)

    def tell(self, sock: socket.socket) -> None:
        """Tell one connection, and close it in time; it belongs to this object from here on. Never raises."""
        try:
            sock.setblocking(False)
            sock.send(self.words)  # there is room for it: it is the first that is said
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # it has gone
            sock.close()
            return
        if len(self._open) >= MOST:
            self._close(next(iter(self._open)))
        self._open[sock] = self.loop.call_at(self.loop.time() + LINGER, functools.partial(self._close, sock))
        self.loop.watch(sock.fileno(), functools.partial(self._read, sock))

    def _read(self, sock: socket.socket, _mask: int) -> None:
        try:
            if sock.recv(_PIECE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset
        self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        self._open.pop(sock).cancel()
        self.loop.unwatch(sock.fileno())
        sock.close()

    def close_all(self) -> None:
        """Wait for none of them any more: the loop is about to be left."""
        for sock in tuple(self._open):
            self._close(sock)

    def close_copies(self) -> None:
        """Close a forked child's copies."""
        for sock in self._open:
            sock.close()

    def answer(self, sock: socket.socket, address: object) -> None:
        """Tell the sender of a datagram, if it can be told at once. Never raises."""
        target = scoped_sockaddr(address) if isinstance(address, InetAddress) else address
        try:
            sock.sendto(self.words, _MSG_DONTWAIT, cast("str", target))  # of whatever family
        except OSError:
            pass  # it has no address, does not listen any more, or does not read


def tell_here(sock: socket.socket, words: bytes) -> None:
    """Tell one connection where its request runs, and wait there until the client ends it. Never raises."""
    patience = Patience.of(LINGER)
    try:
        sock.settimeout(patience.left())
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(_PIECE):
            sock.settimeout(patience.left())
    except OSError:
        pass  # it has gone, or its time is over
