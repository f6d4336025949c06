"""TLS that tells since when it waits for its peer."""

import ssl
from time import monotonic

from ._pulse import MOVED, PIECE, WAITS, WRITING, PulsedSocket
from ._typing import Buffer, override

__all__ = ("StampedSSLSocket", "secure_watched")


class StampedSSLSocket(ssl.SSLSocket, PulsedSocket):  # pyright: ignore[reportIncompatibleMethodOverride] - the base's
    """TLS over a connection that takes note of its reads and writes. It is used like any `ssl.SSLSocket`."""

    # `recv`, `recv_into` and files come here.

    @override
    def read(self, len: int = 1024, buffer: Buffer | None = None) -> bytes:  # noqa: A002 - the base's
        """See `ssl.SSLSocket.read`."""
        pulse = self.pulse
        pulse[WAITS] = pulse[WAITS] or monotonic()
        found = _read(self, len, buffer)
        pulse[WAITS] = 0.0
        return found

    # `sendall` comes here.

    @override
    def send(self, data: Buffer, flags: int = 0) -> int:
        """See `ssl.SSLSocket.send`. One that blocks sends everything, as the plain one does."""
        with memoryview(data) as whole, whole.cast("B") as view:
            sent = 0
            while True:
                with view[sent : sent + PIECE] as piece:
                    sent += self._send_piece(piece, flags)
                if sent >= view.nbytes or self.gettimeout() is not None:
                    return sent

    @override
    def write(self, data: Buffer) -> int:
        """See `ssl.SSLSocket.write`."""
        return self.send(data)

    def _send_piece(self, data: Buffer, flags: int) -> int:
        pulse = self.pulse
        pulse[MOVED] = monotonic()
        pulse[WRITING] = 1.0
        try:
            return _send(self, data, flags)
        finally:
            pulse[WRITING] = 0.0


_read = ssl.SSLSocket.read
_send = ssl.SSLSocket.send


def secure_watched(sock: PulsedSocket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """
    Put TLS over a connection, as its server, which goes on to write its pulse; the handshake is still to come.

    A context that makes sockets of a class of its own gives one of those: what is known of its traffic then is
    what the system tells.
    """
    if context.sslsocket_class is not ssl.SSLSocket:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    pulse = sock.pulse
    # What wrap_socket calls of the context's class; see `_table.tls.secure_parking`.
    made: StampedSSLSocket = StampedSSLSocket._create(  # type: ignore[attr-defined]
        sock, server_side=True, do_handshake_on_connect=False, context=context
    )
    made.pulse = pulse
    return made
