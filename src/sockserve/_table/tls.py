"""TLS that parks: an `ssl.SSLSocket` for handlers in a table."""

import functools
import socket
import ssl
import threading
from collections.abc import Callable
from time import monotonic
from typing import Concatenate, ParamSpec, TypeVar

from .._typing import Buffer, override
from .locks import Lock
from .sockets import CooperativeSocket

__all__ = ("CooperativeSSLSocket", "secure_parking")

P = ParamSpec("P")
T = TypeVar("T")

_plain = socket.socket

#: Bytes of one write, at most: 16 records. A write that has to wait is repeated as a whole (SSL_write(3)).
_PIECE = 1 << 18


# Those of the methods whose signatures differ that TLS has no use for come from SSLSocket, which refuses them.
class CooperativeSSLSocket(ssl.SSLSocket, CooperativeSocket):  # type: ignore[misc]
    """
    TLS over a connection, for handlers in a table. It is used like any `ssl.SSLSocket`.

    Each call is tried first, since what has been decrypted already makes no descriptor readable; it then parks
    for what OpenSSL wants, whichever call that is: a read may have to write (TLS 1.3, key update), and a write to
    read. Once in clear again (`unwrap`, `shutdown`) it is a `CooperativeSocket`.

    Writes of several rows come one after the other: OpenSSL takes nothing else before a write that has begun is
    complete. After a write that has timed out the connection is of no use, as with the plain class.

    One thread may write to it while another reads: OpenSSL's calls, none of which waits here, come one at a
    time. Else the one would take its error from what the other has left in the connection (SSL_get_error(3)), and
    a read that found nothing would be taken for the end of the stream.
    """

    _writing: Lock
    _calls: threading.Lock

    def _begin(self) -> None:
        """Set what the base classes' constructors do not know of."""
        # Made of a descriptor that its former object has set blocking again, as it does for whoever takes it.
        _plain.setblocking(self, False)
        self._writing = Lock()
        self._calls = threading.Lock()

    # Waiting.

    def _attempt(self, attempt: Callable[[], T], patience: float | None) -> T:
        """Make *attempt* until TLS wants nothing more for it; *patience* is for all of it."""
        watch = self._watch
        deadline: float | None = None
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                if patience == 0.0:
                    raise
                wait = watch.wait_readable
            except ssl.SSLWantWriteError:
                if patience == 0.0:
                    raise
                wait = watch.wait_writable
            deadline = wait(self, patience, deadline)

    def _take_turn(self) -> None:
        """Let the others go first, after many calls without a wait."""
        watch = self._watch
        watch.sends -= 1
        if watch.sends < 0:
            watch.has_sent_its_share(self._patience)

    def wait_for_room(self, seconds: float) -> None:
        """
        Wait until something may be written, whatever the timeout.

        Raises:
            TimeoutError: It may not, for so many *seconds*.
        """
        self._watch.wait_writable(self, seconds, None)

    # Reading. `recv`, `recv_into` and files come here.

    @override
    def read(self, len: int = 1024, buffer: Buffer | None = None) -> bytes:  # noqa: A002 - the base's
        """See `ssl.SSLSocket.read`."""
        self._take_turn()
        return self._attempt(functools.partial(_read, self, len, buffer), self._patience)

    # Writing.

    @override
    def write(self, data: Buffer) -> int:
        """See `ssl.SSLSocket.write`."""
        return self._write(functools.partial(_write, self, data))

    @override
    def send(self, data: Buffer, flags: int = 0) -> int:
        """See `ssl.SSLSocket.send`; all of *data* is sent."""
        return self._write(functools.partial(_send, self, data, flags))

    @override
    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """See `ssl.SSLSocket.sendall`: one time limit for all of it."""
        sent = 0
        with memoryview(data) as whole, whole.cast("B") as view:
            size = view.nbytes

            def go_on() -> None:
                nonlocal sent
                while True:
                    with view[sent : sent + _PIECE] as piece:
                        sent += _send(self, piece, flags)
                    if sent >= size:
                        return
                    self._take_turn()

            self._write(go_on)

    def _write(self, attempt: Callable[[], T]) -> T:
        patience = self._patience
        self._watch.moved = monotonic()  # for an idle deadline: nothing of what it costs is noticed beside TLS
        self._take_turn()
        table = self._watch.table
        if table is not None and table.foreign:
            return self._attempt(
                attempt, patience
            )  # who holds the lock is in the process that this was forked from
        writing = self._writing
        if not (writing.acquire(False) if patience == 0.0 else writing.acquire(True, _or_forever(patience))):
            if patience == 0.0:
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "another request is writing")
            raise TimeoutError("timed out")
        try:
            return self._attempt(attempt, patience)
        finally:
            writing.release()

    # Beginning and end.

    @override
    def do_handshake(self, block: bool = False) -> None:
        """See `ssl.SSLSocket.do_handshake`."""
        patience = None if block and self._patience == 0.0 else self._patience
        self._attempt(functools.partial(_do_handshake, self), patience)

    @override
    def unwrap(self) -> socket.socket:
        """See `ssl.SSLSocket.unwrap`: it waits for the peer's end, too."""
        return self._attempt(functools.partial(_unwrap, self), self._patience)


def _alone(
    call: Callable[Concatenate[CooperativeSSLSocket, P], T],
) -> Callable[Concatenate[CooperativeSSLSocket, P], T]:
    """Let no other thread be in a *call* of the same connection."""

    def alone(sock: CooperativeSSLSocket, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with sock._calls:
            return call(sock, *args, **kwargs)

    return alone


_read = _alone(ssl.SSLSocket.read)
_write = _alone(ssl.SSLSocket.write)
_send = _alone(ssl.SSLSocket.send)
_do_handshake = _alone(ssl.SSLSocket.do_handshake)
_unwrap = _alone(ssl.SSLSocket.unwrap)


def _or_forever(patience: float | None) -> float:
    return -1 if patience is None else patience


def secure_parking(sock: socket.socket, context: ssl.SSLContext) -> CooperativeSSLSocket:
    """
    Put TLS that parks over a connection, as its server; the handshake is still to come.

    Raises:
        TypeError: The context makes sockets of a class of its own, which cannot park.
        OSError: The connection is gone.
    """
    if context.sslsocket_class is not ssl.SSLSocket:
        raise TypeError(
            f"only ssl.SSLSocket can park, not {context.sslsocket_class!r} (the context's sslsocket_class): use "
            "it under another strategy, such as ThreadStrategy()"
        )
    # What wrap_socket calls of the context's class. To set that attribute instead, which is the documented way,
    # would change what others get of the same context, in other threads at this moment.
    made: CooperativeSSLSocket = CooperativeSSLSocket._create(  # type: ignore[attr-defined]
        sock, server_side=True, do_handshake_on_connect=False, context=context
    )
    made._begin()
    return made
