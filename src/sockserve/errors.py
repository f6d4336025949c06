"""
The error tree: one root, split by who is at fault and when it shows.

===================== ======================================= ==========================
error                 who is at fault                         when
===================== ======================================= ==========================
`OptionError`         the program: a value of one part        the part is made
`CompositionError`    the program: parts that do not fit      they are composed
`ListenError`         the machine: address, rights, files     ``listen()``
`ServerStateError`    the program: the wrong moment           the call
`ArrivalRefused`      the peer: it is not welcome             it arrives
`DatagramTruncated`   the peer: a datagram beyond the limit   it is received
`PeerGoneError`       the peer: it cannot be answered         the reply is sent
`MessageTooLong`      the peer: a message beyond the limit     it arrives
`IncompleteMessage`   the peer: its input ends in a message   the input ends
`RequestAborted`      nobody: the server has stopped          the request waits
`OpeningError`        the peer: what has to come first        the request begins
`TlsHandshakeError`   the peer: no TLS, or not in time        the request begins
`ProxyProtocolError`  the proxy: no header, or not in time    the request begins
`TaskLostError`       the executor: a worker died             the answer is due
`WorkerError`         the program: workers cannot start       ``serve_forever()``
`SockserveWarning`    the program: what has no effect          a class or an attribute is set
===================== ======================================= ==========================
"""

import errno
import os

from ._typing import override

__all__ = (
    "ArrivalRefused",
    "CompositionError",
    "DatagramTruncated",
    "IncompleteMessage",
    "ListenError",
    "MessageError",
    "MessageTooLong",
    "OpeningError",
    "OptionError",
    "OptionTypeError",
    "PeerGoneError",
    "ProxyProtocolError",
    "RequestAborted",
    "ServerStateError",
    "SockserveError",
    "SockserveWarning",
    "TaskLostError",
    "TlsHandshakeError",
    "WorkerError",
)


class SockserveError(Exception):
    """The root of every error that this library defines."""


class OptionError(SockserveError, ValueError):
    """An option of a transport, a strategy or a server has a value that cannot work."""


class OptionTypeError(OptionError, TypeError):
    """An option has a value of the wrong type."""


class CompositionError(SockserveError, ValueError):
    """The parts are fine each for itself and cannot serve together, or this platform lacks one of them."""


class ServerStateError(SockserveError, RuntimeError):
    """The server cannot do this at this point of its life (it is closed, or serves already)."""


class ListenError(SockserveError, OSError):
    """The address cannot be listened at. ``errno`` is the system's, ``address`` what was asked for."""

    def __init__(self, number: int, address: object, what: str) -> None:
        super().__init__(number, f"cannot listen at {address!r}: {what}")
        self.address = address
        self._what = what

    @override
    def __reduce__(self) -> tuple[type["ListenError"], tuple[int | None, object, str]]:
        return type(self), (self.errno, self.address, self._what)

    @classmethod
    def from_os_error(cls, error: OSError, address: object) -> "ListenError":
        """Translate what the system said, and add what helps where that is known."""
        number = error.errno or 0
        said = error.strerror or os.strerror(number)
        advice = _ADVICE.get(number)
        return cls(number, address, f"{said}; {advice}" if advice else said)


#: What usually helps, by what bind(2), listen(2) and getaddrinfo(3) say.
_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another address (port 0 takes a free port)",
    errno.EADDRNOTAVAIL: "this machine has no such address; '' stands for all that it has",
    errno.EACCES: "the user may not: ports below 1024 and the folder of a Unix socket need the right to do so",
    errno.EAFNOSUPPORT: "this system lacks that address family",
    errno.EMFILE: "the process has no free file descriptor; raise its limit (ulimit -n)",
    errno.ENOENT: "the folder of the Unix socket does not exist; make it first",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EROFS: "the folder is on a file system that is read-only",
    errno.ENOSPC: "the file system of the Unix socket is full",
}


class ArrivalRefused(SockserveError):  # noqa: N818 - it names what happened to the arrival
    """What has arrived from ``client_address`` is turned away by its transport, for this ``reason``."""

    def __init__(self, client_address: object, reason: str) -> None:
        super().__init__(reason)
        self.client_address = client_address
        self.reason = reason

    @override
    def __reduce__(self) -> tuple[type["ArrivalRefused"], tuple[object, object]]:
        return type(self), (self.client_address, self.reason)


