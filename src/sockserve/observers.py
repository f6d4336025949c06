"""
The default observer, which writes to the standard logging, and how observers are asked and called.

logging is used where the program has imported it. One that has not has not configured it either: then this
module writes what logging's handler of last resort would, and where. Importing it here would cost each forked
child a tenth of its time, by what it hooks into os.fork (26 page faults of 230, measured), and could not be put
off until there is something to say: the want of descriptors that is to be reported would not let it be read.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from . import events
from ._text import printable
from .addresses import UnixAddress
from .events import Event

if TYPE_CHECKING:
    import logging

    from ._measuring.measures import Measures

__all__ = ("LogEvents", "Observer", "SelectiveObserver", "log_events")

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


#: How each event is logged: its level and its text, in which ``e`` is the event, ``server`` and ``client`` its
#: addresses for people. A peer that went away is no more than a detail; a bug in a handler is an error, with its
#: traceback.
_ROWS: dict[type[Event], tuple[int, str]] = {
    events.Listening: (INFO, "listening at {server}"),
    events.Closed: (INFO, "closed {server}"),
    events.Accepted: (DEBUG, "accepted {client}"),
    events.Refused: (INFO, "refused {client}: {e.reason}"),
    events.LimitReached: (WARNING, "{e.connections} requests at {server}: more wait until one ends"),
    events.LimitRelieved: (INFO, "half of the {e.connections} requests at {server} have ended"),
    events.VerifyFailed: (
        ERROR,
        "verify raised {e.error!r} for {client}, which is refused",
    ),
    events.NotStarted: (ERROR, "could not start the request of {client}: {e.error!r}"),
    events.NotOpened: (INFO, "the connection of {client} did not begin: {e.reason}"),
    events.TlsFailed: (INFO, "no TLS with {client}: {e.reason}"),
    events.ProxyFailed: (INFO, "no PROXY header from {client}: {e.reason}"),
    events.Finished: (DEBUG, "finished {client} after {e.duration:.6f} s, ok={e.ok}"),
    events.HandlerFailed: (ERROR, "{e.handler} failed for {client}: {e.error!r}"),
    events.TaskLost: (ERROR, "the executor has lost a message of {client} to {e.handler}: {e.error!r}"),
    events.HandlerSlow: (
        WARNING,
        "{e.handler} held all others for {e.duration:.3f} s, serving {client}, until {e.where}",
    ),
    events.RequestAbandoned: (
        ERROR,
        "{e.handler}, serving {client}, ignored the end of the server, and is abandoned",
    ),
    events.DeadlinePassed: (
        INFO,
        "the connection of {client} is over: {e.deadline} deadline of {e.seconds} s",
    ),
    events.MessageRefused: (INFO, "closing the connection of {client}: {e.error}"),
    events.MessageDropped: (DEBUG, "dropped {e.size} bytes of {client}, a message without its end"),
    events.PeerGone: (DEBUG, "{client} went away: {e.error!r}"),
    events.AcceptFailed: (DEBUG, "an arrival was lost at {server}: {e.error!r}"),
    events.AcceptPaused: (
        WARNING,
        "cannot accept at {server} ({e.error!r}); trying every {e.seconds} s",
    ),
    events.AcceptResumed: (INFO, "accepting again at {server}"),
    events.ForkedBesideThreads: (
        WARNING,
        "forking while {e.threads} other threads run: locks that they hold stay held in the child",
    ),
    events.ChildDied: (
        ERROR,
        "process {e.pid}, which served {client}, ended with status {e.status}",
    ),
    events.WorkerStarted: (INFO, "worker {e.number} serves, as process {e.pid}"),
    events.WorkerEnded: (INFO, "worker {e.number}, process {e.pid}, has ended with status {e.status}"),
    events.WorkerDied: (
        ERROR,
        "worker {e.number}, process {e.pid}, died with status {e.status} {e.error}; the next in {e.delay} s",
    ),
    events.WorkerFailed: (ERROR, "worker {e.number} did not start: {e.error}; tried again in {e.delay} s"),
    events.WorkerReplaced: (INFO, "worker {e.number}: process {e.by} has replaced {e.pid}"),
    events.Draining: (INFO, "draining {e.active} requests for at most {e.grace:.1f} s"),
    events.Drained: (INFO, "drained, {e.aborted} requests were aborted"),
    events.RequestsAbandoned: (
        WARNING,
        "{e.active} requests were still active after their grace, and are not waited for",
    ),
}
_OTHERS = (INFO, "{e!r}")


def _get_logger() -> "Callable[[str], logging.Logger] | None":
    """
    Return ``logging.getLogger``, where that has been imported.

    It is among the last things that the module defines: another thread may be in the middle of importing it, or
    may have been when this process was forked from that one.
    """
    found: Callable[[str], logging.Logger] | None = getattr(sys.modules.get("logging"), "getLogger", None)
    return found


def _write(name: str, level: int, text: str, error: BaseException | None, event: Event | None = None) -> None:
    """Write to the logger of this name, or to stderr as logging does for programs that have not configured it."""
    text = printable(text)
    get_logger = _get_logger()
    if get_logger is not None:
        get_logger(name).log(level, "%s", text, exc_info=error, extra=None if event is None else {"event": event})
    elif level >= WARNING and sys.stderr is not None:
        sys.stderr.write(text + "\n")
        if error is not None:
            sys.__excepthook__(type(error), error, error.__traceback__)


def text_of(event: Event) -> str:
    """Say for people what has happened."""
    text = _ROWS.get(type(event), _OTHERS)[1]
    client = _shown(getattr(event, "client_address", None))
    return text.format(e=event, server=_shown(event.server_address), client=client)


def _shown(address: object) -> str:
    """Give an address as it is typed: ``127.0.0.1:80``, a path, ``@name`` where that is abstract."""
    text = str(address)
    if isinstance(address, UnixAddress):
        return f"@{text[1:]}" if address.abstract else text or "an unnamed socket"
    return text


@attrs.frozen
class LogEvents:
    """
    An observer that writes each event to a logger, at a level that fits the event.

    The record has the event itself as its attribute ``event``: `sockserve.logs` makes structured lines of it.

    Args:
        name: Of the logger. An event whose level it does not let through is not even made.
    """

    name: str = "sockserve"

    def wants(self, kind: type[Event]) -> bool:
        """Whether the logger would let events of *kind* through."""
        level = _ROWS.get(kind, _OTHERS)[0]
        get_logger = _get_logger()
        if get_logger is None:
            return level >= WARNING  # what a logger that nobody has touched lets through
        return get_logger(self.name).isEnabledFor(level)

    def __call__(self, event: Event) -> None:
        """Write *event*, with the traceback where it carries a handler's error."""
        level = _ROWS.get(type(event), _OTHERS)[0]
        error = event.error if isinstance(event, events.HandlerFailed | events.VerifyFailed) else None
        _write(self.name, level, text_of(event), error, event)


