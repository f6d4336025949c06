"""Where a strategy works for a server that polls: its loop, its runner, and when the two get a turn."""

import contextlib
import operator
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import attrs

from .._loop.loop import EventLoop
from ..abc import Loop, LoopRunner, Runner, Strategy
from ._host_loop import HostLoop
from ._job import Face, ServerJob
from ._state import known_state, state_of

__all__ = ("Host", "Row", "close_host", "host_of", "look_away", "run_ready", "start_anew")

#: Makes the runner for a strategy, and is given the one before, if the options of a server that serves changed.
Start: TypeAlias = Callable[[Strategy, Loop, Face, Runner | None], Runner]


def start_anew(strategy: Strategy, loop: Loop, face: Face, before: Runner | None) -> Runner:
    """Start a strategy; what was submitted to the runner before stays there until the server is closed."""
    return strategy.start(loop, face)


class Row:
    """
    A strategy, and the class attributes that stand for its fields.

    Args:
        strategy: With the values that hold where a class says nothing else.
        names: Field → attribute, for the fields whose documented attribute is called otherwise.
        start: Makes the runner.
        fixed: The strategy is one with its values: no attribute stands for a field.
    """

    def __init__(
        self,
        strategy: Strategy,
        names: Mapping[str, str] | None = None,
        start: Start = start_anew,
        *,
        fixed: bool = False,
    ) -> None:
        self.strategy = strategy
        self.start = start
        kind = type(strategy)
        self.fields: tuple[str, ...] = (
            tuple(each.name for each in attrs.fields(kind) if each.init) if attrs.has(kind) and not fixed else ()
        )
        self.attributes = tuple((names or {}).get(field, field) for field in self.fields)
        self._read: Callable[[object], object] = operator.attrgetter(*self.attributes) if self.fields else type
        self._make: Callable[..., Strategy] = kind  # type: ignore[explicit-any]  # of whatever fields

    def defaults(self) -> dict[str, object]:
        """Return the class attributes and their values."""
        values = (getattr(self.strategy, field) for field in self.fields)
        return dict(zip(self.attributes, values, strict=True))

    def read(self, server: object) -> object:
        """Return the present values of all attributes as one value: to see whether something was changed."""
        return self._read(server)

    def strategy_for(self, server: object) -> Strategy:
        """Return the strategy with the fields that the server's attributes say."""
        changes = {}
        for field, attribute in zip(self.fields, self.attributes, strict=True):
            changes[field] = _as_option(getattr(self.strategy, field), getattr(server, attribute))
        if not changes:
            return self.strategy
        return self._make(**changes)


def _as_option(default: object, value: object) -> object:
    """Take what class attributes are in use for: 0 and 1 for a bool, a large or infinite number for no limit."""
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, int) and isinstance(value, int | float):
        return int(min(value, 2**31 - 1))
    return value


class Host:
    """A row at work for one server, in one process."""

    def __init__(self, row: Row, server: object) -> None:
        self.row = row
        self.loop = HostLoop(state_of(server))
        self._face = Face(server)
        self._read = row.read(server)
        self.runner = row.start(row.strategy_for(server), self.loop, self._face, None)
        self._runners = [self.runner]
        #: Whether requests live in the thread that serves, and only while it does.
        self.in_loop = isinstance(self.runner, LoopRunner)
        self._loop: EventLoop | None = None
        #: Makes the loop look away from the listener, while it serves.
        self.door: Callable[[], object] | None = None
        self._raised: BaseException | None = None
        # A server that is dropped without being closed leaves no descriptor and no idle thread behind.
        self._finalizer = weakref.finalize(server, _release, self._runners, os.getpid())
        self._finalizer.atexit = False

    def follow(self, row: Row, server: object) -> None:
        """Take note of options that were changed since the last request."""
        read = row.read(server)
        if read != self._read or row is not self.row:
            loop = self._loop or self.loop
            self.runner = row.start(row.strategy_for(server), loop, self._face, self.runner)
            self.row, self._read = row, read
            self.in_loop = isinstance(self.runner, LoopRunner)
            if self.runner not in self._runners:
                self._runners.append(self.runner)

    @property
    def full(self) -> bool:
        """Whether no request can be taken now."""
        return self.runner.full

    def wait_for_room(self, timeout: float | None) -> None:
        """Wait until a request has ended, somebody calls, or *timeout* is over."""
        self.loop.wait_while(self._is_full, timeout)

    def _is_full(self) -> bool:
        return self.runner.full

    def submit(self, job: ServerJob) -> None:
        """Hand a request to the strategy. Loops of others do not know of `full`: they wait here."""
        while self.runner.full:
            self.wait_for_room(None)
        if not self.in_loop:
            self.runner.submit(job)
        elif self._loop is None:
            self._run_to_its_end(job)
        else:
            self._begin(job)

    def _begin(self, job: ServerJob) -> None:
        try:
            self.runner.submit(job)
        except Exception:
            raise
        except BaseException as error:
            if not job.over:
                raise
            self._raised = error  # the request has had its end already, and is not to be shut once more

    def raise_what_ended_a_request(self) -> None:
        """Raise what is not meant for a request alone, KeyboardInterrupt for example."""
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _run_to_its_end(self, job: ServerJob) -> None:
        """Nobody serves by a loop of ours: run this request, and nothing else, until it has ended."""
        loop = EventLoop()
        with self.served_by(loop):
            loop.call_soon(lambda: self.runner.submit(job))
            loop.run(lambda: job.over)

    @contextlib.contextmanager
    def served_by(self, loop: EventLoop) -> Iterator[None]:
        """Let requests live on *loop*, which waits for them until the end of the block. Then they are ended."""
        self._loop = loop
        self.runner.move(loop)
        try:
            yield
        finally:
            self.door = None
            try:
                self._leave()
            finally:
                self._loop = None
                self.runner.move(self.loop)

    def _leave(self) -> None:
        for runner in self._runners:
            if isinstance(runner, LoopRunner):
                runner.leave()
        self._runners[:] = [self.runner]  # the earlier ones, of other options, have nothing in flight any more

    def close(self) -> None:
        """Wait as the strategy's options say, and release everything."""
        self._finalizer.detach()
        for runner in self._runners:
            runner.close(None)


def _release(runners: list[Runner], pid: int) -> None:
    if pid == os.getpid():
        for runner in runners:
            runner.close(time.monotonic())


def host_of(server: object, row: Row) -> Host:
    """Return the server's host, made at the first request."""
    state = state_of(server)
    host = state.host
    if host is None:
        host = state.host = Host(row, server)
    else:
        host.follow(row, server)
    return host


def run_ready(server: object) -> None:
    """Give the strategy's loop a turn, between two requests."""
    state = known_state(server)
    if state is not None and state.host is not None:
        state.host.loop.run_ready()


def look_away(server: object) -> None:
    """Let the loop that serves look away from the socket, which is about to be closed."""
    state = known_state(server)
    if state is not None and state.host is not None and state.host.door is not None:
        state.host.door()


def close_host(server: object) -> None:
    """Wait for the requests in flight, as the strategy's options say, and let go of the strategy."""
    state = known_state(server)
    if state is not None and state.host is not None:
        host, state.host = state.host, None
        host.close()
