"""Between the bytes of a connection and its messages: framings, and conversations that somebody else drives."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

__all__ = ("BulkFraming", "Conversation", "Decoder", "Framing", "PartialDecoder", "Reply")

#: What a message is answered with: one message, several, or none.
Reply: TypeAlias = "bytes | Iterable[bytes] | None"


class Decoder(Protocol):
    """
    Turns what one peer sends into messages. It belongs to one connection.

    However the bytes were cut on the way, the messages are the same. After an error it is used no more.
    """

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """
        Return the messages that *data* completes. It is called again when these have been used up.

        A list is the fastest. The error may also come after some messages, while they are taken one by one.

        Raises:
            MessageError: What came is no message, or one beyond the limit: as soon as that can be known.
        """
        ...

    def eof(self) -> Iterable[bytes]:
        """
        Return the messages that only the end of the input completes: none, for most framings.

        Raises:
            MessageError: The input ends in the middle of a message (`IncompleteMessage`).
        """
        ...


@runtime_checkable
class PartialDecoder(Decoder, Protocol):
    """A decoder that tells whether it is between two messages: then a server that is to end need not wait."""

    @property
    def partial(self) -> bool:
        """Whether part of a message has come."""
        ...


@runtime_checkable
class Framing(Protocol):
    """How messages lie in a stream of bytes: a frozen value, without a state of any connection."""

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        ...

    def encode(self, message: bytes, /) -> bytes:
        """Return *message* as it is sent. Any thread."""
        ...


@runtime_checkable
class BulkFraming(Framing, Protocol):
    """A framing that can do more at once: what goes out together is then encoded by one call."""

    def encode_all(self, messages: Sequence[bytes], /) -> bytes:
        """Return *messages*, of which there is at least one, as they are sent, one after the other."""
        ...


class Conversation(Protocol):
    """
    A `MessageHandler` on one connection, without the connection: whoever drives it reads and writes.

    Made by `Job.conversation`. One thread at a time calls it, but for `send`; the first call is `connect`, the
    last `disconnect`, then `Job.conclude`::

        conversation.connect(deliver)
        try:
            while not conversation.over:
                data = receive_some()
                output = conversation.receive(data) if data else conversation.eof()
                send(output)                      # all of it: who does not read is not read from
                while conversation.pending:
                    send(conversation.more())
        finally:
            conversation.disconnect()

    What a call raises is the handler's error (or its framing's) and ends the connection; what was to be sent
    before it has been returned by then. What the peer does wrong is no error here: it is reported, and the
    conversation is over.

    Who has no time for more calls than one a message may look at the parts: see ``decoder`` and ``encode``.
    """

    @property
    def handler(self) -> object:
        """The `MessageHandler`."""
        ...

    @property
    def decoder(self) -> Decoder | None:
        """
        What takes messages apart; None where each piece that was read is a message.

        There ``reply(respond(data))`` does what ``receive(data)`` does, and what ``respond`` gave can be sent as
        it is if it is `bytes` and ``encode`` is None. `over` may be true after that.
        """
        ...

    @property
    def encode(self) -> Callable[[bytes], bytes] | None:
        """What makes a reply ready to be sent; None where it is sent as it is."""
        ...

    @property
    def pending(self) -> bool:
        """Whether `more` is to be called when what was returned has been sent, and before `receive`."""
        ...

    @property
    def over(self) -> bool:
        """Whether the connection is to end, once everything has been sent and nothing is `pending`."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether no further message is to be answered, although some have come: `close` was called."""
        ...

    def respond(self, message: bytes, /) -> Reply:
        """Call the handler's method: it may be that itself."""
        ...

    def connect(self, deliver: Callable[[bytes], bool], /) -> None:
        """
        Begin: let the handler know. It may send already.

        Args:
            deliver: Called with what `send` has to send, ready framed, in the thread that sends, any of them: it
                says whether it took it, and raises nothing. In the thread of this call it must come before what
                the conversation returns from then on; elsewhere only whole.
        """
        ...

    def receive(self, data: bytes, /) -> bytes:
        """Take in what the peer has sent; return what it is to be sent: ``b""`` for nothing."""
        ...

    def eof(self) -> bytes:
        """Take in the end of the peer's input; return as `receive` does. The conversation is then over."""
        ...

    def more(self) -> bytes:
        """
        Return the next piece of what is to be sent, perhaps ``b""``.

        One message of a lazy iterable, or what was answered to some more of the messages that came together.
        """
        ...

    def decode(self, data: bytes, /) -> Iterator[bytes]:
        """
        Give the messages that *data* completes, without answering them: for who runs ``respond`` elsewhere.

        Each is to be answered by `reply`, in order, before the next piece is decoded. Where the framing finds an
        error it is reported, the messages end, and the conversation is over.
        """
        ...

    def decode_end(self) -> Iterator[bytes]:
        """Give the messages that the end of the input completes, as `decode` does. It is then over."""
        ...

    def reply(self, reply: Reply, /) -> bytes:
        """
        Return what is to be sent for what ``respond`` gave. `pending` says whether there is more.

        Raises:
            TypeError: It is neither bytes, nor an iterable of them, nor None.
        """
        ...

    def send(self, message: bytes, /) -> bool:
        """
        Send a message that nobody asked for, by ``deliver``. Any thread.

        Returns:
            Whether it was taken. Not so before `connect` and after `disconnect`.
        """
        ...

    def close(self) -> None:
        """Answer no further message, and be over when the reply at hand is sent. Any thread."""
        ...

    def disconnect(self) -> None:
        """End: close a reply that is not used up, and let the handler know. Again: no effect."""
        ...