#: What servers use unless told otherwise: ``logging.getLogger("sockserve")``.
log_events: LogEvents = LogEvents()


def _wants_all(kind: type[Event], /) -> bool:
    return True


@attrs.define(eq=False)
class Emitter:
    """Hands events to one observer, and keeps its failures away from the server."""

    observer: Observer
    #: Counts events, while somebody measures; those that it wants are made even if the observer wants them not.
    measures: "Measures | None" = attrs.field(init=False, default=None)
    _ask: Callable[[type[Event]], bool] = attrs.field(init=False)
    _said: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        observer = self.observer
        self._ask = observer.wants if isinstance(observer, SelectiveObserver) else _wants_all

    def wants(self, kind: type[Event], /) -> bool:
        """Whether events of *kind* are to be made. An observer that cannot say gets them."""
        return (self.measures is not None and self.measures.wants(kind)) or self.tells(kind)

    def tells(self, kind: type[Event], /) -> bool:
        """Whether the observer wants events of *kind*."""
        try:
            return self._ask(kind)
        except Exception as error:  # noqa: BLE001 - told as the failures of the observer itself are
            self._tell(f"wants({kind.__name__})", error)
            return True

    def emit(self, event: Event, /) -> None:
        """Call the observer with *event*. Its first failure is logged, and none goes further."""
        measures = self.measures
        if measures is not None and measures.wants(type(event)):
            measures.count(event)
            if not self.tells(type(event)):
                return
        try:
            self.observer(event)
        except Exception as error:  # noqa: BLE001 - logged, and swallowed as the interface says
            self._tell(repr(event), error)

    def _tell(self, what: str, error: Exception) -> None:
        if self._said:
            return
        self._said = True
        text = f"the observer {self.observer!r} failed at {what}; its further failures are not logged"
        try:
            _write(log_events.name, ERROR, text, error)
        except Exception:  # noqa: BLE001, S110 - stderr is closed, for example: there is nobody left to tell
            pass
