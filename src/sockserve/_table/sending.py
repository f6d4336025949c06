"""Sending a file over a socket that parks."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import attrs

__all__ = ("SendableFile", "send_file")


#: Bytes for one call, at most: sendfile(2) takes 2 GB, and a fast client is not to hold the loop for longer.
_CHUNK = 1 << 20
#: Bytes read at a time, where the system cannot send from the file itself.
_PIECE = 64 * 1024


class SendingSocket(Protocol):
    """What is needed of a socket, which waits in its own way."""

    @property
    def type(self) -> int:
        """See `socket.socket.type`."""
        ...

    def fileno(self) -> int:
        """See `socket.socket.fileno`."""
        ...

    def gettimeout(self) -> float | None:
        """See `socket.socket.gettimeout`."""
        ...

    def send(self, data: memoryview, /) -> int:
        """See `socket.socket.send`."""
        ...

    def when_writable(self, attempt: Callable[[], int], /) -> int:
        """Make *attempt* until there is room."""
        ...


class SendableFile(Protocol):
    """What is needed of a file. One with a descriptor (`fileno`) is sent by the system itself."""

    def read(self, size: int, /) -> bytes:
        """Read at most *size* bytes."""
        ...

    def seek(self, offset: int, /) -> object:
        """Go on at *offset*."""
        ...


def send_file(
    sock: "SendingSocket", file: SendableFile, offset: int = 0, count: int | None = None, chunk: int = _CHUNK
) -> int:
    """
    Send *file* from *offset* to its end, or *count* bytes of it, in chunks; return how many were sent.

    Raises:
        ValueError: The file is not binary, the socket not a stream, or not to wait; *count* is not positive.
    """
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if not sock.type & socket.SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None and count <= 0:
        raise ValueError(f"count must be a positive integer (got {count!r})")
    if sock.gettimeout() == 0.0:
        raise ValueError("non-blocking sockets are not supported")
    sending = _Sending(sock, file, offset, count, chunk)
    try:
        sending.run()
    finally:
        if sending.sent and hasattr(file, "seek"):
            file.seek(offset + sending.sent)
    return sending.sent


@attrs.define(eq=False)
class _Sending:
    sock: "SendingSocket"
    file: SendableFile
    offset: int
    count: int | None
    chunk: int
    sent: int = 0

    def run(self) -> None:
        if not self._from_descriptor():
            self._from_pieces()

    def _left(self, most: int) -> int:
        return most if self.count is None else min(most, self.count - self.sent)

    def _from_descriptor(self) -> bool:
        """Let the kernel read the file; False where it cannot, before anything was sent."""
        if sys.platform == "win32" or not hasattr(os, "sendfile"):
            return False
        fileno: Callable[[], int] | None = getattr(self.file, "fileno", None)
        if fileno is None:
            return False
        try:
            source = fileno()
        except OSError:
            return False
        while size := self._left(self.chunk):
            try:
                sent = self.sock.when_writable(lambda: self._send_from(source, size))
            except OSError as error:
                if self.sent == 0 and error.errno in _NOT_A_FILE:
                    return False
                raise
            if sent == 0:
                break
            self.sent += sent
        return True

    def _send_from(self, source: int, size: int) -> int:
        if sys.platform == "win32":
            raise NotImplementedError
        return os.sendfile(self.sock.fileno(), source, self.offset + self.sent, size)

    def _from_pieces(self) -> None:
        if self.offset:
            self.file.seek(self.offset)
        while (size := self._left(min(_PIECE, self.chunk))) and (data := self.file.read(size)):
            view = memoryview(data)
            while view:
                sent = self.sock.send(view)
                self.sent += sent
                view = view[sent:]


#: sendfile(2): the source cannot be mapped, is a pipe, or the file system does not do it.
_NOT_A_FILE = (errno.EINVAL, errno.ENOSYS, errno.ESPIPE, errno.EOPNOTSUPP)
