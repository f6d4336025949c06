"""Connections secured by TLS, over another transport's."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

import attrs

from .._typing import override
from ..abc import Arrival, Listener, Transport
from ..abc._arrival import Serving
from ..errors import CompositionError, OptionError, OptionTypeError
from ._stream import StreamArrival

if TYPE_CHECKING:
    import ssl

__all__ = ("TlsTransport",)

A = TypeVar("A")
T = TypeVar("T")

#: What secures a connection, or what says by what the next one is to be secured.
Context: TypeAlias = "ssl.SSLContext | Callable[[], ssl.SSLContext]"


class TlsArrival(StreamArrival[A]):
    """
    A connection whose handshake is still to come: it belongs to whoever runs the request.

    Args:
        inner: What the transport below has accepted.
        context: By what it will be secured.
    """

    __slots__ = ("_context", "_inner")

    def __init__(self, inner: Arrival[socket.socket, A], context: "Callable[[], ssl.SSLContext]") -> None:
        super().__init__(inner.request, inner.client_address)
        self._inner = inner
        self._context = context

    @override
    def admit(self, serving: Serving, number: int) -> None:
        super().admit(serving, number)
        self._inner.admit(serving, number)

    @override
    def open(self) -> "ssl.SSLSocket":
        """Shake hands, after what the transport below has to say."""
        self._inner.replace(self.request)
        self.request = self._inner.open()
        self.client_address = self._inner.client_address
        return self.start_tls(self._context())

    @override
    def conversation(self) -> None:
        """None: what is read from the connection itself is not what the peer says."""
        return


@attrs.define(eq=False)
class TlsListener(Generic[A]):
    """The listener of the transport below, with arrivals that shake hands before they are served."""

    inner: Listener[socket.socket, A]
    context: "Callable[[], ssl.SSLContext]"

    @property
    def address(self) -> A:
        """Where it listens."""
        return self.inner.address

    @property
    def stream(self) -> bool:
        """Yes: arrivals are connections."""
        return True

    def fileno(self) -> int:
        """Return the listening socket's descriptor."""
        return self.inner.fileno()

    def accept(self) -> "Arrival[ssl.SSLSocket, A]":
        """Accept one connection. Not a byte of it is read here."""
        # Its request is a plain socket until `open` has shaken hands.
        return cast("Arrival[ssl.SSLSocket, A]", TlsArrival(self.inner.accept(), self.context))

    def close(self) -> None:
        """Close the endpoint."""
        self.inner.close()

    def close_copy(self) -> None:
        """Close a forked child's copy of the descriptor."""
        self.inner.close_copy()


def _check_inner(_owner: object, _attribute: "attrs.Attribute[T]", inner: T) -> None:
    if isinstance(inner, type) or not callable(getattr(inner, "listen", None)):
        raise OptionTypeError(f"TlsTransport: inner must be a transport such as TcpTransport(...), not {inner!r}")
    if isinstance(inner, TlsTransport):
        raise CompositionError("TlsTransport: inner is secured by TLS already; once is what ssl.SSLSocket can do")
    if not getattr(inner, "stream", False):
        raise CompositionError(
            f"TlsTransport: {type(inner).__name__} brings datagrams, and TLS needs connections; use TcpTransport, "
            "UnixStreamTransport, or AdoptedTransport of a listening socket"
        )


def _check_context(owner: object, _attribute: "attrs.Attribute[T]", context: T) -> None:
    if callable(context):
        return  # asked when the server listens
    from .._securing import can_serve, check_context  # noqa: PLC0415 - loads ssl, which only who has a context has

    if not can_serve(check_context(owner, context)):
        raise OptionError(
            f"{type(owner).__name__}: context has no certificate, or none for the ciphers that it allows; call "
            "its load_cert_chain() first. If it can do without (pre-shared keys), give a function that returns it"
        )


@attrs.frozen
class TlsTransport(Generic[A]):
    """
    Secure the connections of another transport by TLS. Handlers get an `ssl.SSLSocket` whose handshake is done.

    The handshake happens where the request runs, within ``deadlines.handshake`` of the server: never in the accept
    loop, so that a client which does not finish it holds up its own request, and nobody else's. One that fails is
    an event (`TlsFailed`). ``verify`` sees a connection before its handshake, as a plain socket.

    At the request's end a close_notify is sent; that of the client is not waited for. A client that closes without
    one is the end of the stream and no error: a protocol that has to know whether it got all says so itself.

    Args:
        inner: A transport of connections: `TcpTransport`, `UnixStreamTransport`, or `AdoptedTransport` of a
            listening socket.
        context: What the server's side needs: certificate, ALPN, SNI, whether clients need a certificate. Or a
            function that returns it, called for each connection where that runs: the way to exchange certificates
            while serving. Connections keep what they have begun with. ``OP_IGNORE_UNEXPECTED_EOF`` is set on it.

    Raises:
        OptionTypeError: One of both is something else.
        OptionError: The context is one for clients, or has no certificate.
        CompositionError: The transport brings datagrams, or is secured already.

    Resource handling:
        Opens nothing before `listen`, whose listener the server closes.
    """

    inner: Transport[socket.socket, A] = attrs.field(validator=_check_inner)
    context: "Context" = attrs.field(validator=_check_context)

    @property
    def stream(self) -> bool:
        """Yes: requests are connections."""
        return True

    def listen(self) -> "Listener[ssl.SSLSocket, A]":
        """
        Listen as the transport below does.

        Raises:
            ListenError: The system refused.
            OptionError: The function for the context gave one that cannot serve.
        """
        self._current()
        return TlsListener(self.inner.listen(), self._current)

    def _current(self) -> "ssl.SSLContext":
        """Give the context for a new connection."""
        from .._securing import check_context  # noqa: PLC0415 - loads ssl, which only who has a context has

        return check_context(self, self.context() if callable(self.context) else self.context)
