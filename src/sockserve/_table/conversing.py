"""
Rows without a stack: conversations, which are resumed by a call.

A `MessageHandler` never waits by itself, so it needs no greenlet: what has arrived is handed over, what comes back
is sent, and the row waits for more. It is watched by levels, for one direction at a time: for reading, unless the
peer has not taken what it was sent. A read that leaves something is followed by another one in the row's next
turn, after everybody else's.
"""

import errno
import socket
import threading
from collections.abc import Callable

import attrs

from ..abc import READ, WRITE, Conversation, Job, Reply
from ..errors import RequestAborted
from ..stats import RowInfo
from .fibres import leave_child
from .rows import Table

__all__ = ("MOST_UNSENT", "ConversationRow", "Conversations")

#: Bytes that are read at a time, at first: a larger buffer costs more than a small request (measured).
_LITTLE = 8 * 1024
#: Bytes that are read at a time from a peer that has sent so much.
_MUCH = 64 * 1024
#: Bytes of messages that nobody asked for, and that wait for a peer which does not read, at most.
MOST_UNSENT = 1024 * 1024
#: Pieces of a reply that are sent before the others have their turn.
_SHARE = 32

_recv = socket.socket.recv
_send = socket.socket.send


@attrs.define(eq=False)
class Conversations:
    """
    The conversations of one runner.

    Args:
        table: Knows the loop, and whose process and thread it is.
        on_slow: Called with a job and the seconds that it has held the loop.
    """

    table: Table
    on_slow: Callable[[Job, float], object]
    rows: "set[ConversationRow]" = attrs.field(init=False, factory=set)
    #: Held for a moment where messages come from other threads.
    lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def begin(self, job: Job, sock: socket.socket) -> bool:
        """Run *job*, whose connection is *sock*, as a conversation; whether it is one."""
        try:
            conversation = job.conversation()
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            job.conclude(error)
            return True
        if conversation is None:
            return False
        self.table.thread = threading.get_ident()
        row = ConversationRow(self, job, sock, conversation)
        self.rows.add(row)
        row.begin()
        return True

    def infos(self) -> list[RowInfo]:
        """Describe them. Any thread."""
        return [row.info() for row in tuple(self.rows)]

    def leave(self) -> None:
        """
        End every conversation.

        Raises:
            BaseException: The first of what the ends let through, after all have ended.
        """
        if self.table.foreign:
            return
        first: BaseException | None = None
        for row in tuple(self.rows):
            try:
                row.end(RequestAborted(errno.ECONNABORTED, "the server has stopped"))
            except BaseException as error:  # noqa: BLE001 - raised below, when all have ended
                first = first or error
        if first is not None:
            raise first


