"""Rows without a stack whose messages an executor answers."""

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .._table.conversations import Conversations
from .._table.driven import MUCH, DrivenRow
from .._typing import override
from ..abc import READ, WRITE, Conversation, Job
from ..stats import RowInfo
from .desk import Desk, answer_of
from .parcels import Answer

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ("TaskRow",)

_recv = socket.socket.recv


class TaskRow(DrivenRow):
    """
    A connection whose messages are answered elsewhere, one at a time.

    It is not watched while a task runs, nor while it waits for a place at the desk: what the peer sends meanwhile
    stays in the kernel, whose window then closes.

    Args:
        desk: Takes its messages.
    """

    __slots__ = ("_desk", "_error", "_message", "_messages", "_placed", "_task", "_waits")

    def __init__(
        self, desk: Desk, home: Conversations, job: Job, sock: socket.socket, conversation: Conversation
    ) -> None:
        super().__init__(home, job, sock, conversation)
        self._desk = desk
        #: What was read and is not answered yet: the next message, and those behind it.
        self._message: bytes | None = None
        self._messages: Iterator[bytes] | None = None
        #: Whether it has a place that no task uses yet, or waits for one.
        self._placed = False
        self._waits = False
        self._task: Future[Answer] | None = None
        #: What ends it when all of the reply at hand was sent.
        self._error: BaseException | None = None

    @override
    def info(self) -> RowInfo:
        """See `DrivenRow.info`; while a task runs, or there is no place for one, that is what it waits for."""
        if self._task is None and not self._waits:
            return super().info()
        waiting_for = "task" if self._task is not None else "turn"
        return RowInfo(
            client_address=self.job.client_address, state="WAITING", waiting_for=waiting_for, since=self.since
        )

    @override
    def wanted(self) -> int:
        """See `DrivenRow.wanted`: nothing while a task runs."""
        if self.output is not None or self.conversation.pending:
            return WRITE
        return 0 if self._task is not None or self._waits else READ

    # Called by the loop, and by the desk.

    @override
    def on_readable(self, _mask: int) -> None:
        """Take what has come, once it can be handed over."""
        if self._take_place():
            self._timed(self._read)
        else:
            self.look()

    def _on_turn(self) -> None:
        """Use a place that has become free."""
        self._waits, self._placed = False, True
        self._timed(self._read if self._message is None else self.advance)

    def _on_done(self, task: "Future[Answer]") -> None:
        """Send what a task has given."""
        if self._task is task:  # else the connection has ended meanwhile
            self._task = None
            self._timed(lambda: self._answer(task))

    def _timed(self, call: Callable[[], object]) -> None:
        clock = self.table.clock
        began = clock()
        call()
        self.since = now = clock()
        if now - began > self.table.slow:
            self.home.on_slow(self.job, now - began)

    # What it does.

    def _take_place(self) -> bool:
        if not self._placed and not self._waits:
            self._placed = self._desk.take(self._on_turn)
            self._waits = not self._placed
        return self._placed

    def _give_back_place(self) -> None:
        if self._placed:
            self._placed = False
            self._desk.give_back()

    def _read(self) -> None:
        try:
            data = _recv(self.sock, self.size)
        except BlockingIOError:
            data = None
        except OSError as error:
            self.end(error)
            return
        if data is not None:
            if len(data) == self.size:
                self.size = MUCH
            try:
                conversation = self.conversation
                self._messages = conversation.decode(data) if data else conversation.decode_end()
            except BaseException as error:  # noqa: BLE001 - reported, or raised again
                self.failure = error
        self.advance()

    def _answer(self, task: "Future[Answer]") -> None:
        try:
            answer = answer_of(task)
            if answer.messages:
                self.put(self.conversation.reply(answer.messages))
            if answer.closes:
                self.conversation.close()
            if answer.failure is not None:
                self._error = answer.failure.error
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.failure = error
        self.advance()

    @override
    def advance(self) -> None:
        """Send what is still to come of a reply; then hand over the next message, read again, or end."""
        if self.table.foreign:
            self.leave_child()
        try:
            self.put_rest()
            if self.output is None and not self.conversation.pending:
                self.failure = self.failure or self._error
                if self.failure is None and self._task is None:
                    self._hand_over()
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.failure = error
        if self.failure is not None or self._finished():
            self.finish()
        else:
            self.look()

    def _finished(self) -> bool:
        conversation = self.conversation
        return conversation.over and not conversation.pending and self._task is None and self._message is None

    def _hand_over(self) -> None:
        """Give the next message to the executor, once there is a place."""
        if self.conversation.stopped:
            self._message = self._messages = None
        elif self._message is None and self._messages is not None:
            self._message = next(self._messages, None)
        if self._message is None:
            self._messages = None
            self._give_back_place()
        elif self._take_place():
            message, self._message = self._message, None
            self._placed = False
            self._task = self._desk.submit(self.job.client_address, message, self._on_done)

    @override
    def end(self, error: BaseException | None) -> None:
        """See `DrivenRow.end`; a task of it is cancelled, a place given back."""
        if not self.ended:
            if self._waits:
                self._waits = False
                self._desk.withdraw(self._on_turn)
            self._give_back_place()
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
        super().end(error)
