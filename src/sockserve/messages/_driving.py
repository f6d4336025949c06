"""Running a handler of messages as any other: its thread reads, answers and writes until all is over."""

import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import attrs

from .._table.current import current_row
from ..abc import Conversation, DatagramRequest, Reply
from ..abc._arrival import AnyArrival, current_job
from ..handlers import send_reply
from ._conversation import Carrier, MessageConversation
from ._handler import MessageHandler, message_class
from ._manner import Manner
from ._outlet import Outlet, ThreadOutlet
from ._replies import as_message, as_messages

__all__ = ("CHUNK", "Messages", "answer_request", "drive")

#: Bytes that are asked for at a time. What came is answered before there is more.
CHUNK = 64 * 1024

#: A class, or what makes its objects; of whatever request and address.
Maker: TypeAlias = Callable[..., MessageHandler[Any]]  # type: ignore[explicit-any]


@attrs.frozen
class Messages:
    """
    The handler of a server, where it is one of messages.

    Args:
        make: The class, or a `functools.partial` of it.
        manner: How its framing goes; None where it has none.
    """

    make: Maker
    manner: Manner | None

    @classmethod
    def of(cls, handler: object) -> "Messages | None":
        """Look at a handler; None: it is another kind."""
        kind = message_class(handler)
        if kind is None:
            return None
        return cls(cast("Maker", handler), None if kind.framing is None else Manner.of(kind.framing))

    def converse(self, job: AnyArrival) -> Conversation:
        """Make the conversation of a connection."""
        assert self.manner is not None  # as below
        return MessageConversation(
            self.make(job.request, job.client_address, job.serving.server), self.manner, job
        )

    def answer(self, request: socket.socket | DatagramRequest, client_address: object, server: object) -> None:
        """Answer a request, all of it, as handlers of other kinds do while they are made."""
        job = current_job.get()
        assert job is not None
        answer_request(self.make(request, client_address, server), self.manner, job, job.respond)


def answer_request(
    handler: MessageHandler[object],
    manner: Manner | None,
    carrier: Carrier,
    respond: Callable[[object, bytes], Reply] | None = None,
) -> None:
    """Answer the request that *handler* was made for, all of it; by *respond*, if it is not its own method."""
    request = handler.request
    answer = handler.respond if respond is None else functools.partial(respond, handler)
    if isinstance(request, tuple):
        _answer_datagram(handler, answer, *request)
        return
    assert manner is not None  # else it is not composed with connections
    conversation = MessageConversation(handler, manner, carrier)
    conversation.respond = answer
    drive(conversation, request)


def _answer_datagram(
    handler: MessageHandler[object], respond: Callable[[bytes], Reply], packet: bytes, sock: socket.socket
) -> None:
    reply = respond(packet)
    if type(reply) is bytes:
        send_reply(sock, reply, handler.client_address)
    elif reply is not None:
        for item in as_messages(handler, reply):
            send_reply(sock, as_message(handler, item, "respond() gave, among others,"), handler.client_address)


def _outlet(sock: socket.socket) -> Outlet:
    if current_row() is None:
        return ThreadOutlet(sock)
    from ._row_outlet import RowOutlet  # noqa: PLC0415 - as the table that the row is in, which not all load

    return RowOutlet(sock)


def drive(conversation: Conversation, sock: socket.socket) -> None:
    """
    Read, answer and write, in this thread or row, until the conversation is over.

    What is sent waits for the peer to read: one that does not is not read from.
    """
    outlet = _outlet(sock)
    try:
        try:
            _converse(conversation, sock, outlet)
        except BaseException:
            with contextlib.suppress(OSError):  # what has happened before is what is reported
                outlet.finish()
            raise
        outlet.finish()
    finally:
        try:
            conversation.disconnect()
        finally:
            outlet.close()


def _converse(conversation: Conversation, sock: socket.socket, outlet: Outlet) -> None:
    conversation.connect(outlet.deliver)
    while not conversation.over:
        data = sock.recv(CHUNK)
        output = conversation.receive(data) if data else conversation.eof()
        while True:
            if output:
                outlet.send(output)
            if not conversation.pending:
                break
            output = conversation.more()
