"""Stand-ins for the parts that a unit test leaves out."""

import threading
from collections.abc import Callable, Sequence

import attrs

from sockserve.abc import Keeper, Listener, Reply
from sockserve.events import Event


class FakeClock:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakePoller:
    """Reports what the test has put into ``ready``, and takes note of how it was asked to wait."""

    edges = True

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.masks: dict[int, int] = {}
        self.ready: list[tuple[int, int]] = []
        self.timeouts: list[float | None] = []
        self.clock = clock
        self.closed = False

    def register(self, fd: int, mask: int, /) -> None:
        assert fd not in self.masks
        self.masks[fd] = mask

    def unregister(self, fd: int, /) -> None:
        self.masks.pop(fd, None)

    def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
        """Return what is watched and ready; without any, let the time pass."""
        self.timeouts.append(timeout)
        found = [(fd, mask) for fd, mask in self.ready if fd in self.masks]
        if not found and timeout and self.clock is not None:
            self.clock.advance(timeout)
        return found

    def close(self) -> None:
        self.closed = True
        self.masks.clear()


@attrs.define(eq=False)
class FakeCore:
    """Collects events."""

    events: list[Event] = attrs.field(factory=list)
    stops: list[float | None] = attrs.field(factory=list)
    listeners: Sequence[Listener[object, object]] = ()
    address: object = "fake"
    handler_name: str = "fake.handler"
    handler: object = None
    answers_messages: bool = False

    def wants(self, kind: type[Event], /) -> bool:
        return True

    def emit(self, event: Event, /) -> None:
        self.events.append(event)

    def request_stop(self, grace: float | None = None, /) -> None:
        self.stops.append(grace)

    def enter_child(self, relay: Callable[[float | None], None], /) -> None:
        """Nothing to let go of."""

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class FakeJob:
    """A request without a connection: runs what the test gives it."""

    stream = True
    client_address: object = "client"

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.request: object = None
        self.work = work
        self.ran_in: threading.Thread | None = None
        self.done = threading.Event()
        self.disowned = False
        self.settled: bool | None = None
        self.aborted = False

    def run(self) -> bool:
        self.ran_in = threading.current_thread()
        try:
            self.work()
        finally:
            self.done.set()
        return True

    def replace(self, request: object, /) -> None:
        self.request = request

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """No effect: there are no messages."""

    def conversation(self) -> None:
        """None: there is nobody to speak with."""

    def conclude(self, error: BaseException | None, /) -> bool:
        """Never called: there is no conversation."""
        raise NotImplementedError

    def disown(self, keeper: Keeper, /) -> None:
        self.disowned = True
        self.keeper = keeper

    def settle(self, *, ok: bool) -> None:
        self.settled = ok
        self.done.set()

    def end_input(self) -> None:
        """No input."""

    def abort(self) -> None:
        self.aborted = True


@attrs.define(eq=False)
class FakeRunner:
    """Full when the test says so."""

    full: bool = False

    def submit(self, job: object, /) -> None:
        """Take it."""

    def move(self, loop: object, /) -> None:
        """Nothing is on it."""

    def close(self, deadline: float | None, /) -> None:
        """Nothing to wait for."""
