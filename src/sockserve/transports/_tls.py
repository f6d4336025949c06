"""Connections secured by TLS, over another transport's."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import attrs

from ..abc import Listener, Patience, Transport
from ..abc._arrival import AnyArrival
from ..errors import CompositionError, OptionError
from ._wrapping import WrappingListener, check_wrapped, shared

if TYPE_CHECKING:
    import ssl

__all__ = ("TlsTransport",)

A = TypeVar("A")
T = TypeVar("T")

#: What secures a connection, or what says by what the next one is to be secured.
Context: TypeAlias = "ssl.SSLContext | Callable[[], ssl.SSLContext]"


@attrs.frozen
class TlsOpening:
    """
    Shakes hands, where the request runs.

    Args:
        context: By what the connection is secured.
    """

    context: "Callable[[], ssl.SSLContext]"

    @property
    def names_client(self) -> bool:
        """No: it is whom the connection comes from."""
        return False

    def perform(self, arrival: AnyArrival, patience: Patience, /) -> None:
        """Shake hands, and serve the result."""
        arrival.start_tls(self.context(), patience)


def _check_inner(owner: object, _attribute: "attrs.Attribute[T]", inner: T) -> None:
    if isinstance(inner, TlsTransport):
        raise CompositionError("TlsTransport: inner is secured by TLS already; once is what ssl.SSLSocket can do")
    check_wrapped(owner, inner, "TLS")


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
        inner: A transport of connections: `TcpTransport`, `UnixStreamTransport`, `AdoptedTransport` of a
            listening socket, or `ProxyProtocolTransport` of one of those.
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

    def sharing(self, address: object = None, /) -> "TlsTransport[A]":
        """
        See `sockserve.abc.SharingTransport`: as the transport below does.

        Raises:
            CompositionError: It does not.
        """
        return attrs.evolve(self, inner=shared(self, self.inner, address))

    def listen(self) -> "Listener[ssl.SSLSocket, A]":
        """
        Listen as the transport below does.

        Raises:
            ListenError: The system refused.
            OptionError: The function for the context gave one that cannot serve.
        """
        context = self._current()
        openings = (TlsOpening(self._current if callable(self.context) else lambda: context),)
        return WrappingListener(self.inner.listen(), lambda _arrival: openings)

    def _current(self) -> "ssl.SSLContext":
        """Give the context for a new connection."""
        from .._securing import check_context  # noqa: PLC0415 - loads ssl, which only who has a context has

        return check_context(self, self.context() if callable(self.context) else self.context)
