"""The state machine of a row: every pair, and random interleavings."""

import functools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeJob
from sockserve._table.fibres import Fibres, fibre_row
from sockserve._table.machine import TRANSITIONS, Action, Signal, State
from sockserve._table.rows import MOST_REFUSALS, Row, Table
from sockserve.errors import RequestAborted
from sockserve.testing import FakeLoop

#: What follows in every state from every signal: "next state:action"; "-": nothing, it stays; "!": never comes.
EXPECTED = """
          TURN           READ            WRITE           WAIT            YIELD
READY     RUNNING:RESUME !               !               !               !
RUNNING   -              READING:PARK    WRITING:PARK    WAITING:PARK    READY:PARK
READING   -              !               !               !               !
WRITING   -              !               !               !               !
WAITING   -              !               !               !               !
ABORTING  -              ABORTING:REFUSE ABORTING:REFUSE ABORTING:REFUSE ABORTING:REFUSE
ENDED     -              !               !               !               !
ABANDONED -              ABANDONED:REFUSE ABANDONED:REFUSE ABANDONED:REFUSE ABANDONED:REFUSE
FORKED    -              !               !               !               !

          READABLE       WRITABLE        WAKE            TIME_OUT
READY     -              -               -               -
RUNNING   -              -               -               -
READING   RUNNING:RESUME -               READY:QUEUE     RUNNING:RAISE_TIMEOUT
WRITING   -              RUNNING:RESUME  READY:QUEUE     RUNNING:RAISE_TIMEOUT
WAITING   -              -               READY:QUEUE     RUNNING:RAISE_TIMEOUT
ABORTING  -              -               -               -
ENDED     -              -               -               -
ABANDONED -              -               -               -
FORKED    -              -               -               -

          ABORT                  GIVE_UP          END             FORK
READY     ABORTING:RAISE_ABORTED !                !               FORKED:NOTHING
RUNNING   ABORTING:RAISE_ABORTED !                ENDED:FORGET    FORKED:NOTHING
READING   ABORTING:RAISE_ABORTED !                !               FORKED:NOTHING
WRITING   ABORTING:RAISE_ABORTED !                !               FORKED:NOTHING
WAITING   ABORTING:RAISE_ABORTED !                !               FORKED:NOTHING
ABORTING  -                      ABANDONED:FORGET ENDED:FORGET    FORKED:NOTHING
ENDED     -                      !                !               -
ABANDONED -                      !                !               -
FORKED    -                      !                ENDED:FORGET    -
"""


def _expected() -> dict[tuple[State, Signal], tuple[State, Action]]:
    found = {}
    for block in EXPECTED.strip().split("\n\n"):
        head, *lines = block.splitlines()
        for line in lines:
            name, *cells = line.split()
            for signal, cell in zip(head.split(), cells, strict=True):
                found[State[name], Signal[signal]] = _step(State[name], cell)
    return found


def _step(state: State, cell: str) -> tuple[State, Action]:
    if cell in "-!":
        return state, Action.NOTHING if cell == "-" else Action.REJECT
    name, action = cell.split(":")
    return State[name], Action[action]


def test_the_expectations_are_complete() -> None:
    """No pair is left out."""
    assert set(_expected()) == {(state, signal) for state in State for signal in Signal}


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
@pytest.mark.parametrize("signal", Signal, ids=lambda signal: signal.name)
def test_every_pair(state: State, signal: Signal) -> None:
    """The table says what is written above."""
    found, action = TRANSITIONS[state.value][signal.value]
    assert (State(found), Action(action)) == _expected()[state, signal]


def test_every_action_and_every_state_is_reached() -> None:
    """There is nothing in the machine that no signal leads to."""
    steps = [step for row in TRANSITIONS for step in row]
    assert {action for _, action in steps} == {action.value for action in Action}
    assert {state for state, _ in steps} == {state.value for state in State}


# Random interleavings: the real table and real greenlets, a loop without descriptors, and a model beside them.

_WAITS = {"read": Signal.READ, "write": Signal.WRITE, "wait": Signal.WAIT}
_ENDS_WAIT = {"readable": "read", "writable": "write"}
_waits = st.tuples(st.sampled_from([*_WAITS, "yield"]), st.none() | st.integers(0, 5))
_scripts = st.lists(st.lists(_waits, max_size=5), min_size=1, max_size=4)
_acts = st.lists(
    st.tuples(st.sampled_from(["readable", "writable", "wake", "wake", "turn", "advance"]), st.integers(0, 3)),
    max_size=30,
)


Script = list[tuple[str, int | None]]


