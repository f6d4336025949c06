"""
What the module keeps for a server, in one private attribute of the instance that is made when it is needed.

Nothing of it exists before a server serves, and nothing is shared across a fork: a process that finds the state of
another begins with a new one.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from .._loop.accept_errors import AcceptAction
from .._loop.loop import EventLoop
from .._loop.wakeup import Wakeup
from .._typing import override

if TYPE_CHECKING:
    from ._crew import Crew
    from ._host import Host
    from ._row import Row

__all__ = ("LoopEnded", "State", "ask_to_leave", "known_state", "state_of")

_ATTRIBUTE = "_sockserve"


class State:
    """What one process knows of one server."""

    __slots__ = ("crew", "host", "inner", "lock", "loop", "lost", "pid", "relay", "threads", "used", "wakeup")

    def __init__(self) -> None:
        self.pid = os.getpid()
        #: Held where it is said what `host` is, and what it does.
        self.lock = threading.RLock()
        #: The threads that poll for this server now, each as often as it does. List operations are atomic.
        self.threads: list[int] = []
        self.wakeup: Wakeup | None = None
        #: What waits in that thread, where it is a loop.
        self.loop: EventLoop | None = None
        #: The strategy at work.
        self.host: Host | None = None
        #: The processes that serve for this one, or whose worker it is.
        self.crew: Crew | None = None
        #: What runs the requests of this process, where others serve.
        self.inner: Row | None = None
        #: How a forked child reaches the process that serves.
        self.relay: Callable[[float | None], None] | None = None
        #: Set where the last arrival could not be taken: what is to be done about it.
        self.lost: AcceptAction | None = None
        #: Attributes that have had their effect.
        self.used: frozenset[str] = frozenset()

    @property
    def works(self) -> bool:
        """Whether this process is a worker of another one."""
        return self.crew is not None and self.relay is not None

    def wake(self) -> None:
        """End the wait of whoever polls. Any thread, signal handlers too."""
        wakeup = self.wakeup
        if wakeup is not None:
            wakeup.wake()
        loop = self.loop
        if loop is not None:
            loop.wake()

    @contextlib.contextmanager
    def woken_by(self, loop: EventLoop) -> Iterator[None]:
        """Let `wake` be heard by *loop*."""
        before, self.loop = self.loop, loop
        try:
            yield
        finally:
            self.loop = before

    @property
    def polls_here(self) -> bool:
        """Whether the caller is, further up in its stack, the loop of this server."""
        return threading.get_ident() in self.threads

    @contextlib.contextmanager
    def polling_here(self) -> Iterator[None]:
        """Poll in this thread, for the time of the block: until the last request has been ended."""
        me = threading.get_ident()
        self.threads.append(me)
        try:
            yield
        finally:
            self.threads.remove(me)


def known_state(server: object) -> State | None:
    """Return the server's state, if this process has one."""
    state = cast("State | None", vars(server).get(_ATTRIBUTE))
    return state if state is not None and state.pid == os.getpid() else None


def state_of(server: object) -> State:
    """Return the server's state, a new one at first and in a process just forked."""
    namespace = vars(server)
    state = cast("State", namespace.get(_ATTRIBUTE) or namespace.setdefault(_ATTRIBUTE, State()))
    if state.pid != os.getpid():
        inherited, state = state, State()
        state.used = inherited.used
        namespace[_ATTRIBUTE] = state
    return state


class LoopEnded(threading.Event):
    """
    Set when a loop has ended. It also knows whether one has begun, since each one, a program's own copy of
    ``serve_forever`` too, begins by clearing it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began_in: int | None = None

    @override
    def clear(self) -> None:
        self._began_in = os.getpid()
        super().clear()

    @property
    def can_come(self) -> bool:
        """Whether a loop of this process has begun: else waiting for its end may be waiting for ever."""
        return self._began_in == os.getpid()


def ask_to_leave(server: object, ended: threading.Event) -> bool:
    """
    Let the loop look at its flag, which is set already.

    Returns:
        Whether the caller is to wait for *ended*: not where it is the loop itself, runs in a child of the serving
        process, or where nothing serves yet. The next loop then finds the flag and leaves at once.
    """
    state = state_of(server)
    if state.relay is not None:
        state.relay(None)
        return False
    state.wake()
    if state.polls_here:
        return False
    return not isinstance(ended, LoopEnded) or ended.can_come
