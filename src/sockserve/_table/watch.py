"""Between one socket and the loop: who waits for it, and what is known of it."""

import errno
import os
import socket
import time

from greenlet import getcurrent

from ..abc import EDGE, PEER_CLOSED, READ, URGENT, WRITE, Loop
from .fibres import Fibre, current_fibre, fibre_row
from .machine import TRANSITIONS, Action, Signal, State
from .polling import wait_for
from .rows import Row, Table
from .verdicts import wait_error

__all__ = ("SHARE", "Watch", "would_block")

#: Reads, and writes, that succeed without a wait before the others have their turn: a client that always has data
#: gets so much of the loop for each of its turns.
SHARE = 32

#: Conditions that end a wait for reading: all but the bare fact that it can be written to.
_READABLE = ~WRITE
#: epoll_ctl(2): EPOLLERR, EPOLLHUP. They are reported unasked, and end a wait for writing too.
_BROKEN = 0x008 | 0x010
_WRITABLE = WRITE | _BROKEN
#: After these a short read does not mean that nothing is left: the end of the stream, an error or what follows
#: urgent data may be there already, and no further edge tells.
_MORE = PEER_CLOSED | URGENT | _BROKEN
#: What edges report for a connection that goes on: data has come, and there is room for more.
_QUIETLY = READ | WRITE

# The machine's signals, as it counts them.
_READ, _WRITE, _GET_READABLE, _GET_WRITABLE = (
    signal.value for signal in (Signal.READ, Signal.WRITE, Signal.READABLE, Signal.WRITABLE)
)
_RESUME = Action.RESUME.value
#: In this state, `_READ` parks a row, and leads to that one.
_RUNNING, _READING = State.RUNNING.value, State.READING.value