class DatagramTruncated(ArrivalRefused):
    """A datagram longer than ``max_packet_size`` arrived and was dropped, never passed on as if whole."""

    def __init__(self, client_address: object, max_packet_size: int) -> None:
        reason = f"a datagram from {client_address!r} is longer than max_packet_size={max_packet_size}"
        super().__init__(client_address, reason)
        self.max_packet_size = max_packet_size

    @override
    def __reduce__(self) -> tuple[type["DatagramTruncated"], tuple[object, int]]:
        return type(self), (self.client_address, self.max_packet_size)


class MessageError(SockserveError, ValueError):
    """
    What a peer sends is not what its framing says: nothing that follows can be understood.

    The connection of a `MessageHandler` ends with it, and the observer is told; its handler has not failed. A
    framing of one's own raises it, or an error derived from it, while it decodes.
    """


class MessageTooLong(MessageError):  # noqa: N818 - it names what the peer has sent
    """A message is longer than its framing allows. ``limit`` is the framing's ``max_length``, in bytes."""

    def __init__(self, limit: int, what: str = "a message") -> None:
        super().__init__(f"{what} is longer than max_length={limit}")
        self.limit = limit
        self._what = what

    @override
    def __reduce__(self) -> tuple[type["MessageTooLong"], tuple[int, str]]:
        return type(self), (self.limit, self._what)


class IncompleteMessage(MessageError):  # noqa: N818 - it names what was left
    """The input ended in the middle of a message. ``size`` is how many bytes of it there were."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the input ended in the middle of a message, after {size} bytes of it")
        self.size = size

    @override
    def __reduce__(self) -> tuple[type["IncompleteMessage"], tuple[int]]:
        return type(self), (self.size,)


class PeerGoneError(SockserveError, ConnectionError):
    """The peer of a datagram cannot be answered: it has no address, or nothing is bound to it any more."""


class RequestAborted(SockserveError, ConnectionAbortedError):  # noqa: N818 - it names what happened to the request
    """
    The server has stopped while this request was parked in its table, and every wait of it raises this.

    Where the handler lets it through, the request counts as finished: it has not failed.
    """


class OpeningError(SockserveError, ConnectionError):
    """
    A connection could not be made ready for its handler: what has to come first did not, or not in time.

    ``peer`` is who has failed: the client's address, or a proxy's; ``reason`` says why, for people. What was
    raised below is its ``__cause__``.
    """

    _what = "not ready:"

    def __init__(self, peer: object, reason: str) -> None:
        super().__init__(f"{self._what} {peer!r}: {reason}")
        self.peer = peer
        self.reason = reason

    @override
    def __reduce__(self) -> tuple[type["OpeningError"], tuple[object, str]]:
        return type(self), (self.peer, self.reason)


class TlsHandshakeError(OpeningError):
    """
    A connection could not be secured by TLS: the peer speaks something else, was too slow, has gone.

    The error of `ssl` or of the system is its ``__cause__``.
    """

    _what = "no TLS with"


class ProxyProtocolError(OpeningError):
    """A proxy has not said whom it speaks for: its header is missing, wrong, too long, or came too late."""

    _what = "no PROXY header from"


class TaskLostError(SockserveError, RuntimeError):
    """
    An executor does not give the result of a task: its worker died, it was cancelled, or was never taken.

    ``error`` is what the executor raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the executor has lost a message: {error!r}")
        self.error = error

    @override
    def __reduce__(self) -> tuple[type["TaskLostError"], tuple[BaseException]]:
        return type(self), (self.error,)


class WorkerError(SockserveError, RuntimeError):
    """
    The workers of a `PreforkStrategy` cannot start: so many in a row (``failures``) have ended before they served.

    ``last`` is what the last of them said. What each raised was printed, with its traceback, to its stderr.
    """

    def __init__(self, failures: int, last: str) -> None:
        super().__init__(f"{failures} worker processes in a row have ended before they served; the last: {last}")
        self.failures = failures
        self.last = last

    @override
    def __reduce__(self) -> tuple[type["WorkerError"], tuple[int, str]]:
        return type(self), (self.failures, self.last)


class SockserveWarning(UserWarning):
    """The program has written something that has no effect, and probably means another thing."""