class Play:
    """Rows that wait as their scripts say, and what is to be expected of them."""

    def __init__(self, scripts: list[Script], more: int) -> None:
        self.scripts, self.more = scripts, more
        self.loop = FakeLoop()
        self.gone: list[Row] = []
        self.table = Table(self.loop, 1.0, lambda row, seconds: None, self.gone.append)
        self.fibres = Fibres(self.table)
        self.rows: dict[int, Row] = {}
        self.log: list[tuple[int, str]] = []
        self.refused: Counter[int] = Counter()
        for number in range(len(scripts)):
            self.fibres.start(FakeJob(functools.partial(self.handle, number)))
        # The model.
        self.at = dict.fromkeys(range(len(scripts)), 0)
        self.queue: list[int] = []
        self.deadlines: dict[int, float | None] = {}
        for number in self.at:
            self.begin(number)

    def handle(self, number: int) -> None:
        row = fibre_row()
        assert row is not None
        self.rows[number] = row
        for what, patience in self.scripts[number]:
            try:
                if what == "yield":
                    row.give_way()
                else:
                    row.wait(_WAITS[what], None if patience is None else self.loop.time() + patience)
            except TimeoutError:
                self.log.append((number, "timed out"))
            except RequestAborted:
                self.log.append((number, "aborted"))
                self.insist(number, row)
                return
            else:
                self.log.append((number, "resumed"))

    def insist(self, number: int, row: Row) -> None:
        """Wait again and again, though told to end."""
        for _ in range(self.more):
            with pytest.raises(RequestAborted):
                row.wait(Signal.READ, None)
            self.refused[number] += 1

    # The model: what a row waits for, and who waits for his turn.

    def begin(self, number: int) -> None:
        what, patience = self.waits_for(number)
        self.deadlines[number] = None if patience is None or what == "yield" else self.loop.time() + patience
        if what == "yield":
            self.queue.append(number)

    def waits_for(self, number: int) -> tuple[str | None, int | None]:
        script = self.scripts[number]
        return script[self.at[number]] if self.at[number] < len(script) else (None, None)

    def parked(self, number: int) -> bool:
        return self.waits_for(number)[0] in _WAITS and number not in self.queue

    def expect(self, act: str, number: int) -> list[tuple[int, str]]:
        """Say who goes on, and how, after this act."""
        ends: list[tuple[int, str]] = []
        if act in _ENDS_WAIT and self.parked(number) and self.waits_for(number)[0] == _ENDS_WAIT[act]:
            ends = [(number, "resumed")]
        elif act == "wake" and self.parked(number):
            self.queue.append(number)
        elif act == "turn":
            ends = [(each, "resumed") for each in self.queue]
            self.queue = []
        elif act == "advance":
            ends = [(each, "timed out") for each in self.at if self.parked(each) and self.is_due(each)]
        return ends

    def follow(self, log: list[tuple[int, str]]) -> None:
        """Let those go on who did, in the order in which they did."""
        for each, _ in log:
            self.at[each] += 1
            self.begin(each)

    def is_due(self, number: int) -> bool:
        deadline = self.deadlines[number]
        return deadline is not None and deadline <= self.loop.time()

    def act(self, act: str, number: int) -> None:
        if act == "turn":
            self.loop.turn()
        elif act == "advance":
            self.loop.advance(number)
        elif number in self.rows:
            if act == "wake":
                self.table.wake(self.rows[number])
            else:
                self.table.run(self.rows[number], Signal[act.upper()])


@settings(deadline=None)
@given(scripts=_scripts, acts=_acts, more=st.integers(0, 3) | st.just(MOST_REFUSALS + 5))
def test_random_interleavings(scripts: list[Script], acts: list[tuple[str, int]], more: int) -> None:
    """
    A row goes on only when what it waits for has happened, once, and in the order of the queue.

    When all are aborted each hears it once; it never parks again, and one that insists is abandoned.
    """
    play = Play(scripts, more)
    for act, number in acts:
        play.log.clear()
        play.act(act, number)
        known = act in {"turn", "advance"} or number in play.at
        expected = play.expect(act, number) if known else []
        in_order = act == "turn"  # those whose time is over at once have no order that matters
        assert (play.log if in_order else sorted(play.log)) == (expected if in_order else sorted(expected))
        play.follow(play.log)
        alive = {number for number in play.at if play.waits_for(number)[0] is not None}
        assert {play.rows[each] for each in alive} == play.table.rows
    play.log.clear()
    play.fibres.leave()
    assert sorted(play.log) == sorted((each, "aborted") for each in play.at if play.waits_for(each)[0] is not None)
    assert not play.table.rows
    insisted = [play.rows[number] for number, _ in play.log] if more > MOST_REFUSALS else []
    assert sorted(map(id, play.gone)) == sorted(map(id, insisted))
    assert set(play.refused.values()) <= {min(more, MOST_REFUSALS)}
    play.log.clear()
    for act, number in acts:  # whatever comes now comes too late
        play.act(act, number)
    assert not play.log


def test_a_turn_that_was_not_had_before_the_end_is_no_hindrance_later() -> None:
    """Rows that were in the queue when their loop was left, and those on the next loop."""
    first, second = FakeLoop(), FakeLoop()
    table = Table(first, 1.0, lambda row, seconds: None, lambda row: None)
    fibres, log = Fibres(table), []

    def work() -> None:
        row = fibre_row()
        assert row is not None
        try:
            row.give_way()
        except RequestAborted:
            log.append("aborted")
        else:
            log.append("turned")

    fibres.start(FakeJob(work))
    fibres.leave()
    table.move(second)
    fibres.start(FakeJob(work))
    second.turn()
    assert log == ["aborted", "turned"]
    first.turn()  # what is left there is nobody's
    assert len(log) == 2
    fibres.leave()


def test_a_deadline_that_moves_costs_one_timer() -> None:
    """A row that sets a later deadline with every wait keeps its alarm, which is looked at when it rings."""
    loop = FakeLoop()
    table = Table(loop, 1.0, lambda row, seconds: None, lambda row: None)
    fibres, rows, log = Fibres(table), [], []

    def work() -> None:
        row = fibre_row()
        assert row is not None
        rows.append(row)
        for patience in (10, 10, 10, 2, 20):
            try:
                row.wait(Signal.READ, loop.time() + patience)
            except TimeoutError:
                log.append(loop.time() - 1000)

    fibres.start(FakeJob(work))
    for _ in range(3):
        assert len(loop.timers.heap) == 1
        loop.advance(5)
        table.run(rows[0], Signal.READABLE)
    loop.advance(2)
    loop.advance(19)
    loop.advance(1)
    assert log == [17, 37]
    assert len(loop.timers) == 0
    fibres.leave()
