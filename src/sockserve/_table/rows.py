"""The rows of a table, and the table that runs them: no socket and no greenlet, a row says how to go on."""

import threading
from collections import deque
from collections.abc import Callable

import attrs

from ..abc import Job, Loop, Timer
from ..stats import RowInfo
from .machine import TRANSITIONS, Action, Signal, State
from .verdicts import aborted, wait_error

__all__ = ("MOST_REFUSALS", "Row", "Table")

#: Waits that an aborted row may try before it is given up: a handler that retries for ever never ends.
MOST_REFUSALS = 100

_MEANT = {State.READING: "readable", State.WRITING: "writable", State.WAITING: "wake-up", State.READY: "turn"}

# The machine's numbers, as those of its table: see there.
_NEW, _RUNNING, _ABANDONED = State.READY.value, State.RUNNING.value, State.ABANDONED.value
_TURN, _YIELD, _WAKE, _TIME_OUT = Signal.TURN.value, Signal.YIELD.value, Signal.WAKE.value, Signal.TIME_OUT.value
_ABORT, _GIVE_UP, _END, _FORK = (
    signal.value for signal in (Signal.ABORT, Signal.GIVE_UP, Signal.END, Signal.FORK)
)
_NOTHING, _PARK, _RESUME, _QUEUE = Action.NOTHING.value, Action.PARK.value, Action.RESUME.value, Action.QUEUE.value

#: How a wait of a row ends when it is resumed: the action, of those that raise; None: it goes on. The error itself
#: is made by the row, whose frames it then refers to: nobody else is to hold it.
Verdict = int | None


