"""
What can happen to a row, and what is done then: a table of (state, signal) → (next state, action).

Pure: nothing here waits, switches or knows a socket. All that decides lies in `TRANSITIONS`.

A row is in one place at a time: its handler has the thread (`RUNNING`), or it is parked for something (`READING`,
`WRITING`, `WAITING`), or it is to go on in its turn (`READY`). Signals come from three sides: from the handler,
which wants to wait; from the loop, which may switch to the row at once (`READABLE`, `WRITABLE`, `TIME_OUT`,
`TURN`, `ABORT`); and from anybody else (`WAKE`), who can only put it in the queue.
"""

from enum import IntEnum

__all__ = ("TRANSITIONS", "Action", "Signal", "State", "Step")


class State(IntEnum):
    """Where a row is."""

    READY = 0
    """In the queue: new, woken, or it has made room for the others."""
    RUNNING = 1
    """Its handler has the thread."""
    READING = 2
    """Parked until a socket is readable."""
    WRITING = 3
    """Parked until a socket is writable."""
    WAITING = 4
    """Parked until somebody wakes it, or for a time."""
    ABORTING = 5
    """Told to end: whatever it would wait for raises."""
    ENDED = 6
    """Its handler has returned."""
    ABANDONED = 7
    """It would not end, and is never resumed."""
    FORKED = 8
    """In a child that its handler, or another one, has forked: the row is the parent's, and waits for itself."""


class Signal(IntEnum):
    """What happens to a row."""

    TURN = 0
    """Loop: it is the first of the queue."""
    READ = 1
    """Handler: it has to wait until a socket is readable."""
    WRITE = 2
    """Handler: it has to wait until a socket is writable."""
    WAIT = 3
    """Handler: it has to wait until it is woken, or for a time."""
    YIELD = 4
    """Handler: it has had its share, let others go first."""
    READABLE = 5
    """Loop: the socket that it reads from may be readable."""
    WRITABLE = 6
    """Loop: the socket that it writes to may be writable."""
    WAKE = 7
    """Anybody: go on, whatever you wait for."""
    TIME_OUT = 8
    """Loop: it has waited long enough."""
    ABORT = 9
    """Loop: it has to end."""
    GIVE_UP = 10
    """Handler: it has been told to end, again and again, and wants to wait once more."""
    END = 11
    """Handler: it has returned or raised."""
    FORK = 12
    """Anybody: this process is a child, and the table is its parent's."""


class Action(IntEnum):
    """What follows from a signal."""

    NOTHING = 0
    """It has come too late, or twice."""
    PARK = 1
    """Leave the row for the loop."""
    RESUME = 2
    """Switch to the row."""
    RAISE_TIMEOUT = 3
    """Switch to the row, and let its wait raise TimeoutError."""
    RAISE_ABORTED = 4
    """Switch to the row, and let its wait raise RequestAborted."""
    QUEUE = 5
    """Put the row in the queue."""
    REFUSE = 6
    """Do not wait: raise RequestAborted here."""
    FORGET = 7
    """Take the row off the table."""
    REJECT = 8
    """This cannot come in this state: a bug of this package, to be raised."""


Step = tuple[State, Action]

_PARKING = {
    Signal.READ: (State.READING, Action.PARK),
    Signal.WRITE: (State.WRITING, Action.PARK),
    Signal.WAIT: (State.WAITING, Action.PARK),
    Signal.YIELD: (State.READY, Action.PARK),
}


_FORKED = (State.FORKED, Action.NOTHING)


def _ignored(state: State, *signals: Signal) -> dict[Signal, Step]:
    return dict.fromkeys(signals, (state, Action.NOTHING))


def _parked(state: State, *resuming: Signal) -> dict[Signal, Step]:
    """Give the row of a state in which a row is parked, and which these signals end."""
    return {
        **_ignored(state, Signal.TURN, Signal.READABLE, Signal.WRITABLE),
        **dict.fromkeys(resuming, (State.RUNNING, Action.RESUME)),
        Signal.WAKE: (State.READY, Action.QUEUE),
        Signal.TIME_OUT: (State.RUNNING, Action.RAISE_TIMEOUT),
        Signal.ABORT: (State.ABORTING, Action.RAISE_ABORTED),
        Signal.FORK: _FORKED,
    }


#: Signals from outside, which may come too late.
_OUTSIDE = (Signal.TURN, Signal.READABLE, Signal.WRITABLE, Signal.WAKE, Signal.TIME_OUT, Signal.ABORT)

_ROWS: dict[State, dict[Signal, Step]] = {
    State.READY: {
        **_ignored(State.READY, Signal.READABLE, Signal.WRITABLE, Signal.WAKE, Signal.TIME_OUT),
        Signal.TURN: (State.RUNNING, Action.RESUME),
        Signal.ABORT: (State.ABORTING, Action.RAISE_ABORTED),
        Signal.FORK: _FORKED,
    },
    State.RUNNING: {
        **_PARKING,
        # The row itself may set the event that it has just stopped waiting for.
        **_ignored(State.RUNNING, Signal.TURN, Signal.READABLE, Signal.WRITABLE, Signal.WAKE, Signal.TIME_OUT),
        # A signal handler has raised between this and the switch.
        Signal.ABORT: (State.ABORTING, Action.RAISE_ABORTED),
        Signal.END: (State.ENDED, Action.FORGET),
        Signal.FORK: _FORKED,
    },
    State.READING: _parked(State.READING, Signal.READABLE),
    State.WRITING: _parked(State.WRITING, Signal.WRITABLE),
    State.WAITING: _parked(State.WAITING),
    State.ABORTING: {
        **dict.fromkeys(_PARKING, (State.ABORTING, Action.REFUSE)),
        **_ignored(State.ABORTING, *_OUTSIDE),
        Signal.GIVE_UP: (State.ABANDONED, Action.FORGET),
        Signal.END: (State.ENDED, Action.FORGET),
        Signal.FORK: _FORKED,
    },
    State.ENDED: _ignored(State.ENDED, *_OUTSIDE, Signal.FORK),
    State.ABANDONED: {
        # The end of its stack, when it is forgotten, may let it try again.
        **dict.fromkeys(_PARKING, (State.ABANDONED, Action.REFUSE)),
        **_ignored(State.ABANDONED, *_OUTSIDE, Signal.FORK),
    },
    State.FORKED: {
        **_ignored(State.FORKED, *_OUTSIDE, Signal.FORK),
        Signal.END: (State.ENDED, Action.FORGET),
    },
}


def _plain(step: Step) -> tuple[int, int]:
    state, action = step
    return state.value, action.value


#: By state, then by signal: next state and action. Plain numbers, and looked up without a call, since every
#: request takes four steps: enum members as indices cost three times as much (measured).
TRANSITIONS: tuple[tuple[tuple[int, int], ...], ...] = tuple(
    tuple(_plain(_ROWS[state].get(signal, (state, Action.REJECT))) for signal in Signal) for state in State
)
