"""Connections through a proxy that says for whom, over another transport's."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Generic, Literal, TypeAlias, TypeVar, cast

import attrs

from .._validators import fail
from ..abc import Arrival, Listener, Opening, Patience, Transport, Unwelcome
from ..abc._arrival import AnyArrival
from ..addresses import Address, InetAddress, UnixAddress
from ..errors import ArrivalRefused, CompositionError, ProxyProtocolError, RequestAborted
from ..proxying import Proxied
from ._networks import UNIX, Networks, check_networks
from ._proxy_header import MOST, Header, HeaderDecoder, HeaderError
from ._tcp import TcpTransport
from ._tls import TlsTransport
from ._unix_stream import UnixStreamTransport
from ._wrapping import WrappingListener, check_wrapped, shared

__all__ = ("ProxyProtocolTransport",)

A = TypeVar("A")

#: What peers get that are not trusted.
Untrusted: TypeAlias = Literal["refuse", "serve"]


@attrs.frozen
class ProxyOpening:
    """Reads the header, where the request runs."""

    @property
    def names_client(self) -> bool:
        """Yes: that is what it is for."""
        return True

    def perform(self, arrival: AnyArrival, patience: Patience, /) -> None:
        """Read the header, and not a byte more; then let the server look at who it is."""
        sock = cast("socket.socket", arrival.request)
        proxy = cast("Address", arrival.client_address)
        header = _read(sock, proxy, patience)
        client = header.source
        arrival.proxied = Proxied(
            proxy=proxy, client=client, destination=header.destination, version=header.version
        )
        # A client of a Unix socket is on the proxy's machine: among network addresses, the proxy's is its own.
        if isinstance(client, InetAddress) or (client is not None and isinstance(proxy, UnixAddress)):
            arrival.client_address = client
        if not arrival.serving.vet(arrival):
            raise Unwelcome


def _read(sock: socket.socket, proxy: object, patience: Patience) -> Header:
    decoder = HeaderDecoder()
    try:
        with _timeout_kept(sock):
            while decoder.header is None:
                sock.settimeout(patience.left())
                # Looked at first, and taken when it is known how much of it is the header's: what follows belongs
                # to TLS, or to the handler.
                seen = sock.recv(MOST, socket.MSG_PEEK)
                if not seen:
                    raise decoder.eof()
                _take(sock, decoder.feed(seen))
    except RequestAborted:
        raise
    except TimeoutError as error:
        raise ProxyProtocolError(proxy, f"it was not complete after {patience.seconds} s") from error
    except (OSError, HeaderError) as error:
        raise ProxyProtocolError(proxy, str(error)) from error
    return decoder.header


@contextlib.contextmanager
def _timeout_kept(sock: socket.socket) -> Iterator[None]:
    timeout = sock.gettimeout()
    yield
    sock.settimeout(timeout)


def _take(sock: socket.socket, size: int) -> None:
    """Take what has been seen: it is there, so that this never waits."""
    while size:
        size -= len(sock.recv(size))


def _check_inner(owner: object, _attribute: object, inner: object) -> None:
    if isinstance(inner, TlsTransport):
        raise CompositionError(
            "ProxyProtocolTransport: inner is secured by TLS, and a proxy's header comes before that, in clear; "
            "write TlsTransport(ProxyProtocolTransport(...), context)"
        )
    if isinstance(inner, ProxyProtocolTransport):
        raise CompositionError("ProxyProtocolTransport: inner reads a proxy's header already; there is one only")
    check_wrapped(owner, inner, "the PROXY protocol")


def _check_trusted(owner: object, _attribute: object, trusted: Networks) -> None:
    """Refuse networks in which no peer can be; what the inner transport brings was checked before."""
    inner = getattr(owner, "inner", None)
    if isinstance(inner, UnixStreamTransport) and not trusted.unix:
        raise CompositionError(
            f"ProxyProtocolTransport: peers of a Unix socket have no network; add {UNIX!r} to trusted, if whoever "
            "its file lets in may say whom it speaks for"
        )
    if isinstance(inner, TcpTransport) and not trusted.inet:
        raise CompositionError(
            f"ProxyProtocolTransport: peers of TcpTransport are in networks, and trusted has {UNIX!r} only; add "
            "that of the proxy"
        )


def _check_untrusted(owner: object, attribute: "attrs.Attribute[Untrusted]", value: object) -> None:
    if value not in {"refuse", "serve"}:
        raise fail(owner, attribute.name, value, "'refuse' or 'serve'")


@attrs.frozen
class ProxyProtocolTransport(Generic[A]):
    """
    Accept connections from proxies that say for whom, by the PROXY protocol, version 1 or 2. ``client_address`` is
    then that of the client that has connected to the proxy; `sockserve.proxied` gives the proxy's own, and what
    else it has said. Over TCP it is an `InetAddress` always: a client that has reached its proxy by a Unix socket
    is on the proxy's machine, and has its address.

    The header is read where the request runs, within ``deadlines.handshake`` of the server (one time for this and
    a TLS handshake after it): never in the accept loop. A connection without it is closed, with the event
    `ProxyFailed`. ``verify`` and the limits for one peer look at the client's address, so that they are asked
    where the request runs, too.

    Whoever may speak it may claim to be anybody. So a peer outside of ``trusted`` is never listened to.

    Args:
        inner: A transport of connections: `TcpTransport`, `UnixStreamTransport`, or `AdoptedTransport` of a
            listening socket. For TLS, wrap the result: the header comes first, in clear.
        trusted: The networks of the proxies, such as ``["10.0.0.0/8", "::1"]``. ``"unix:"`` stands for whoever
            can connect to a Unix socket.
        untrusted: What others get. ``"refuse"``: they are closed at once, in the accept loop, counted as refused.
            ``"serve"``: they are served as if this transport were not there, with their own address, and what
            they say, a header too, is for the handler: for direct connections beside a proxy's. The address
            alone decides, never what they say.

    Raises:
        OptionTypeError: One of these is something else.
        OptionError: A network is none, or there is none.
        CompositionError: The transport brings datagrams, is secured by TLS, or nobody that it brings can be
            trusted.

    Resource handling:
        Opens nothing before `listen`, whose listener the server closes.
    """

    inner: Transport[socket.socket, A] = attrs.field(validator=_check_inner)
    trusted: Networks = attrs.field(converter=check_networks, validator=_check_trusted)
    untrusted: Untrusted = attrs.field(default="refuse", validator=_check_untrusted, kw_only=True)

    @property
    def stream(self) -> bool:
        """Yes: requests are connections."""
        return True

    def sharing(self, address: object = None, /) -> "ProxyProtocolTransport[A]":
        """
        See `sockserve.abc.SharingTransport`: as the transport below does.

        Raises:
            CompositionError: It does not.
        """
        return attrs.evolve(self, inner=shared(self, self.inner, address))

    def listen(self) -> Listener[socket.socket, A | InetAddress]:
        """
        Listen as the transport below does.

        Raises:
            ListenError: The system refused.
        """
        return WrappingListener(self.inner.listen(), self._openings)

    def _openings(self, arrival: Arrival[socket.socket, object]) -> tuple[Opening, ...]:
        """Decide about a peer, by its connection's own address."""
        if arrival.client_address in self.trusted:
            return _OPENINGS
        if self.untrusted == "serve":
            return ()
        arrival.finish()
        raise ArrivalRefused(arrival.client_address, "it is not trusted to speak the PROXY protocol")


_OPENINGS = (ProxyOpening(),)
