"""Events of one request, from its arrival to its end."""

import attrs

from ..errors import MessageError
from ._base import RequestEvent

__all__ = (
    "Accepted",
    "DeadlinePassed",
    "Finished",
    "HandlerFailed",
    "HandlerSlow",
    "MessageDropped",
    "MessageRefused",
    "NotOpened",
    "NotStarted",
    "PeerGone",
    "ProxyFailed",
    "Refused",
    "RequestAbandoned",
    "TaskLost",
    "TlsFailed",
    "VerifyFailed",
)


@attrs.frozen(kw_only=True)
class Accepted(RequestEvent):
    """A request is on its way to the strategy."""


@attrs.frozen(kw_only=True)
class Refused(RequestEvent):
    """
    A request was turned away before any handler saw it, for this ``reason``: "verify", "connections" or "per_peer"
    (of `sockserve.Limits`); a datagram that is too long has it in words.
    """

    reason: str


@attrs.frozen(kw_only=True)
class VerifyFailed(RequestEvent):
    """``verify`` itself raised ``error``; the request was refused."""

    error: BaseException


@attrs.frozen(kw_only=True)
class NotStarted(RequestEvent):
    """The strategy could not start the request (no thread or process to be had); it was closed."""

    error: BaseException


@attrs.frozen(kw_only=True)
class Finished(RequestEvent):
    """A request has ended after ``duration`` seconds; ``ok`` is false where its handler failed."""

    duration: float
    ok: bool


@attrs.frozen(kw_only=True)
class HandlerFailed(RequestEvent):
    """``handler`` (its dotted name) raised ``error``: a bug, or something that it did not expect."""

    handler: str
    error: BaseException


@attrs.frozen(kw_only=True)
class TaskLost(RequestEvent):
    """
    An executor has lost a message that ``handler`` (its dotted name) was to answer: its worker died, the task was
    cancelled, or could not be handed over. ``error`` is what the executor said. The connection was closed.
    """

    handler: str
    error: BaseException


@attrs.frozen(kw_only=True)
class HandlerSlow(RequestEvent):
    """
    ``handler`` has held the thread that serves for ``duration`` seconds, in which all other requests waited. It
    did so until ``where``: file, line and function of its next wait, or its end.
    """

    handler: str
    duration: float
    where: str


@attrs.frozen(kw_only=True)
class RequestAbandoned(RequestEvent):
    """
    The server has stopped, and this request, told so by each of its waits, went on waiting again and again: it was
    closed, and its handler is never resumed.
    """

    handler: str


@attrs.frozen(kw_only=True)
class PeerGone(RequestEvent):
    """The client went away in the middle; ``error`` is how the handler noticed."""

    error: BaseException


@attrs.frozen(kw_only=True)
class MessageRefused(RequestEvent):
    """
    The client broke the framing of its messages, as ``error`` says (`MessageTooLong`, for one): its connection was
    closed.
    """

    error: MessageError


@attrs.frozen(kw_only=True)
class MessageDropped(RequestEvent):
    """The client ended its input in the middle of a message: the ``size`` bytes of it were dropped."""

    size: int


@attrs.frozen(kw_only=True)
class NotOpened(RequestEvent):
    """
    A connection could not be made ready for its handler, for this ``reason``, and was closed; no handler has seen
    it. ``error`` is what was raised, its ``__cause__`` what was behind that.
    """

    reason: str
    error: BaseException


@attrs.frozen(kw_only=True)
class TlsFailed(NotOpened):
    """
    A connection could not be secured by TLS, for this ``reason``, and was closed; no handler has seen it, unless
    it was the handler that asked for TLS. ``error`` is what was raised, its ``__cause__`` what `ssl` said.
    """


@attrs.frozen(kw_only=True)
class ProxyFailed(NotOpened):
    """
    A proxy, whose own address is the ``client_address`` here, has not said whom it speaks for: its connection was
    closed, for this ``reason``.
    """


@attrs.frozen(kw_only=True)
class DeadlinePassed(RequestEvent):
    """
    A connection is ended because one of its deadlines has passed: ``deadline`` is its name in
    `sockserve.Deadlines`, "idle" or "total", and ``seconds`` what it was. That of a handshake is `TlsFailed`.

    ``ended`` is false where there was nothing to end: the handler has taken the socket's descriptor away.
    """

    deadline: str
    seconds: float
    ended: bool
