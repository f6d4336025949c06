"""sleep, Lock, Event and Queue: they park in a table, and block elsewhere."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fakes import FakeClock, FakePoller
from recorder import FAILSAFE
from sockserve import Event, Lock, OptionError, Queue, RequestAborted, sleep
from sockserve._table.current import current_row
from sockserve._table.sleeping import RowTicket
from table_kit import POLLERS, Bench

_pause = sleep  # no test waits for a clock that the test does not turn


class Timeless(Bench):
    """A table whose time passes when nothing else is to be done."""

    poller: FakePoller


@pytest.fixture(params=list(POLLERS))
def bench(request: pytest.FixtureRequest) -> Bench:
    """A table with each poller."""
    return Bench(POLLERS[request.param])


@pytest.fixture
def timeless() -> Timeless:
    """A table whose time passes when nothing else is to be done."""
    clock = FakeClock()
    poller = FakePoller(clock)
    made = Timeless(lambda: poller, clock=clock)
    made.poller = poller
    return made


def test_sleepers_wake_in_order_of_time(timeless: Timeless) -> None:
    """Each after its own time, and the thread waits no longer than that."""
    log: list[tuple[str, float]] = []

    def sleeper(name: str, seconds: float) -> Callable[[], object]:
        def work() -> None:
            _pause(seconds)
            log.append((name, timeless.loop.time() - 1000.0))

        return work

    timeless.run(sleeper("c", 3.0), sleeper("a", 1.0), sleeper("b", 2.0))
    assert log == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_sleep_zero_lets_the_others_go_first(bench: Bench) -> None:
    """By turns."""
    log = []

    def work(name: str) -> None:
        for _ in range(3):
            log.append(name)
            _pause(0)

    bench.run(lambda: work("a"), lambda: work("b"))
    assert log == ["a", "b"] * 3


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_sleep_refuses_what_is_no_time(seconds: float) -> None:
    """In a table or not."""
    with pytest.raises(OptionError):
        _pause(seconds)


def test_a_very_long_wait_is_one(timeless: Timeless) -> None:
    """The system's calls take no more than some weeks; a wait may last longer, and the loop serves on."""
    timeless.run(lambda: _pause(1e7))
    assert timeless.loop.time() == pytest.approx(1000.0 + 1e7)
    assert max(each for each in timeless.poller.timeouts if each is not None) < 2**31 / 1000


def test_a_wake_up_that_comes_too_late_ends_no_later_sleep(timeless: Timeless) -> None:
    """Another thread's wake-up may arrive when its row sleeps already."""
    slept = []

    def work() -> None:
        row = current_row()
        assert row is not None
        ticket = RowTicket(row)
        thread = threading.Thread(target=ticket.wake)
        thread.start()
        thread.join(FAILSAFE)
        assert ticket.wait(None)  # without parking: it has been woken already
        began = timeless.loop.time()
        _pause(5.0)
        slept.append(timeless.loop.time() - began)

    timeless.run(work)
    assert slept == [5.0]


@pytest.mark.parametrize("primitive", ["lock", "event", "queue"])
def test_a_wake_up_for_something_else_gives_nothing(timeless: Timeless, primitive: str) -> None:
    """A lock is not held, an event not set, a queue not filled by being woken."""
    lock, event, items = Lock(), Event(), Queue[str]()
    lock.acquire()
    log: list[object] = []
    rows: list[Any] = []

    def waiter() -> None:
        rows.append(current_row())
        if primitive == "lock":
            log.append(lock.acquire())
        elif primitive == "event":
            log.append(event.wait())
        else:
            log.append(items.get())

    def other() -> None:
        rows[0].table.wake(rows[0])
        _pause(1.0)
        log.append("spurious")
        lock.release()
        event.set()
        items.put("item")

    timeless.run(waiter, other)
    assert log == ["spurious", "item" if primitive == "queue" else True]


def test_a_lock_is_handed_over_in_order(bench: Bench) -> None:
    """Who came first has it first, and nobody comes between."""
    lock, log = Lock(), []

    def work(name: int) -> None:
        with lock:
            log.append(name)
            for _ in range(2):
                _pause(0)
            log.append(name)
        assert not log or log[-1] == name

    bench.run(*(lambda name=name: work(name) for name in range(4)))
    assert log == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not lock.locked()


def test_a_lock_times_out_and_is_not_taken(timeless: Timeless) -> None:
    """As threading's does; nothing of the waiter stays in the queue."""
    lock, log = Lock(), []

    def holder() -> None:
        with lock:
            _pause(2.0)

    def waiter() -> None:
        log.append(lock.acquire(blocking=False))
        log.append(lock.acquire(timeout=1.0))
        log.append(lock.acquire(timeout=5.0))

    timeless.run(holder, waiter)
    assert log == [False, False, True]
    assert lock.locked()
    assert not lock._waiters


def test_a_lock_that_was_handed_to_an_aborted_row_is_free(bench: Bench) -> None:
    """It is woken with the lock in its hand, and ends before it knows."""
    lock = Lock()
    lock.acquire()
    ended = []

    def waiter() -> None:
        with pytest.raises(RequestAborted):
            lock.acquire()
        ended.append(True)

    def other() -> None:
        lock.release()
        raise KeyboardInterrupt  # leaves the loop before the waiter has its turn

    with pytest.raises(KeyboardInterrupt):
        bench.run(waiter, other)
    assert ended
    assert not lock.locked()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: Lock().release(), RuntimeError),
        (lambda: Lock().acquire(timeout=-2), ValueError),
        (lambda: Lock().acquire(blocking=False, timeout=1), ValueError),
    ],
)
def test_a_lock_refuses_what_threadings_refuses(call: Callable[[], object], error: type[Exception]) -> None:
    """With the same errors."""
    with pytest.raises(error):
        call()