class ConversationRow:
    """
    One connection of a `MessageHandler`.

    Args:
        home: Where it is.
        job: The request.
        sock: Its connection.
        conversation: What is said.
    """

    __slots__ = (
        "answer",
        "conversation",
        "ended",
        "failure",
        "fd",
        "home",
        "job",
        "mailed",
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
        #: Gives what is to be sent for what has come: where pieces are messages, the handler itself does.
        plainly = conversation.decoder is None and conversation.encode is None
        self.answer: Callable[[bytes], Reply] = conversation.respond if plainly else conversation.receive
        #: What the peer has not taken yet. While there is any, nothing is read.
        self.output: bytearray | None = None
        #: Bytes that other threads have to send, and that have not come here yet.
        self.mailed = 0
        self.size = _LITTLE
        #: READ or WRITE, as the loop knows it; 0: it does not watch.
        self.watched = 0
        #: What ends it when the peer has taken everything.
        self.failure: BaseException | None = None
        self.ended = False
        self.since = self.table.clock()

    def begin(self) -> None:
        """Let the handler know, and wait for what the peer has to say."""
        self.sock.setblocking(False)
        try:
            self.conversation.connect(self.deliver)
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.end(error)
        else:
            self._go_on()

    def info(self) -> RowInfo:
        """Describe it."""
        state, waiting_for = ("WRITING", "writable") if self.watched == WRITE else ("READING", "readable")
        return RowInfo(
            client_address=self.job.client_address, state=state, waiting_for=waiting_for, since=self.since
        )

    # Called by the loop.

    def on_readable(self, _mask: int) -> None:
        """Take what has come, and send what answers it."""
        clock = self.table.clock
        began = clock()
        try:
            data = _recv(self.sock, self.size)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error)
            return
        conversation = self.conversation
        try:
            output = self.answer(data) if data else conversation.eof()
            if type(output) is not bytes:
                output = conversation.reply(output)
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self._fail(error)
        else:
            if (
                (output and not self._put(output))
                or conversation.pending
                or conversation.over
                or self.output is not None
                or self.table.foreign
            ):
                self._go_on()
        if len(data) == self.size:
            self.size = _MUCH
        self.since = now = clock()
        if now - began > self.table.slow:
            self.home.on_slow(self.job, now - began)

    def on_writable(self, _mask: int) -> None:
        """Go on with what the peer has not taken."""
        clock = self.table.clock
        began = clock()
        if self.output is not None:
            self._flush(self.output)
        if self.output is None and not self.ended:
            self._go_on()
        self.since = now = clock()
        if now - began > self.table.slow:
            self.home.on_slow(self.job, now - began)

    def _flush(self, output: bytearray) -> None:
        try:
            sent = _send(self.sock, output)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error)
            return
        del output[:sent]
        if not output:
            self.output = None

    def _put(self, data: bytes) -> bool:
        """Send *data*, or keep what the peer does not take; whether it has not gone."""
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

    # Going on.

    def _go_on(self) -> None:
        """Send what is still to come of a reply; then read again, or end."""
        if self.table.foreign:
            self._leave_child()
        conversation = self.conversation
        try:
            for _ in range(_SHARE):
                if self.failure is not None or self.output is not None or not conversation.pending:
                    break
                output = conversation.more()
                if output:
                    self._put(output)
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.failure = error
        if self.output is None and (self.failure is not None or (conversation.over and not conversation.pending)):
            self.end(self.failure)
        else:
            self._look()

    def _fail(self, error: BaseException) -> None:
        """End with an error of the handler, after what came before it."""
        self.failure = error
        self._go_on()

    def _look(self) -> None:
        """Be watched for what there is to do."""
        wanted = READ if self.output is None and not self.conversation.pending else WRITE
        if wanted == self.watched or self.ended or self.table.foreign:
            return
        loop = self.table.loop
        if self.watched:
            loop.unwatch(self.fd)
        self.watched = wanted
        loop.watch(self.fd, self.on_readable if wanted == READ else self.on_writable, wanted)

    def end(self, error: BaseException | None) -> None:
        """
        End the connection.

        Raises:
            BaseException: The *error*, where it is not for this request alone.
        """
        if self.ended:
            return
        with self.home.lock:
            self.ended = True
        self.home.rows.discard(self)
        if self.watched:
            self.table.loop.unwatch(self.fd)
        self.output = None
        try:
            self.conversation.disconnect()
        except BaseException as caught:  # noqa: BLE001 - reported, or raised again
            error = error or caught
        self.job.conclude(error)

    def _leave_child(self) -> None:
        """In a process that the handler has forked: the connection is the parent's, and goes on there."""
        if self.output is not None:
            self.sock.setblocking(True)
            self.sock.sendall(self.output)
        leave_child(self.failure)

    # Called by the handler, and by whoever has it, to send what nobody has asked for.

    def deliver(self, data: bytes) -> bool:
        """Send *data*, from any thread; whether it was taken."""
        if threading.get_ident() != self.table.thread:
            return self._mail(data)
        if self.ended or (self.output is not None and len(self.output) + len(data) > MOST_UNSENT):
            return False
        if not self._put(data):
            return False
        self._look()
        return True

    def _mail(self, data: bytes) -> bool:
        with self.home.lock:
            if self.ended or self.mailed + len(data) > MOST_UNSENT:
                return False
            self.mailed += len(data)
        self.table.loop.call_soon_threadsafe(lambda: self._arrive(data))
        return True

    def _arrive(self, data: bytes) -> None:
        with self.home.lock:
            self.mailed -= len(data)
        if not self.ended:
            self._put(data)
            self._go_on()
