"""An observer that tells systemd when servers are ready, and when they begin to end."""

import os

import attrs

from .._validators import count
from ..events import Closed, Draining, Event, Listening
from ..observers import Observer, SelectiveObserver, log_events, text_of
from ._notify import Notifier

__all__ = ("SystemdObserver",)

_OURS = (Listening, Draining, Closed)


@attrs.define(eq=False)
class SystemdObserver:
    """
    Tell systemd that the service is ready when its servers listen, and stopping when they drain or close.

    Give it to each server as ``observer``. Clients that connect before READY wait in the kernel's queue; what
    starts after this service finds it listening.

    Args:
        inner: Who is told of every event, too. The default writes to the logger ``sockserve``.
        servers: How many there are: the service is ready when so many listen, and stopping when all of them are.
        notifier: Who is told. The default asks the environment, and where it was not systemd that has started the
            program this observer only passes events on.

    Raises:
        OptionError: ``servers`` is not above 0.
    """

    inner: Observer = log_events
    servers: int = attrs.field(default=1, validator=count(1), kw_only=True)
    notifier: Notifier = attrs.field(factory=Notifier, kw_only=True)
    _listening: dict[object, str] = attrs.field(init=False, factory=dict)
    _ending: set[object] = attrs.field(init=False, factory=set)
    _pid: int = attrs.field(init=False, factory=os.getpid)

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of *kind* are to be made: those that systemd is told of, and what *inner* wants."""
        return kind in _OURS or self._inner_wants(kind)

    def _inner_wants(self, kind: type[Event]) -> bool:
        return self.inner.wants(kind) if isinstance(self.inner, SelectiveObserver) else True

    def __call__(self, event: Event) -> None:
        """Pass *event* on, and tell systemd of it. Workers and forked children tell nothing."""
        if type(event) not in _OURS or self._inner_wants(type(event)):
            self.inner(event)
        if os.getpid() != self._pid:
            return
        match event:
            case Listening():
                self._listening[event.server_address] = text_of(event)
                if len(self._listening) == self.servers:
                    self.notifier.ready("; ".join(self._listening.values()))
            case Draining() | Closed():
                self._end(event)

    def _end(self, event: Draining | Closed) -> None:
        if event.server_address in self._ending:
            return  # drained, and now closed
        self._ending.add(event.server_address)
        if len(self._ending) == self.servers:
            self.notifier.stopping(text_of(event))