class Row:
    """
    One request in flight.

    Args:
        job: The request.
        table: Where it is.
        go: Lets it go on, from the loop: called with how its wait ends; returns when the row
            waits again or has ended.
        leave: Lets the loop go on, from the row: returns what `go` was called with.
    """

    __slots__ = (
        "alarm",
        "alarm_at",
        "deadline",
        "go",
        "job",
        "leave",
        "on_forked",
        "refused",
        "since",
        "state",
        "table",
    )

    def __init__(
        self, job: Job, table: "Table", go: Callable[[Verdict], object], leave: Callable[[], Verdict]
    ) -> None:
        self.job = job
        self.table = table
        self.go = go
        self.leave = leave
        self.state = _NEW
        self.since = 0.0
        self.deadline: float | None = None
        self.alarm: Timer | None = None
        self.alarm_at = 0.0
        self.refused = 0
        #: Called in a process that a handler of the table has forked.
        self.on_forked: Callable[[], object] | None = None

    def wait(self, signal: int, deadline: float | None) -> None:
        """
        Park, in this row's handler, until the table resumes it; *signal*, a value of `Signal`, says for what.

        It may be resumed for something else, that comes late from another thread for instance: who waits looks
        whether he has got what he waits for, and else waits again.

        Raises:
            TimeoutError: The *deadline* has passed.
            RequestAborted: The server has stopped.
        """
        self.state, action = TRANSITIONS[self.state][signal]
        if action != _PARK:
            self._refuse(action)
        if deadline is not None:
            self._expect(deadline)
        verdict = self.leave()
        self.deadline = None
        if verdict is not None:
            raise wait_error(verdict)

    def give_way(self) -> None:
        """
        Let everything else that is ready go first.

        Raises:
            RequestAborted: The server has stopped.
        """
        if self.state == _RUNNING:
            self.table.line_up(self)
        self.wait(_YIELD, None)

    def _refuse(self, action: int) -> None:
        if action != Action.REFUSE:
            raise AssertionError(f"a row that has to {Action(action).name} has waited")
        self.refused += 1
        if self.refused > MOST_REFUSALS:
            if self.state != _ABANDONED:
                self.table.give_up(self)
            while True:
                self.leave()  # never resumed, but for the end of its stack, which may be tried more than once
        raise aborted()

    def _expect(self, deadline: float) -> None:
        """
        Be woken at *deadline*, unless the wait has ended by then.

        The alarm stays when the wait ends, and is looked at when it rings: a connection that sets a deadline for
        every request costs the loop one timer in that time, not one a request.
        """
        self.deadline = deadline
        if self.alarm is not None:
            if self.alarm_at <= deadline:
                return
            self.alarm.cancel()
        self._set_alarm(deadline)

    def _set_alarm(self, when: float) -> None:
        self.alarm_at = when
        self.alarm = self.table.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self.alarm = None
        if self.deadline is None:
            return
        if self.deadline > self.table.clock():
            self._set_alarm(self.deadline)
        else:
            self.table.run(self, _TIME_OUT)

    def forget_alarm(self) -> None:
        """Cancel what is left of the last wait with a deadline."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def info(self) -> RowInfo:
        """Describe it."""
        return RowInfo(
            client_address=self.job.client_address,
            state=State(self.state).name,
            waiting_for=_MEANT.get(State(self.state), ""),
            deadline=self.deadline,
            since=self.since,
        )


@attrs.define(eq=False)
class Table:
    """
    All rows of one runner.

    Args:
        loop: Who waits for them.
        slow: Seconds that a row may hold the loop without being reported.
        on_slow: Called with a row and the seconds that it has held the loop.
        on_abandoned: Called with a row that would not end.
    """

    loop: Loop
    slow: float
    on_slow: Callable[[Row, float], object]
    on_abandoned: Callable[[Row], object]
    #: In a process forked since: the rows and the loop are the parent's, and nothing here may be touched.
    foreign: bool = False
    #: The thread that runs the loop, while there are rows.
    thread: int | None = None
    #: Called in such a process: rows without a stack are not in this table.
    on_forked: Callable[[], object] | None = attrs.field(init=False, default=None)
    clock: Callable[[], float] = attrs.field(init=False)
    rows: set[Row] = attrs.field(init=False, factory=set)
    _queue: deque[Row] = attrs.field(init=False, factory=deque)
    _scheduled: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.move(self.loop)

    def move(self, loop: Loop) -> None:
        """Belong to *loop* from here on."""
        self.loop = loop
        self.clock = loop.time

    def add(self, row: Row) -> None:
        """Take a row, and let it run until it waits for the first time."""
        self.rows.add(row)
        self.run(row, _TURN)

    def run(self, row: Row, signal: int) -> None:
        """
        Tell a row what has happened, and let it run if that is what it waits for. Called by the loop only.

        Raises:
            BaseException: What the handler's end lets through, which is not meant for its request alone.
        """
        row.state, action = TRANSITIONS[row.state][signal]
        if action == _NOTHING:
            return
        clock = self.clock
        row.since = began = clock()
        row.go(None if action == _RESUME else action)
        row.since = now = clock()
        if now - began > self.slow:
            self.on_slow(row, now - began)

    def line_up(self, row: Row) -> None:
        """Put a row in the queue, after the loop's next look at its descriptors. The loop's thread only."""
        self._queue.append(row)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._run_queue)

    def _run_queue(self) -> None:
        self._scheduled = False
        queue = self._queue
        for _ in range(len(queue)):
            self.run(queue.popleft(), _TURN)

    def call(self, callback: Callable[[], object]) -> None:
        """Let the loop call *callback*, from whatever thread or row."""
        if threading.get_ident() == self.thread:
            self.loop.call_soon(callback)
        else:
            self.loop.call_soon_threadsafe(callback)

    def wake(self, row: Row) -> None:
        """Let a row go on that waits, from whatever thread or row."""
        if self.foreign:
            return
        if threading.get_ident() == self.thread:
            self._wake(row)
        else:
            self.loop.call_soon_threadsafe(lambda: self._wake(row))

    def _wake(self, row: Row) -> None:
        row.state, action = TRANSITIONS[row.state][_WAKE]
        if action == _QUEUE:
            self.line_up(row)

    def ended(self, row: Row) -> None:
        """Take off a row whose handler has returned. Called in the row."""
        row.state, _ = TRANSITIONS[row.state][_END]
        row.forget_alarm()
        self.rows.discard(row)

    def give_up(self, row: Row) -> None:
        """Take off a row that would not end. Called in the row, which leaves for good."""
        row.state, _ = TRANSITIONS[row.state][_GIVE_UP]
        row.forget_alarm()
        self.rows.discard(row)
        self.on_abandoned(row)

    def forked(self) -> None:
        """Be the parent's, in a child: nothing here is touched any more, and no row waits in the loop."""
        self.foreign = True
        for row in self.rows:
            row.state, _ = TRANSITIONS[row.state][_FORK]
            if row.on_forked is not None:
                row.on_forked()
        if self.on_forked is not None:
            self.on_forked()

    def abort_all(self) -> None:
        """
        Let every row end: its wait raises RequestAborted, and so does every later one.

        Raises:
            BaseException: The first of what the handlers' ends let through, after all have ended.
        """
        error: BaseException | None = None
        for row in tuple(self.rows):
            try:
                self.run(row, _ABORT)
            except BaseException as caught:  # noqa: BLE001 - raised below, when all have ended
                error = error or caught
        self._queue.clear()
        self._scheduled = False  # the loop runs no more; the next time it may be another
        if error is not None:
            raise error
