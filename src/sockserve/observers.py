"""The default observer, which writes to the standard logging, and how observers are asked and called."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from . import events
from .events import Event

if TYPE_CHECKING:
    import logging

__all__ = ("LogEvents", "Observer", "SelectiveObserver", "log_events")


class Observer(Protocol):
    """
    Whoever is told of events: called where they happen, in any thread and in forked children.

    What it raises is logged once and swallowed. It may have a method ``wants(kind) -> bool``, that is asked
    before an event of this kind is made: the others then cost nothing.
    """

    def __call__(self, event: Event, /) -> object:
        """Take note of *event*."""
        ...


@runtime_checkable
class SelectiveObserver(Protocol):
    """An observer that says which events it wants."""

    def __call__(self, event: Event, /) -> object:
        """Take note of *event*."""
        ...

    def wants(self, kind: type[Event], /) -> bool:
        """Whether events of exactly this kind are to be made."""
        ...


# The levels of the standard logging module. It is imported with the first event that is logged, not before: its
# at-fork hooks run at every fork, in parent and child (measured: 30 page faults of a child's 210).
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40

#: How each event is logged: its level and its text, in which ``e`` is the event. A peer that went away is no
#: more than a detail; a bug in a handler is an error, with its traceback.
_ROWS: dict[type[Event], tuple[int, str]] = {
    events.Listening: (INFO, "listening at {e.server_address!r}"),
    events.Closed: (INFO, "closed {e.server_address!r}"),
    events.Accepted: (DEBUG, "accepted {e.client_address!r}"),
    events.Refused: (INFO, "refused {e.client_address!r}: {e.reason}"),
    events.VerifyFailed: (
        ERROR,
        "verify raised {e.error!r} for {e.client_address!r}, which is refused",
    ),
    events.NotStarted: (ERROR, "could not start the request of {e.client_address!r}: {e.error!r}"),
    events.Finished: (DEBUG, "finished {e.client_address!r} after {e.duration:.6f} s, ok={e.ok}"),
    events.HandlerFailed: (ERROR, "{e.handler} failed for {e.client_address!r}: {e.error!r}"),
    events.PeerGone: (DEBUG, "{e.client_address!r} went away: {e.error!r}"),
    events.AcceptFailed: (DEBUG, "an arrival was lost at {e.server_address!r}: {e.error!r}"),
    events.AcceptPaused: (
        WARNING,
        "cannot accept at {e.server_address!r} ({e.error!r}); trying every {e.seconds} s",
    ),
    events.AcceptResumed: (INFO, "accepting again at {e.server_address!r}"),
    events.ForkedBesideThreads: (
        WARNING,
        "forking while {e.threads} other threads run: locks that they hold stay held in the child",
    ),
    events.ChildDied: (
        ERROR,
        "process {e.pid}, which served {e.client_address!r}, ended with status {e.status}",
    ),
    events.Draining: (INFO, "draining {e.active} requests for at most {e.grace} s"),
    events.Drained: (INFO, "drained, {e.aborted} requests were aborted"),
    events.RequestsAbandoned: (
        WARNING,
        "{e.active} requests were still active after their grace, and are not waited for",
    ),
}
_OTHERS = (INFO, "{e!r}")


@attrs.frozen
class LogEvents:
    """
    An observer that writes each event to the standard logging, at a level that fits the event.

    Args:
        name: Of the logger. An event whose level it does not let through is not even made.
    """

    name: str = "sockserve"

    def wants(self, kind: type[Event]) -> bool:
        """Whether the logger would let events of *kind* through."""
        level = _ROWS.get(kind, _OTHERS)[0]
        if (logging := sys.modules.get("logging")) is None:
            return level >= WARNING  # nobody has configured anything: the root logger's own level
        enabled: bool = logging.getLogger(self.name).isEnabledFor(level)
        return enabled

    def __call__(self, event: Event) -> None:
        """Write *event*, with the traceback where it carries a handler's error."""
        level, text = _ROWS.get(type(event), _OTHERS)
        error = event.error if isinstance(event, events.HandlerFailed | events.VerifyFailed) else None
        self.logger.log(level, "%s", text.format(e=event), exc_info=error)

    @property
    def logger(self) -> "logging.Logger":
        """The logger that events go to."""
        import logging  # noqa: PLC0415 - see the levels above

        return logging.getLogger(self.name)


#: What servers use unless told otherwise: the logger ``sockserve``.
log_events = LogEvents()


def _wants_all(kind: type[Event], /) -> bool:
    return True


@attrs.define(eq=False)
class Emitter:
    """Hands events to one observer, and keeps its failures away from the server."""

    observer: Observer
    wants: Callable[[type[Event]], bool] = attrs.field(init=False)
    _said: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        observer = self.observer
        self.wants = observer.wants if isinstance(observer, SelectiveObserver) else _wants_all

    def emit(self, event: Event, /) -> None:
        """Call the observer with *event*. Its first failure is logged, and none goes further."""
        try:
            self.observer(event)
        except Exception:
            if not self._said:
                self._said = True
                log_events.logger.exception(
                    "the observer %r failed at %r; its further failures are not logged", self.observer, event
                )
