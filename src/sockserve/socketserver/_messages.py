"""Handlers of messages under these servers, whose methods answer a request where the composed ones have a job."""

import os
import socket

import attrs

from ..abc._arrival import ends_alone
from ..errors import IncompleteMessage, MessageError
from ..events import MessageDropped, MessageRefused
from ..messages import MessageHandler
from ..messages._checks import check_messages
from ..messages._driving import answer_request
from ..messages._manner import Manner
from ..observers import log_events

__all__ = ("answer_messages",)


def answer_messages(made: object) -> None:
    """
    Let *made* answer its request, if it is a `MessageHandler`: making one has only stored it.

    Raises:
        CompositionError: The handler lacks what it needs.
    """
    if not isinstance(made, MessageHandler):
        return
    stream = isinstance(made.request, socket.socket)
    check_messages(type(made), type(made.server).__name__, stream=stream)
    manner = None if made.framing is None else Manner.of(made.framing)
    answer_request(made, manner, _Connection(made))


@attrs.frozen
class _Connection:
    """Implements what a conversation wants of its connection; these servers have no observer but the log."""

    handler: MessageHandler[object]
    pid: int = attrs.field(factory=os.getpid)

    def report(self, error: MessageError, /) -> None:
        server, client = getattr(self.handler.server, "server_address", None), self.handler.client_address
        if isinstance(error, IncompleteMessage):
            log_events(MessageDropped(server_address=server, client_address=client, size=error.size))
        else:
            log_events(MessageRefused(server_address=server, client_address=client, error=error))

    def end_input(self) -> None:
        if isinstance(self.handler.request, socket.socket):
            try:
                self.handler.request.shutdown(socket.SHUT_RD)
            except OSError:
                pass  # it has ended meanwhile

    def ends_alone(self, error: BaseException, /) -> bool:
        return ends_alone(error, self.pid)
