"""Stand-ins for the parts around a runner, for tests of a strategy without a server."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from .._loop.timers import Timer, Timers
from ..abc import READ, Keeper, Listener, Reply
from ..deadlines import Deadlines
from ..events import Event
from ._clock import FakeClock

__all__ = ("FakeCore", "FakeJob", "FakeLoop")


class FakeLoop:
    """
    A loop without descriptors: timers and queued calls run when the test says so.

    Args:
        clock: Its time; a `FakeClock` of its own unless one is given.
    """

    #: As Linux's loop says of itself.
    edges = True

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock: FakeClock = FakeClock() if clock is None else clock
        self.timers: Timers = Timers()
        self.soon: deque[Callable[[], object]] = deque()
        #: What is watched: descriptors, and what is called for each.
        self.watched: dict[int, Callable[[int], object]] = {}
        #: How often a runner has said that it has room again.
        self.resumed: int = 0

    def time(self) -> float:
        """Return the clock's time."""
        return self.clock.now

    def watch(self, fd: int, callback: Callable[[int], object], /, mask: int = READ) -> None:
        """Take note of it."""
        self.watched[fd] = callback

    def unwatch(self, fd: int, /) -> None:
        """Forget it."""
        self.watched.pop(fd, None)

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Have *callback* called by `advance`."""
        return self.timers.add(when, callback)

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Have *callback* called by `turn`."""
        self.soon.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        """Have *callback* called by `turn`."""
        self.soon.append(callback)

    def resume(self) -> None:
        """Count it."""
        self.resumed += 1

    def advance(self, seconds: float) -> None:
        """Let time pass, and call what is due."""
        self.clock.advance(seconds)
        self.timers.run(self.clock.now)

    def turn(self) -> None:
        """Call what is queued now; what that queues waits for the next turn."""
        for _ in range(len(self.soon)):
            self.soon.popleft()()


@attrs.define(eq=False)
class FakeCore:
    """A server's face to its strategy: collects events, and the graces of the stops that are asked for."""

    events: list[Event] = attrs.field(factory=list)
    stops: list[float | None] = attrs.field(factory=list)
    listeners: Sequence[Listener[object, object]] = ()
    address: object = "fake"
    handler_name: str = "fake.handler"
    handler: object = None
    answers_messages: bool = False
    deadlines: Deadlines = attrs.field(factory=Deadlines)
    #: Whether no event is wanted.
    deaf: bool = False

    def wants(self, kind: type[Event], /) -> bool:
        """All, unless ``deaf``."""
        return not self.deaf

    def emit(self, event: Event, /) -> None:
        """Collect *event*."""
        self.events.append(event)

    def request_stop(self, grace: float | None = None, /) -> None:
        """Take note of the grace."""
        self.stops.append(grace)

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """Nothing to let go of."""

    def names(self) -> list[str]:
        """Return the names of the events."""
        return [type(event).__name__ for event in self.events]


class FakeJob:
    """
    A request without a connection: `run` calls what the test gives it.

    Args:
        work: Called by `run`; what it raises goes through.
    """

    stream = True
    client_address: object = "client"

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.request: object = None
        self.work = work
        self.ran_in: threading.Thread | None = None
        self.done: threading.Event = threading.Event()
        self.disowned: bool = False
        self.keeper: Keeper | None = None
        self.settled: bool | None = None
        self.aborted: bool = False

    def run(self) -> bool:
        """Do the work; take note of the thread."""
        self.ran_in = threading.current_thread()
        try:
            self.work()
        finally:
            self.done.set()
        return True

    def replace(self, request: object, /) -> None:
        """Keep *request*."""
        self.request = request

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """No effect: there are no messages."""

    def conversation(self) -> None:
        """None: there is nobody to speak with."""

    def conclude(self, error: BaseException | None, /) -> bool:
        """Never called: there is no conversation."""
        raise NotImplementedError

    def disown(self, keeper: Keeper, /) -> None:
        """Take note of it."""
        self.disowned = True
        self.keeper = keeper

    def settle(self, *, ok: bool) -> None:
        """Take note of it."""
        self.settled = ok
        self.done.set()

    def end_input(self) -> None:
        """No input."""

    def abort(self) -> None:
        """Take note of it."""
        self.aborted = True
