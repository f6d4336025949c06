"""Running a handler of messages as any other: its thread reads, answers and writes until all is over."""

import functools
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, cast

import attrs

from .._table.current import current_row
from .._table.locks import Lock
from ..abc import Conversation, DatagramRequest, Reply
from ..abc._arrival import AnyArrival, current_job
from ..handlers import send_reply
from ._conversation import Carrier, Manner, MessageConversation
from ._handler import MessageHandler, message_class
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


class _Outlet:
    """
    The writing side of a connection, on which messages do not get in between each other.

    A lock is held while one is sent, for as long as the peer does not read.
    """

    __slots__ = ("_closed", "_lock", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._closed = False
        # Of two rows of a table, which share a thread, one may wait for the other's message to be sent.
        self._lock: AbstractContextManager[object] = threading.Lock() if current_row() is None else Lock()

    def send(self, data: bytes) -> None:
        """Send what the connection's own thread has to say."""
        with self._lock:
            self._sock.sendall(data)

    def deliver(self, data: bytes) -> bool:
        """Send from any thread; whether it was sent."""
        with self._lock:
            if self._closed:
                return False
            try:
                self._sock.sendall(data)
            except OSError:
                # Part of it may have been sent: nothing can follow. The connection's own thread sees the end.
                self._closed = True
                _shut(self._sock)
                return False
            return True

    def close(self) -> None:
        """Let nobody send any more: the descriptor is about to be closed, and its number another's."""
        with self._lock:
            self._closed = True


def _shut(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # the peer has done so


def drive(conversation: Conversation, sock: socket.socket) -> None:
    """
    Read, answer and write, in this thread, until the conversation is over.

    What is sent waits for the peer to read: one that does not is not read from.
    """
    outlet = _Outlet(sock)
    conversation.connect(outlet.deliver)
    try:
        while not conversation.over:
            data = sock.recv(CHUNK)
            output = conversation.receive(data) if data else conversation.eof()
            while True:
                if output:
                    outlet.send(output)
                if not conversation.pending:
                    break
                output = conversation.more()
    finally:
        try:
            conversation.disconnect()
        finally:
            outlet.close()
