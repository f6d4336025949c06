"""A handler on one connection, without the connection: bytes in, bytes out."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from .._table.current import current_row
from ..abc import Reply
from ..errors import MessageError
from ._handler import MessageHandler
from ._manner import Manner
from ._replies import as_message, as_messages, is_lazy

if TYPE_CHECKING:
    from .._table.rows import Row

__all__ = ("Carrier", "MessageConversation")

#: Bytes of replies that are gathered before they are returned to be sent: as much as is read at a time.
GATHERED = 64 * 1024


class Respond(Protocol):
    """A method `MessageHandler.respond`. As a plain callable type pyright takes it for unbound."""

    def __call__(self, message: bytes, /) -> Reply: ...


class Carrier(Protocol):
    """What a conversation wants of the connection that it belongs to: of its job, in a server."""

    def report(self, error: MessageError, /) -> None:
        """Let the observer know what the peer did wrong. Never raises."""
        ...

    def end_input(self) -> None:
        """Let who waits for input see its end. Any thread; never raises."""
        ...

    def ends_alone(self, error: BaseException, /) -> bool:
        """Whether what the handler has raised ends this connection alone: then it can wait a little."""
        ...


class MessageConversation:
    """
    Implements `sockserve.abc.Conversation`.

    Args:
        handler: Answers.
        manner: How its framing goes.
        carrier: The connection.
    """

    __slots__ = (
        "_carrier",
        "_cut",
        "_deliver",
        "_encode_all",
        "_error",
        "_gathered",
        "_lazy",
        "_messages",
        "_replies",
        "_row",
        "_thread",
        "decoder",
        "encode",
        "handler",
        "over",
        "pending",
        "respond",
        "stopped",
    )

    def __init__(self, handler: MessageHandler[object], manner: Manner, carrier: Carrier) -> None:
        self.handler = handler
        self.respond: Respond = handler.respond
        self.decoder = None if manner.decoder is None else manner.decoder()
        self.encode = manner.encode
        self.pending = False
        self.over = False
        self._encode_all = manner.encode_all
        self._carrier = carrier
        self._deliver: Callable[[bytes], bool] | None = None
        #: The messages that are not answered yet, and the replies to the last that are not sent yet.
        self._messages: Iterator[bytes] | None = None
        self._replies: Iterator[object] | None = None
        #: Whether making the next reply may take its time.
        self._lazy = False
        #: What is to be sent when this call returns: only while it runs, in this thread.
        self._gathered: list[bytes] | None = None
        self._thread = 0
        self._row: Row | None = None
        #: Raised when what came before it has been sent.
        self._error: Exception | SystemExit | None = None
        #: Whether no further message is to be answered; and the reply at hand is not to go on either.
        self.stopped = False
        self._cut = False

    # What a driver calls.

    def connect(self, deliver: Callable[[bytes], bool], /) -> None:
        """See `Conversation.connect`."""
        self._deliver = deliver
        self._thread, self._row = threading.get_ident(), current_row()
        self.handler._conversation = self
        try:
            self.handler.connected()
        except BaseException:
            self._detach()
            raise

    def receive(self, data: bytes, /) -> bytes:
        """See `Conversation.receive`."""
        if self.pending:
            raise RuntimeError("receive() before more() has returned everything")
        if self.decoder is None:
            return self.reply(self.respond(data))
        self._messages = self.decode(data)
        return self._go_on()

    def eof(self) -> bytes:
        """See `Conversation.eof`."""
        if self.pending:
            raise RuntimeError("eof() before more() has returned everything")
        self._messages = self.decode_end()
        return self._go_on()

    def more(self) -> bytes:
        """See `Conversation.more`."""
        if self._error is not None:
            error, self._error = self._error, None
            self.pending = False
            raise error
        return self._go_on()

    def reply(self, reply: Reply, /) -> bytes:
        """See `Conversation.reply`."""
        if type(reply) is bytes:
            return reply if self.encode is None else self.encode(reply)
        if reply is None:
            return b""
        self._begin(reply)
        return self._go_on()

    def decode(self, data: bytes, /) -> Iterator[bytes]:
        """See `Conversation.decode`."""
        if self.decoder is None:
            return iter((data,))
        try:
            messages = self.decoder.feed(data)
        except MessageError as error:
            return self._refuse(error)
        return iter(messages) if type(messages) is list else self._guarded(messages)

    def decode_end(self) -> Iterator[bytes]:
        """See `Conversation.decode_end`."""
        self.over = True
        if self.decoder is None:
            return iter(())
        try:
            messages = self.decoder.eof()
        except MessageError as error:
            return self._refuse(error)
        return self._guarded(messages)

    def disconnect(self) -> None:
        """See `Conversation.disconnect`."""
        if self._deliver is None:
            return
        replies = self._detach()
        try:
            close = getattr(replies, "close", None)
            if close is not None:
                close()
        finally:
            self.handler.disconnected()

    # What a handler calls.

    def send(self, message: bytes, /) -> bool:
        """See `Conversation.send`."""
        message = as_message(self.handler, message, "send() got")
        data = message if self.encode is None else self.encode(message)
        deliver = self._deliver
        if deliver is None:
            return False
        gathered = self._gathered
        if gathered and threading.get_ident() == self._thread:
            if not deliver(self._encode_all(gathered) + data):  # what was answered before comes before
                return False
            gathered.clear()
            return True
        return deliver(data)

    def close(self) -> None:
        """Answer no further message, and be over. Any thread: another one does not wait for an endless reply."""
        self.stopped = self.over = True
        own = threading.get_ident() == self._thread and current_row() is self._row
        # Where pieces are messages nothing is gathered: without a reply at hand it may be `respond` that calls.
        if not own or (self._gathered is None and self._replies is not None):
            self._cut = True
        if not own or self._gathered is None:
            self._carrier.end_input()

    # Going on.

    def _go_on(self) -> bytes:
        gathered: list[bytes] = []
        self._gathered = gathered
        try:
            self.pending = self._gather(gathered)
        except (Exception, SystemExit) as error:
            self.pending = bool(gathered) and self._carrier.ends_alone(error)
            if not self.pending:
                raise
            self._error = error
        finally:
            self._gathered = None
        return self._encode_all(gathered) if gathered else b""

    def _gather(self, gathered: list[bytes]) -> bool:
        """Answer messages until there is enough to be sent; whether there may be more."""
        size = 0
        respond = self.respond
        while True:
            if self._replies is not None:
                size = self._take_replies(self._replies, gathered, size)
                if self._replies is not None:
                    return not (self._lazy and self._cut)
            if self._messages is None:
                return False
            for message in self._messages:
                if self.stopped:
                    self._messages = None
                    return False
                reply = respond(message)
                if type(reply) is bytes:
                    gathered.append(reply)
                    size += len(reply)
                    if size >= GATHERED:
                        return True
                elif reply is not None:
                    self._begin(reply)
                    break
            else:
                self._messages = None
                return False

    def _take_replies(self, replies: Iterator[object], gathered: list[bytes], size: int) -> int:
        """Go on with the reply at hand, which is None when that was all; return the size of what is gathered."""
        if self._lazy and (gathered or self._cut):
            return size
        for item in replies:
            gathered.append(message := as_message(self.handler, item, "respond() gave, among others,"))
            size += len(message)
            if self._lazy or size >= GATHERED:
                return size
        self._replies = None
        return size

    def _begin(self, reply: Reply) -> None:
        self._replies = as_messages(self.handler, reply)
        self._lazy = is_lazy(reply)

    def _guarded(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Give messages whose decoder may find an error among them."""
        try:
            yield from messages
        except MessageError as error:
            self._refuse(error)

    def _refuse(self, error: MessageError) -> Iterator[bytes]:
        self.over = True
        self._carrier.report(error)
        return iter(())

    def _detach(self) -> Iterator[object] | None:
        """Let go of everything; return what is left of a reply."""
        self.over = True
        self.pending = False
        self._deliver = None
        self.handler._conversation = None
        replies, self._replies = self._replies, None
        self._messages = None
        return replies
