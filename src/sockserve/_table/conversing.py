"""Rows without a stack whose handler answers where it is asked: in the thread that serves."""

import socket
from collections.abc import Callable

from .._typing import override
from ..abc import Conversation, Job, Reply
from .conversations import Conversations
from .driven import MUCH, DrivenRow

__all__ = ("ConversationRow",)

_recv = socket.socket.recv


class ConversationRow(DrivenRow):
    """
    A connection whose messages are answered as they are read.

    A read that leaves something is followed by another one in the row's next turn, after everybody else's.
    """

    __slots__ = ("answer",)

    def __init__(self, home: Conversations, job: Job, sock: socket.socket, conversation: Conversation) -> None:
        super().__init__(home, job, sock, conversation)
        #: Gives what is to be sent for what has come: where pieces are messages, the handler itself does.
        plainly = conversation.decoder is None and conversation.encode is None
        self.answer: Callable[[bytes], Reply] = conversation.respond if plainly else conversation.receive

    @override
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
            self.failure = error  # after what came before it
            self.advance()
        else:
            if (
                (output and not self.put(output))
                or conversation.pending
                or conversation.over
                or self.output is not None
                or self.table.foreign
            ):
                self.advance()
        if len(data) == self.size:
            self.size = MUCH
        self.since = now = clock()
        if now - began > self.table.slow:
            self.home.on_slow(self.job, now - began)

    @override
    def advance(self) -> None:
        """Send what is still to come of a reply; then read again, or end."""
        if self.table.foreign:
            self.leave_child()
        conversation = self.conversation
        try:
            self.put_rest()
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            self.failure = error
        if self.failure is not None or (conversation.over and not conversation.pending):
            self.finish()
        else:
            self.look()
