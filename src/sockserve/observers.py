"""
The default observer, which writes to the standard logging, and how observers are asked and called.

logging is imported when there is something to write. What it hooks into os.fork costs a short child a tenth of its
time (26 page faults of 230, measured), and a program that has not imported it has not configured it either.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from . import events
from .events import Event

if TYPE_CHECKING:
    import logging

__all__ = ("LogEvents", "Observer", "SelectiveObserver", "load_logging", "log_events")

#: The levels of `logging`, by their documented numbers.
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40


class Observer(Protocol):
    """
    Whoever is told of events: called where they happen, in any thread and in forked children.

    What it raises is logged once and swallowed. It may have a method ``wants(kind) -> bool``, that is asked
    before an event of this kind is made: the others then cost nothing. For the two events that every request has
    it is asked ten times a second at most.
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


def load_logging() -> None:
    """
    Import logging now.

    Before a fork in a process with other threads: one of them may be importing it, and the child, which does not
    have that thread, would wait for it for ever.
    """
    import logging  # noqa: F401, PLC0415 - see the module's docstring


@attrs.frozen
class LogEvents:
    """
    An observer that writes each event to a logger, at a level that fits the event.

    Args:
        name: Of the logger. An event whose level it does not let through is not even made.
    """

    name: str = "sockserve"

    @property
    def logger(self) -> "logging.Logger":
        """``logging.getLogger(name)``."""
        import logging  # noqa: PLC0415 - see the module's docstring

        return logging.getLogger(self.name)

    def wants(self, kind: type[Event]) -> bool:
        """Whether the logger would let events of *kind* through."""
        level = _ROWS.get(kind, _OTHERS)[0]
        if sys.modules.get("logging") is None:
            return level >= WARNING  # what a logger that nobody has touched lets through
        return self.logger.isEnabledFor(level)

    def __call__(self, event: Event) -> None:
        """Write *event*, with the traceback where it carries a handler's error."""
        level, text = _ROWS.get(type(event), _OTHERS)
        error = event.error if isinstance(event, events.HandlerFailed | events.VerifyFailed) else None
        self.logger.log(level, "%s", text.format(e=event), exc_info=error)


#: What servers use unless told otherwise: ``logging.getLogger("sockserve")``.
log_events = LogEvents()


def _wants_all(kind: type[Event], /) -> bool:
    return True


@attrs.define(eq=False)
class Emitter:
    """Hands events to one observer, and keeps its failures away from the server."""

    observer: Observer
    _ask: Callable[[type[Event]], bool] = attrs.field(init=False)
    _said: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        observer = self.observer
        self._ask = observer.wants if isinstance(observer, SelectiveObserver) else _wants_all

    def wants(self, kind: type[Event], /) -> bool:
        """Whether events of *kind* are to be made. One that cannot say gets them."""
        try:
            return self._ask(kind)
        except Exception as error:  # noqa: BLE001 - told as the failures of the observer itself are
            self._tell(f"wants({kind.__name__})", error)
            return True

    def emit(self, event: Event, /) -> None:
        """Call the observer with *event*. Its first failure is logged, and none goes further."""
        try:
            self.observer(event)
        except Exception as error:  # noqa: BLE001 - logged, and swallowed as the interface says
            self._tell(repr(event), error)

    def _tell(self, what: str, error: Exception) -> None:
        if not self._said:
            self._said = True
            log_events.logger.error(
                "the observer %r failed at %s; its further failures are not logged",
                self.observer,
                what,
                exc_info=error,
            )
