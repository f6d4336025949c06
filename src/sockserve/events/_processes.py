"""Events of the processes that a server has forked."""

import attrs

from ._base import Event, RequestEvent

__all__ = (
    "ChildDied",
    "ForkedBesideThreads",
    "WorkerDied",
    "WorkerEnded",
    "WorkerEvent",
    "WorkerFailed",
    "WorkerReplaced",
    "WorkerStarted",
)


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
