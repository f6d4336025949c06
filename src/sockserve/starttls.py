"""Going over to TLS in the middle of a request."""

import socket
from typing import TYPE_CHECKING

from .abc import Patience
from .abc._arrival import current_job
from .deadlines import Deadlines

if TYPE_CHECKING:
    import ssl

__all__ = ("start_tls",)


def start_tls(sock: socket.socket, context: "ssl.SSLContext") -> "ssl.SSLSocket":
    """
    Go on with TLS over a request's connection, as its server (STARTTLS); under every strategy.

    The handshake has to be over within the server's ``deadlines.handshake``. The server goes on to own the
    connection: at the request's end it sends the close_notify and closes. To be called by the request itself, in
    the thread or row that runs it.

    Args:
        sock: The request's socket. It has lost its descriptor afterwards, and files made of it are of no use:
            what they have read ahead was not encrypted, and must not be trusted (CVE-2011-0411). Close them, and
            make new ones of the result; `StreamRequestHandler.start_tls` does so.
        context: Of the server's side, with a certificate.

    Returns:
        The connection from here on, with the timeout that *sock* had.

    Raises:
        TlsHandshakeError: The handshake failed or took too long. A handler that lets it through ends its request
            with the event `TlsFailed`, as that of a `TlsTransport` does.
        ValueError: *sock* is not the request's own connection, or is secured already.
        OptionError: The context is one for clients.
        OptionTypeError: It is none at all.
        RequestAborted: The server has stopped.
    """
    from ._securing import check_context, secure, shake_hands  # noqa: PLC0415 - loads ssl

    check_context("start_tls", context)
    job = current_job.get()
    if job is not None:
        if job.request is not sock:
            raise ValueError(
                f"start_tls takes the connection of the request that calls it, {job.request!r}, not {sock!r}; "
                "a connection of another kind is secured by its context's wrap_socket"
            )
        return job.start_tls(context)
    peer = _peer(sock)
    secured = secure(sock, context, peer)  # of a server of the other kind (`sockserve.socketserver`), or of none
    try:
        shake_hands(secured, Patience.of(Deadlines().handshake), peer)
    except BaseException:
        secured.close()  # as wrap_socket does: nobody else has it
        raise
    return secured


def _peer(sock: socket.socket) -> object:
    try:
        return sock.getpeername()
    except OSError:
        return None  # it has gone
