"""What the tests of TLS share: an authority, contexts of both sides, and the relay that speaks TLS for clients."""

import contextlib
import functools
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme

from recorder import FAILSAFE

NAME = "server.example"

_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)  # Windows has none


@functools.cache
def authority() -> trustme.CA:
    """Whom both sides trust."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def new_context(*names: str) -> ssl.SSLContext:
    """Make a context for servers, with a certificate of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(*(names or (NAME,)), key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@functools.cache
def server_context() -> ssl.SSLContext:
    """The context that is used where nothing else is asked for."""
    return new_context()


def client_context(**attributes: Any) -> ssl.SSLContext:
    """Make a context for clients, which trusts the authority."""
    context = ssl.create_default_context()
    # An end without a close_notify is to be seen: Debian's Python sets this, others do not.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.sslsocket_class = _TlsClient
    authority().configure_trust(context)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


class _Ending:
    """Sends its end when it is closed: a forked handler has a copy of it."""

    def close(self: Any) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RDWR)
        super().close()  # type: ignore[misc]  # of a socket


class _Client(_Ending, socket.socket):
    """In clear."""


class _TlsClient(_Ending, ssl.SSLSocket):
    """With TLS."""


def connect_raw(address: Any) -> socket.socket:
    """Connect without a word."""
    unix = isinstance(address, str)
    sock = _Client(_AF_UNIX if unix else socket.AF_INET)
    sock.settimeout(FAILSAFE)
    sock.connect(str(address) if unix else tuple(address))
    return sock


def connect(address: Any, context: ssl.SSLContext | None = None, name: str = NAME) -> ssl.SSLSocket:
    """Connect, and shake hands. The end of the stream without a close_notify is an error."""
    return (context or client_context()).wrap_socket(
        connect_raw(address), server_hostname=name, suppress_ragged_eofs=False
    )


def say_goodbye(sock: ssl.SSLSocket) -> None:
    """Send a close_notify, and wait for nothing; *sock* may go on to read."""
    sock.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        sock.unwrap()
    sock.settimeout(FAILSAFE)


def ends(sock: ssl.SSLSocket) -> bool:
    """Whether the server ends the stream as TLS asks for: `connect` lets anything else be an error."""
    try:
        return sock.recv(1) == b""
    except ssl.SSLZeroReturnError:
        return True  # a close_notify, where we have sent ours


def last_word(sock: ssl.SSLSocket) -> bytes | None:
    """Return what the server still says; None where the stream is torn, without the end that TLS asks for."""
    try:
        return sock.recv(10)
    except ssl.SSLError as error:
        # Before Python 3.11.3 it was no SSLEOFError with OpenSSL 3.
        if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
            return None
        raise


@contextlib.contextmanager
def beside(target: Any, *args: Any) -> Iterator[None]:
    """Let something happen in a thread meanwhile; its error is raised at the end."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            target(*args)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(FAILSAFE)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


class Relay:
    """
    A process that speaks TLS for clients that speak plainly: it is no child of this one, and ends with it.

    The clients of the matrix are in the thread that tests, and some act before the server serves: none of them
    could shake hands there. In a thread of this process they would hold OpenSSL's locks while handlers are forked.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "relay")
        trusted = folder / "trusted.pem"
        authority().cert_pem.write_to_path(str(trusted))
        reader, self._writer = os.pipe()
        try:
            subprocess.run(
                [
                    sys.executable,
                    str(Path(__file__).with_name("tls_relay.py")),
                    self.path,
                    str(trusted),
                    str(reader),
                ],
                check=True,
                pass_fds=[reader],
                timeout=FAILSAFE,
            )
        finally:
            os.close(reader)

    def connect(self, sock: socket.socket, family: int, target: Any) -> None:
        """Connect a Unix socket to a server through the relay, which shakes hands on its own time."""
        sock.connect(self.path)
        sock.sendall(json.dumps([int(family), target, NAME]).encode() + b"\n")
        if sock.recv(1) != b"+":
            raise ConnectionRefusedError(f"the relay could not connect to {target!r}")

    def close(self) -> None:
        """Let the process end."""
        os.close(self._writer)


#: The one of this session, while there is one.
relays: list[Relay] = []
