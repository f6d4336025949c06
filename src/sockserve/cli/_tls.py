"""The TLS context of ``--tls-cert`` and ``--tls-key``, and what is wrong with the files."""

import getpass
import sys
from typing import TYPE_CHECKING, cast

from .._named.parts import AnyTransport
from ..transports import TlsTransport
from ._listeners import Wrap
from ._usage import UsageError

if TYPE_CHECKING:
    import socket
    import ssl

    from ..abc import Transport

__all__ = ("securing",)


def securing(cert: str | None, key: str | None) -> Wrap | None:
    """
    Return what adds TLS to a transport; None without a certificate.

    Raises:
        UsageError: A file cannot be read, is no certificate or key, or the key is not that of the certificate.
    """
    if cert is None:
        if key is not None:
            raise UsageError("--tls-key needs the certificate, too: --tls-cert FILE")
        return None
    context = _context(cert, key)

    def secure(transport: AnyTransport) -> AnyTransport:
        return TlsTransport(cast("Transport[socket.socket, object]", transport), context)

    return secure


def _context(cert: str, key: str | None) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - only who serves TLS is to load it

    _check_readable("--tls-cert", cert)
    if key is not None:
        _check_readable("--tls-key", key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    asked: list[str] = []

    def password() -> str:
        asked.append(_password(key or cert))
        return asked[-1]

    try:
        context.load_cert_chain(cert, key, password)
    except ssl.SSLError as error:
        raise UsageError(_explained(error, cert, key, locked=bool(asked))) from error
    return context


def _check_readable(option: str, path: str) -> None:
    """Ssl says of a file only that there is none, and not which."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror or error}") from error


def _explained(error: "ssl.SSLError", cert: str, key: str | None, *, locked: bool) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key {key or cert} is not that of the certificate {cert}"
    if locked:  # what OpenSSL says then depends on its version
        return f"the password of the key {key or cert} is wrong"
    if key is None:
        return (
            f"--tls-cert {cert} does not hold a certificate and its key in PEM; a key of its own goes to --tls-key"
        )
    return (
        f"--tls-cert {cert} and --tls-key {key} are not a certificate and a key in PEM ({error.reason or error})"
    )


def _password(path: str) -> str:
    """Ask for the password of a key: called by ssl only if the key has one."""
    if not sys.stdin.isatty():
        raise UsageError(f"the key {path} has a password, and there is no terminal to ask for it")
    return getpass.getpass(f"Password of {path}: ")