class Watch:
    """
    The waiters of one socket, by direction, and its registration with the loop.

    An object of its own, so that the loop keeps no socket alive that its handler has forgotten.

    Args:
        stream: Whether it is a TCP socket: after a short read of one nothing is left, mostly.

    Attributes:
        tries: How often it may be read from before its next event. 0: a read would find nothing, wait. Below 0: it
            has had its share, and waits for its next turn.
        sends: How often it may be written to before the others have their turn.
        moved: When something was last sent, where that is noted.
        short: Whether nothing is left after a short read.
        regular: Who reads here, in this loop and by edges: he waits by the shortest way. In a forked child he does
            not, since the machine says that his row is no more to be parked.
    """

    __slots__ = (
        "fd",
        "interest",
        "level",
        "loop",
        "moved",
        "readers",
        "regular",
        "sends",
        "short",
        "table",
        "tries",
        "writers",
    )

    def __init__(self, *, stream: bool) -> None:
        self.tries = SHARE
        self.sends = SHARE
        self.short = stream
        self.table: Table | None = None
        self.loop: Loop | None = None
        self.level = False
        self.interest = 0
        self.moved = 0.0
        self.fd = -1
        self.regular: Fibre | None = None
        self.readers: tuple[Row, ...] = ()
        self.writers: tuple[Row, ...] = ()

    # Called by handlers, where they would block.

    def wait_readable(self, sock: socket.socket, timeout: float | None, deadline: float | None) -> float | None:
        """
        Wait until *sock* may be readable.

        Args:
            sock: The socket that is watched.
            timeout: Of the socket: seconds, None for no limit, 0 for no wait at all.
            deadline: What this has returned for an earlier wait of the same call.

        Returns:
            When the call times out.

        Raises:
            BlockingIOError: The socket is not to wait.
            TimeoutError: The time is over.
            RequestAborted: The server has stopped.
        """
        # What nearly every request comes to: few questions, and no call but the switch itself.
        if self.tries != 0 or timeout is not None:
            return self._wait_readable(sock, timeout, deadline)
        fibre = self.regular
        row = None if fibre is None else fibre.row
        if row is None or row.state != _RUNNING or getcurrent() is not fibre:
            row = self._make_regular(sock)
            if row is None or row.state != _RUNNING:
                return self._wait_readable(sock, timeout, deadline)
        row.state = _READING  # what the machine says
        self.readers += (row,)
        try:
            verdict = row.leave()
        finally:
            if self.readers:
                self._forget_reader(row)
        if verdict is not None:
            raise wait_error(verdict)
        return None

    def _make_regular(self, sock: socket.socket) -> Row | None:
        """Let the fibre that calls wait by the shortest way, and return its row; None where that is not for it."""
        fibre = current_fibre()
        row = None if fibre is None else fibre.row
        if row is None or row.table.foreign or not self._join(sock, row) or self.level:
            return None
        self.regular = fibre
        return row

    def _wait_readable(self, sock: socket.socket, timeout: float | None, deadline: float | None) -> float | None:
        """Do what `wait_readable` does, whoever waits, and for however long."""
        if timeout == 0.0:
            tried, self.tries = self.tries == 0, SHARE
            if tried:
                raise would_block()
            return None
        row = fibre_row()
        if row is None or (row.table.loop is not self.loop and not self._join(sock, row)):
            self.tries = SHARE
            return _poll(sock, timeout, deadline, write=False)
        if self.tries < 0:
            self.tries = SHARE
            row.give_way()
            return deadline
        if timeout is not None and deadline is None:
            deadline = row.table.clock() + timeout
        self.readers = (*self.readers, row) if self.readers else (row,)
        if self.level:
            self._show_interest()
        try:
            row.wait(_READ, deadline)
        finally:
            if self.readers:
                self._forget_reader(row)
        return deadline

    def _forget_reader(self, row: Row) -> None:
        """Let *row* be woken no more, whose wait something else has ended; other rows may still wait."""
        self.readers = tuple(each for each in self.readers if each is not row)

    def wait_writable(self, sock: socket.socket, timeout: float | None, deadline: float | None) -> float | None:
        """Wait until *sock* may be writable, as `wait_readable` does."""
        if timeout == 0.0:
            raise would_block()
        row = fibre_row()
        if row is None or not self._join(sock, row):
            return _poll(sock, timeout, deadline, write=True)
        if timeout is not None and deadline is None:
            deadline = row.table.clock() + timeout
        self.sends = SHARE
        self.writers += (row,)
        if self.level:
            self._show_interest()
        try:
            row.wait(_WRITE, deadline)
        finally:
            if self.writers:  # other rows, or this one, which something else has ended the wait of
                self.writers = tuple(each for each in self.writers if each is not row)
        return deadline

    def has_sent_its_share(self, timeout: float | None) -> None:
        """Let the others go first, after many writes without a wait."""
        self.sends = SHARE
        row = fibre_row()
        if row is not None and timeout != 0.0:
            row.give_way()

    def _join(self, sock: socket.socket, row: Row) -> bool:
        """Be watched by the loop of *row*; whether that is so."""
        table = row.table
        if self.loop is table.loop:
            return True
        if self.readers or self.writers:
            return False  # another loop's rows, in another thread
        self._leave()
        self.fd = sock.fileno()
        self.level = not table.loop.edges
        if not self.level:
            table.loop.watch(self.fd, self.on_event, READ | WRITE | PEER_CLOSED | URGENT | EDGE)
        self.table, self.loop = table, table.loop
        return True

    def _leave(self) -> None:
        """Be watched no longer; in a forked child the poller is the parent's, and not to be touched."""
        if self.loop is not None and self.table is not None and not self.table.foreign:
            self.loop.unwatch(self.fd)
        self.table = self.loop = self.regular = None
        self.interest = 0

    # Called by the loop.

    def on_event(self, mask: int) -> None:
        """Let those go on that wait for what has happened. Each tries again, and may find that it was in vain."""
        if mask != _QUIETLY or self.writers:
            self._on_more(mask)
            return
        self.tries = self.sends = SHARE
        readers = self.readers
        if not readers:
            return
        self.readers = ()
        for row in readers:
            row.state, action = TRANSITIONS[row.state][_GET_READABLE]
            if action == _RESUME:  # as `Table.run`
                table = row.table
                clock = table.clock
                row.since = began = clock()
                row.go(None)
                row.since = now = clock()
                if now - began > table.slow:
                    table.on_slow(row, now - began)

    def _on_more(self, mask: int) -> None:
        """Do what `on_event` does where more than data has come, or more is waited for."""
        readers: tuple[Row, ...] = ()
        writers: tuple[Row, ...] = ()
        if mask & _READABLE:
            self.tries = self.sends = SHARE
            if mask & _MORE:
                self.short = False
            if self.readers:
                readers, self.readers = self.readers, ()
        if self.writers and mask & _WRITABLE:
            writers, self.writers = self.writers, ()
        if self.level:
            self._show_interest()
        for row in readers:
            row.table.run(row, _GET_READABLE)
        for row in writers:
            row.table.run(row, _GET_WRITABLE)

    def _show_interest(self) -> None:
        """Where the loop reports levels: ask for what is waited for, and for nothing else."""
        interest = (READ if self.readers else 0) | (WRITE if self.writers else 0)
        if interest == self.interest or self.loop is None:
            return
        if self.interest:
            self.loop.unwatch(self.fd)
        if interest:
            self.loop.watch(self.fd, self._on_more, interest)
        self.interest = interest

    def end(self) -> None:
        """
        Be watched no longer, before the descriptor is closed or given away, and wake who waits for it.

        The registration belongs to the open file, not to its number: where another process has a copy of it, the
        poller would go on to report it under a number that is somebody else's by then (epoll(7), question 6).
        """
        self.tries = SHARE
        waiters = self.readers + self.writers
        self.readers = self.writers = ()
        self._leave()
        for row in waiters:
            row.table.wake(row)


def would_block() -> BlockingIOError:
    """Make what a socket raises that is not to wait."""
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _poll(sock: socket.socket, timeout: float | None, deadline: float | None, *, write: bool) -> float | None:
    if timeout is not None and deadline is None:
        deadline = time.monotonic() + timeout
    wait_for(sock, write=write, timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
    return deadline
