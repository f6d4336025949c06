"""Talking to a handler without a server."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

from ..addresses import InetAddress
from ..errors import MessageError, ServerStateError
from ._conversation import MessageConversation
from ._handler import MessageHandler
from ._manner import Manner

__all__ = ("MessageClient",)


#: Of a network that is kept for examples (RFC 5737).
ADDRESS = InetAddress("192.0.2.1", 49152)

#: A class, or what makes its objects; of whatever address.
Handlers: TypeAlias = Callable[..., MessageHandler[Any]]  # type: ignore[explicit-any]


class MessageClient:
    r"""
    The peer of one handler, connected without a socket: for its tests.

    >>> from sockserve import Lines, MessageHandler
    >>> class Upper(MessageHandler):
    ...     framing = Lines()
    ...     def respond(self, message: bytes) -> bytes:
    ...         return message.upper()
    >>> client = Upper.test_client()
    >>> client.send(b"one\ntw")
    b'ONE\n'
    >>> client.send(b"o\n")
    b'TWO\n'

    What goes in and comes out is what would go over the connection, framed. What the handler raises is raised
    here, after it has been disconnected. For datagrams call `respond` itself: there is nothing more to it.

    Args:
        handler: A `MessageHandler` class, or a `functools.partial` of one. It is connected at once.
        client_address: What the handler takes for its peer.
        server: What it takes for its server.

    Raises:
        ServerStateError: The class has no framing.
    """

    def __init__(
        self,
        handler: Handlers,
        client_address: object = ADDRESS,
        server: object = None,
    ) -> None:
        self.handler: MessageHandler[Any] = handler(None, client_address, server)  # type: ignore[explicit-any]
        framing = self.handler.framing
        if framing is None:
            raise ServerStateError(f"{type(self.handler).__name__} has no framing: call its respond() instead")
        self._arrived: list[bytes] = []
        #: What the peer was found to do wrong; the connection has ended then.
        self.refused: MessageError | None = None
        self._conversation = MessageConversation(self.handler, Manner.of(framing), self)
        self._conversation.connect(self._deliver)

    @property
    def closed(self) -> bool:
        """Whether the server would have closed the connection."""
        return self._conversation.over and not self._conversation.pending

    def send(self, data: bytes) -> bytes:
        """Send *data*; return all that comes back, with what the handler has sent unasked since the last call."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """
        Send *data*, and take what comes back piece by piece: for replies that do not end.

        Who takes no more of them is a peer that does not read.

        Raises:
            ServerStateError: The connection has ended.
        """
        if self._conversation.over:
            raise ServerStateError("the connection has ended")
        try:
            self._arrived.append(self._conversation.receive(data))
            yield from self._rest()
        except (Exception, SystemExit):
            self.disconnect()
            raise

    def end(self) -> bytes:
        """End the input, as by shutting the sending side; return what still comes back. It is over then."""
        if not self._conversation.over:
            self._arrived.append(self._conversation.eof())
        return b"".join(self._rest())

    def received(self) -> bytes:
        """Return what the handler has sent unasked since the last call."""
        arrived, self._arrived = self._arrived, []
        return b"".join(arrived)

    def disconnect(self) -> None:
        """Go without a word. Again: no effect."""
        self._conversation.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go."""
        self.disconnect()

    # What the conversation calls.

    def report(self, error: MessageError, /) -> None:
        """Keep what is wrong in ``refused``."""
        self.refused = error

    def end_input(self) -> None:
        """There is no input that anybody waits for."""

    def ends_alone(self, error: BaseException, /) -> bool:
        """As beneath a server."""
        return isinstance(error, Exception | SystemExit)

    def _rest(self) -> Iterator[bytes]:
        conversation = self._conversation
        while True:
            yield self.received()
            if not conversation.pending:
                break
            self._arrived.append(conversation.more())
        if conversation.over:
            conversation.disconnect()

    def _deliver(self, data: bytes) -> bool:
        self._arrived.append(data)
        return True
