"""
What happens in a server, as frozen records handed to its observer.

The core logs nothing itself. Every record has ``server_address``, the address that the server listens at, and
``client_address`` where one request is meant. Durations are seconds of the monotonic clock.
"""

import attrs

from .errors import MessageError

__all__ = (
    "AcceptFailed",
    "AcceptPaused",
    "AcceptResumed",
    "Accepted",
    "ChildDied",
    "Closed",
    "DeadlinePassed",
    "Drained",
    "Draining",
    "Event",
    "Finished",
    "ForkedBesideThreads",
    "HandlerFailed",
    "HandlerSlow",
    "LimitReached",
    "LimitRelieved",
    "Listening",
    "MessageDropped",
    "MessageRefused",
    "NotOpened",
    "NotStarted",
    "PeerGone",
    "ProxyFailed",
    "Refused",
    "RequestAbandoned",
    "RequestsAbandoned",
    "TaskLost",
    "TlsFailed",
    "VerifyFailed",
    "WorkerDied",
    "WorkerEnded",
    "WorkerFailed",
    "WorkerReplaced",
    "WorkerStarted",
)


@attrs.frozen(kw_only=True)
class Event:
    """The root of all events."""

    server_address: object


@attrs.frozen(kw_only=True)
class RequestEvent(Event):
    """The root of the events that concern one request."""

    client_address: object


@attrs.frozen(kw_only=True)
class Listening(Event):
    """The kernel queues clients from here on."""


@attrs.frozen(kw_only=True)
class Closed(Event):
    """The server has released everything."""


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
class LimitReached(Event):
    """
    As many requests are in flight as may be, ``connections``; more wait. Said once, until `LimitRelieved`: at a
    full server each client that leaves makes room for the next.
    """

    connections: int


@attrs.frozen(kw_only=True)
class LimitRelieved(Event):
    """What `LimitReached` reported has passed: half of the ``connections`` are free."""

    connections: int


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


@attrs.frozen(kw_only=True)
class AcceptFailed(Event):
    """One arrival was lost before it was a request (``accept`` said ``error``); the next is tried at once."""

    error: OSError


@attrs.frozen(kw_only=True)
class AcceptPaused(Event):
    """Nothing can be accepted for want of descriptors or memory; tried again every ``seconds``. Said once."""

    error: OSError
    seconds: float


@attrs.frozen(kw_only=True)
class AcceptResumed(Event):
    """What `AcceptPaused` reported has passed."""


@attrs.frozen(kw_only=True)
class ForkedBesideThreads(Event):
    """
    The strategy forks in a process that has ``threads`` other threads: locks that they hold stay held in
    the child. Said once.
    """

    threads: int


@attrs.frozen(kw_only=True)
class ChildDied(RequestEvent):
    """
    The process of a request ended by a signal (``status`` is minus its number) or with an exit status that
    is neither success (0) nor a failure reported by itself (1).
    """

    pid: int
    status: int


@attrs.frozen(kw_only=True)
class WorkerEvent(Event):
    """
    The root of the events that concern one worker process, told in the process that supervises it. ``number`` is
    that of its slot, from 0; ``pid`` its process, 0 where there was none.
    """

    number: int
    pid: int


@attrs.frozen(kw_only=True)
class WorkerStarted(WorkerEvent):
    """A worker accepts from here on."""


@attrs.frozen(kw_only=True)
class WorkerEnded(WorkerEvent):
    """A worker has ended that had been told to, or had said so, with this ``status`` (minus a signal's number)."""

    status: int


@attrs.frozen(kw_only=True)
class WorkerDied(WorkerEvent):
    """
    A worker that was meant to serve has ended, with this ``status`` (minus a signal's number). ``error`` is what
    it said itself, if it could; what was in flight in it has failed. Another is started in ``delay`` seconds.
    """

    status: int
    error: str
    delay: float


@attrs.frozen(kw_only=True)
class WorkerFailed(WorkerEvent):
    """A worker could not be started, or ended before it accepted, for this ``error``; tried again in ``delay``."""

    error: str
    delay: float


@attrs.frozen(kw_only=True)
class WorkerReplaced(WorkerEvent):
    """The process ``by`` accepts now in the place of ``pid``."""

    by: int


@attrs.frozen(kw_only=True)
class Draining(Event):
    """Nothing more is accepted; ``active`` requests have ``grace`` seconds to finish."""

    active: int
    grace: float


@attrs.frozen(kw_only=True)
class Drained(Event):
    """Draining is over; ``aborted`` requests had not finished and got their sockets shut."""

    aborted: int


@attrs.frozen(kw_only=True)
class RequestsAbandoned(Event):
    """The server is closed after a grace that expired; ``active`` requests still run, and are not waited for."""

    active: int
