"""TLS over one connection: its beginning, its handshake, its end. Loaded where TLS is used: it loads ssl."""

import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, TypeGuard

from ._pulse import WAITS, PulsedSocket
from ._table.current import current_row
from ._table.polling import wait_for
from .abc import Patience
from .errors import OptionError, OptionTypeError, RequestAborted, TlsHandshakeError

if TYPE_CHECKING:
    from ._table.tls import CooperativeSSLSocket

__all__ = ("GOODBYE_SECONDS", "can_serve", "check_context", "failed", "say_goodbye", "secure", "shake_hands")

#: Seconds, at most, until there is room for a close_notify behind what a slow peer has not read yet.
GOODBYE_SECONDS = 5.0

#: Let the end of a stream without a close_notify be an end only. Else OpenSSL 3 gives the connection up: nothing
#: can be sent any more to a peer that has shut its writing side, and none of those whose input we end at
#: ``server_close`` would get a last word (seen, with "decode error" as what they got). Before 3 it did not.
_IGNORE_UNEXPECTED_EOF: int = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)


def check_context(owner: object, context: object) -> ssl.SSLContext:
    """
    Return *context*, if it is one that a server can use.

    Raises:
        OptionTypeError: It is no `ssl.SSLContext`.
        OptionError: It is one for clients.
    """
    label = owner if isinstance(owner, str) else type(owner).__name__
    if not isinstance(context, ssl.SSLContext):
        raise OptionTypeError(
            f"{label}: context must be an ssl.SSLContext, or a function that returns one, not {context!r}"
        )
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT or context.check_hostname:
        raise OptionError(
            f"{label}: context is one for clients (its protocol is {context.protocol.name}, its check_hostname "
            f"{context.check_hostname}); make one by ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
        )
    if ~context.options & _IGNORE_UNEXPECTED_EOF:
        context.options |= _IGNORE_UNEXPECTED_EOF
    return context


def can_serve(context: ssl.SSLContext) -> bool:
    """
    Whether *context* has a certificate: nothing tells, but its answer to a client in memory (0.6 ms, measured).

    One that chooses by the client's word (``sni_callback``) cannot be asked, and is believed.
    """
    if context.sni_callback is not None:
        return True
    there, here, unused = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _least_demanding().wrap_bio(unused, here)
    server = context.wrap_bio(here, there, server_side=True)
    for side in (client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass  # it has spoken, and waits for the other
        except ssl.SSLError:
            return False
    return True


def _least_demanding() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def secure(sock: socket.socket, context: ssl.SSLContext, peer: object) -> ssl.SSLSocket:
    """
    Put TLS over a connection, as its server; the handshake is still to come. *sock* has lost its descriptor.

    A socket that parks stays one. One that does not becomes one in a table.

    Args:
        sock: The connection.
        context: By what it is secured.
        peer: Whose it is, for errors.

    Raises:
        TlsHandshakeError: The connection is gone already.
        TypeError: The context makes sockets of a class of its own, and they are to park.
    """
    try:
        if current_row() is not None or _parks(sock):
            from ._table.tls import secure_parking  # noqa: PLC0415 - loads greenlet

            return secure_parking(sock, context)
        if isinstance(sock, PulsedSocket):
            from ._pulse_tls import secure_watched  # noqa: PLC0415 - few have an idle deadline

            return secure_watched(sock, context)
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError as error:
        raise TlsHandshakeError(peer, _reason(error)) from error


def _parks(sock: socket.socket) -> "TypeGuard[CooperativeSSLSocket]":
    loaded = sys.modules.get(_PARKING)
    return loaded is not None and isinstance(sock, loaded.CooperativeSocket)


#: Where sockets that park are defined: not loaded, there is none.
_PARKING = f"{__package__}._table.sockets"


def shake_hands(sock: ssl.SSLSocket, patience: Patience, peer: object) -> None:
    """
    Let the handshake with *peer* happen, as long as there is *patience*; the socket's timeout is as it was then.

    Raises:
        TlsHandshakeError: It has failed, or took too long.
        RequestAborted: The server has stopped.
    """
    timeout = sock.gettimeout()
    try:
        sock.settimeout(patience.left())
        if isinstance(sock, PulsedSocket):
            sock.pulse[WAITS] = time.monotonic()  # what it waits with is no read of its own
        sock.do_handshake()
        if isinstance(sock, PulsedSocket):
            sock.pulse[WAITS] = 0.0
        sock.settimeout(timeout)
    except RequestAborted:
        raise
    except TimeoutError as error:
        raise TlsHandshakeError(peer, f"it was not complete after {patience.seconds} s") from error
    except (OSError, ValueError) as error:  # ValueError: the server's end has closed it meanwhile
        raise TlsHandshakeError(peer, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Say what went wrong, to whom does not know OpenSSL."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return "the client has closed the connection"
    known = _REASONS.get(getattr(error, "reason", None) or "")
    return f"{known} ({error})" if known else str(error)


#: OpenSSL's reasons that are met most often (its include/openssl/sslerr.h), for people.
_REASONS = {
    "HTTP_REQUEST": "the client speaks HTTP without TLS",
    "WRONG_VERSION_NUMBER": "the client does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the client's version of TLS is not allowed here",
    "NO_SHARED_CIPHER": "there is no cipher that both sides allow, or no certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate",
    "CERTIFICATE_VERIFY_FAILED": "the client's certificate is not trusted",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not trust our certificate",
}


def failed(sock: ssl.SSLSocket) -> bool:
    """Whether this connection's own TLS has been given up: after an error OpenSSL's handshake counts as undone."""
    return sock.fileno() >= 0 and sock.version() is None


def say_goodbye(sock: ssl.SSLSocket) -> None:
    """
    Send the end of the TLS stream (close_notify), and wait for nobody's. Never raises.

    Where the peer has not read what was sent before, it waits for room, `GOODBYE_SECONDS` at most.
    """
    if sock.version() is None:
        return  # no handshake, or an error: OpenSSL has sent an alert; or in clear again
    until = time.monotonic() + GOODBYE_SECONDS
    try:
        sock.settimeout(0.0)
        while not _said_goodbye(sock):
            _wait_for_room(sock, until - time.monotonic())
    except (OSError, ValueError):
        pass  # reset, aborted, given up, closed meanwhile, or something that the peer still says is in the way


def _said_goodbye(sock: ssl.SSLSocket) -> bool:
    try:
        sock.unwrap()
    except ssl.SSLWantWriteError:
        return False
    except ssl.SSLWantReadError:
        pass  # sent: what is missing is the peer's
    return True


def _wait_for_room(sock: ssl.SSLSocket, seconds: float) -> None:
    if _parks(sock):
        sock.wait_for_room(max(0.001, seconds))
    else:
        wait_for(sock, write=True, timeout=max(0.0, seconds))
