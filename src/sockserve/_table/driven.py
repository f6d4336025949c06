"""
What rows without a stack share: the connection of a conversation, and what is still to be sent over it.

A `MessageHandler` never waits by itself, so it needs no greenlet: what has arrived is handed over, what comes back
is sent, and the row waits for more. It is watched by levels, for one direction at a time: for reading, unless the
peer has not taken what it was sent, or something else comes first.
"""

import socket
import threading
from abc import abstractmethod

from ..abc import READ, WRITE, Conversation, Job, PartialDecoder
from ..stats import RowInfo
from .conversations import Conversations
from .fibres import leave_child
from .polling import wait_for
from .unsent import has_room

__all__ = ("LITTLE", "MUCH", "SHARE", "DrivenRow")

#: Bytes that are read at a time, at first: a larger buffer costs more than a small request (measured).
LITTLE = 8 * 1024
#: Bytes that are read at a time from a peer that has sent so much.
MUCH = 64 * 1024
#: Pieces of a reply that are sent before the others have their turn.
SHARE = 32

_send = socket.socket.send


class DrivenRow:
    """
    One connection of a `MessageHandler`. Subclasses say how what has come is answered.

    Args:
        home: Where it is.
        job: The request.
        sock: Its connection.
        conversation: What is said.
    """

    __slots__ = (
        "begun",
        "closing",
        "conversation",
        "ended",
        "failure",
        "fd",
        "home",
        "job",
        "mailed",
        "moved",
        "output",
        "since",
        "size",
        "sock",
        "table",
        "watched",
    )

    def __init__(self, home: Conversations, job: Job, sock: socket.socket, conversation: Conversation) -> None:
        self.home = home
        self.table = home.table
        self.job = job
        self.sock = sock
        self.fd = sock.fileno()
        self.conversation = conversation
        #: What the peer has not taken yet. While there is any, nothing is read.
        self.output: bytearray | None = None
        #: What other threads have to send, and what has not come here yet. Under the lock of `home`.
        self.mailed: bytearray | None = None
        #: How much to read at a time.
        self.size = LITTLE
        #: READ or WRITE, as the loop knows it; 0: it does not watch.
        self.watched = 0
        #: What ends it when the peer has taken everything.
        self.failure: BaseException | None = None
        #: Whether nothing is taken any more that nobody has asked for, and whether it is over.
        self.closing = False
        self.ended = False
        #: When it was last sent something that it had not asked for.
        self.moved = 0.0
        self.since = self.begun = self.table.clock()

    @abstractmethod
    def on_readable(self, mask: int, /) -> None:
        """Take what has come. Called by the loop."""

    @abstractmethod
    def advance(self) -> None:
        """Do what comes next, until there is something to wait for; or end."""

    def wanted(self) -> int:
        """Say what to wait for: READ, WRITE, or 0 where it is nothing of the connection's."""
        return READ if self.output is None and not self.conversation.pending else WRITE

    def info(self) -> RowInfo:
        """Describe it."""
        state, waiting_for = ("WRITING", "writable") if self.watched == WRITE else ("READING", "readable")
        return RowInfo(
            client_address=self.job.client_address, state=state, waiting_for=waiting_for, since=self.since
        )

    def silence(self) -> bool | None:
        """See `sockserve.abc.SilenceRunner`: between two messages. None: not known, or none came yet."""
        if self.watched != READ or self.output is not None:
            return False
        if self.since == self.begun:
            return None
        decoder = self.conversation.decoder
        if decoder is None:
            return True  # whatever comes is a message
        return not decoder.partial if isinstance(decoder, PartialDecoder) else None

    def pulse(self) -> tuple[float, float]:
        """See `sockserve.abc.PulseRunner`."""
        return (self.since if self.watched else 0.0), self.moved

    # From its begin to its end.

    def begin(self) -> None:
        """Let the handler know, and wait for what the peer has to say."""
        self.sock.setblocking(False)
        try:
            self.conversation.connect(self.deliver)
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.failure = error  # after what it has sent before
        self.advance()

    def look(self) -> None:
        """Be watched for what there is to do."""
        wanted = self.wanted()
        if wanted == self.watched or self.ended or self.table.foreign:
            return
        loop = self.table.loop
        if self.watched:
            loop.unwatch(self.fd)
        self.watched = wanted
        if wanted:
            loop.watch(self.fd, self.on_readable if wanted == READ else self.on_writable, wanted)

    def finish(self) -> None:
        """
        End the connection when the peer has taken what others were told is sent. Again: no effect.

        Raises:
            BaseException: As `end`.
        """
        with self.home.lock:
            self.closing = True
            self._put_mailed()
        if self.output is None:
            self.end(self.failure)
        else:
            self.look()

    def end(self, error: BaseException | None) -> None:
        """
        End the connection, whatever is still to be sent.

        Raises:
            BaseException: The *error*, where it is not for this request alone.
        """
        if self.ended:
            return
        self.ended = True
        with self.home.lock:
            self.closing = True
            self.mailed = None
        self.home.rows.pop(self.job, None)
        if self.watched:
            self.table.loop.unwatch(self.fd)
        self.output = None
        try:
            self.conversation.disconnect()
        except BaseException as caught:  # noqa: BLE001 - reported, or raised again
            error = error or caught
        self.job.conclude(error)

    def leave_child(self) -> None:
        """In a process that the handler has forked: the connection is the parent's, and goes on there."""
        while self.output is not None:
            # The open file is the parent's, too: it is not to begin to block.
            wait_for(self.sock, write=True, timeout=None)
            if not self._flush(self.output):
                break
        leave_child(self.failure)

    def forget_unsent(self) -> None:
        """In such a process: what was to be sent before is sent by the parent."""
        self.output = self.mailed = None

    # Sending.

    def put(self, data: bytes | bytearray) -> bool:
        """Send *data*, or keep what the peer does not take; whether it has not gone."""
        if self.mailed is not None:  # which was taken before
            with self.home.lock:
                self._put_mailed()
        if self.output is not None:
            self.output += data
            return True
        try:
            sent = _send(self.sock, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.failure = self.failure or error
            return False
        if sent != len(data):
            self.output = bytearray(memoryview(data)[sent:])
        return True

    def put_rest(self) -> None:
        """
        Send what is still to come of a reply, piece by piece, as far as it goes.

        Raises:
            BaseException: What the handler raises, or its framing.
        """
        conversation = self.conversation
        for _ in range(SHARE):
            if self.failure is not None or self.output is not None or not conversation.pending:
                break
            output = conversation.more()
            if output:
                self.put(output)

    def on_writable(self, _mask: int) -> None:
        """Go on with what the peer has not taken. Called by the loop."""
        clock = self.table.clock
        began = clock()
        if self.output is not None and not self._flush(self.output):
            self.end(self.failure)
        elif self.output is None:
            self.advance()
        self.since = now = clock()
        if now - began > self.table.slow:
            self.home.on_slow(self.job, now - began)

    def _flush(self, output: bytearray) -> bool:
        """Send what there is room for; whether the peer has not gone."""
        try:
            sent = _send(self.sock, output)
        except BlockingIOError:
            return True
        except OSError as error:
            self.failure = self.failure or error
            return False
        del output[:sent]
        if not output:
            self.output = None
        return True

    def deliver(self, data: bytes) -> bool:
        """Send *data*, from any thread; whether it was taken."""
        if threading.get_ident() != self.table.thread:
            return self._mail(data)
        if not self._takes(len(data)):
            return False
        self._note_move()
        if not self.put(data):
            return False
        self.look()
        return True

    def _note_move(self) -> None:
        """Take note that something is about to be sent; what is only kept is nothing that a peer has taken."""
        if self.output is None:
            self.moved = self.table.clock()

    def _takes(self, size: int) -> bool:
        return not self.closing and has_room(len(self.mailed or b"") + len(self.output or b""), size)

    def _mail(self, data: bytes) -> bool:
        with self.home.lock:
            if not self._takes(len(data)):
                return False
            first = self.mailed is None
            self.mailed = self.mailed or bytearray()
            self.mailed += data
        if first:
            self.table.loop.call_soon_threadsafe(self._arrive)
        return True

    def _arrive(self) -> None:
        """Send what other threads have left here, unless that has been done. Called by the loop."""
        if self.ended or self.mailed is None:
            return
        self._note_move()
        with self.home.lock:
            self._put_mailed()
        self.advance()

    def _put_mailed(self) -> None:
        """Send what other threads have left here, while none of them looks at how much waits."""
        mailed, self.mailed = self.mailed, None
        if mailed is not None:
            self.put(mailed)
