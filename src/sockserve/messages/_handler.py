"""The class to derive from."""

import socket
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias

from .._typing import TypeVar
from ..abc import DatagramRequest, Framing, Reply
from ..addresses import Address
from ..handlers import handler_name, send_reply, unwrap
from ._replies import as_message

if TYPE_CHECKING:
    from ..server import Server
    from ._client import MessageClient

__all__ = ("MessageHandler", "message_class")

AddressT = TypeVar("AddressT", default=Address)

#: A server of whatever requests, since such a handler serves connections and datagrams alike.
_Server: TypeAlias = "Server[Any, AddressT]"  # type: ignore[explicit-any]


class Voice(Protocol):
    """What carries what a handler says unasked."""

    def send(self, message: bytes, /) -> bool:
        """See `MessageHandler.send`."""
        ...

    def close(self) -> None:
        """See `MessageHandler.close`."""
        ...


class MessageHandler(Generic[AddressT]):
    """
    Answer messages: the same class for connections and for datagrams, under every strategy.

    On a connection, ``framing`` says what a message is; one handler serves one connection for its life, message by
    message. On datagrams each datagram is a message, framing applies neither way, and each has a handler of its
    own.

    Making one does nothing but store the arguments: the server calls it then. A subclass with an ``__init__`` of
    its own calls this one. Under `ExecutorStrategy` one is made for each message besides, in a worker, and answers
    that: there ``request`` and ``server`` are None.

    Args:
        request: The connected socket, or for datagrams the pair (bytes, socket to answer through). The server
            reads and writes it.
        client_address: Whom it came from.
        server: The server that accepted it.

    Attributes:
        framing: How messages lie in the stream of a connection: `Lines`, `Delimited`, `LengthPrefixed`, `Chunks`,
            or one of your own. None, the default, is for handlers of datagrams only.

    Error handling:
        What `respond`, `connected` or `disconnected` raise ends this connection (for a datagram: its answer)
        alone, and is the event `HandlerFailed`. A peer that breaks the framing, with a message beyond its limit
        for instance, is cut off: `MessageRefused`.
    """

    __slots__ = ("__weakref__", "_conversation", "client_address", "request", "server")

    framing: ClassVar[Framing | None] = None

    def __init__(
        self, request: socket.socket | DatagramRequest, client_address: AddressT, server: "_Server[AddressT]"
    ) -> None:
        self.request: socket.socket | DatagramRequest = request
        self.client_address: AddressT = client_address
        self.server: _Server[AddressT] = server
        self._conversation: Voice | None = None

    def respond(self, message: bytes) -> Reply:
        """
        Answer *message*.

        Returns:
            `bytes`: one message. An iterable of `bytes`: several; a list or tuple is sent as fast as it goes, of
            anything else, such as a generator, one is taken when the one before has been sent: an endless one
            does not fill the memory, and is closed when the peer goes. None: nothing.

        One message of a connection is answered at a time, in order. What answers messages that came together may
        be sent together, when the last has been answered; a generator's messages never wait for later ones.
        """
        raise NotImplementedError(f"{handler_name(type(self))} has no respond()")

    def connected(self) -> None:
        """Begin a connection, before its first message. May `send`. Not called for datagrams."""

    def disconnected(self) -> None:
        """
        End a connection, for whatever reason, if `connected` has returned. Nothing can be sent any more.

        Not called for datagrams.
        """

    def send(self, data: bytes) -> bool:
        """
        Send the message *data*, which nobody asked for: from any thread, whole, between other messages.

        Called while `respond` runs, by the same thread, it comes before the reply. Where a connection has a thread
        of its own, it waits until the system has taken the message. Under `SelectorStrategy` and
        `ExecutorStrategy` it does not wait: what the peer does not read is kept, up to 1 MiB, or one message that
        is longer. What an executor's worker sends goes with its reply.

        Returns:
            Whether it was taken. If not, the peer has gone, or reads more slowly than it is sent to. What a peer
            that has gone was still to be sent is lost: `disconnected` is called then, or was.

        Raises:
            TypeError: *data* is not bytes.
        """
        if self._conversation is not None:
            return self._conversation.send(data)
        if not isinstance(self.request, tuple):
            return False
        try:
            send_reply(self.request[1], as_message(self, data, "send() got"), self.client_address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """
        End this connection, from any thread, when the reply to the message at hand has been sent.

        Called from elsewhere than `respond` and its generator, it ends a generator too: after the message at hand.
        Messages that came behind are not answered. No effect on datagrams.
        """
        if self._conversation is not None:
            self._conversation.close()

    @classmethod
    def test_client(cls) -> "MessageClient":
        """
        Connect to a new handler of this class without a server, to try it.

        A class whose ``__init__`` wants more takes it by `functools.partial`: ``MessageClient(partial(...))``.
        """
        from ._client import MessageClient  # noqa: PLC0415 - each needs the other

        return MessageClient(cls)


def message_class(handler: object) -> type[MessageHandler] | None:
    """Return the `MessageHandler` class that *handler* is, or is a `functools.partial` of; None: it is none."""
    target = unwrap(handler)
    return target if isinstance(target, type) and issubclass(target, MessageHandler) else None
