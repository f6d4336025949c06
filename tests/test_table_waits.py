"""sleep, Lock, Event and Queue: they park in a table, and block elsewhere."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fakes import FakeClock, FakePoller
from recorder import FAILSAFE
from sockserve import Event, Lock, OptionError, Queue, RequestAborted, sleep
from sockserve._table.current import current_row
from sockserve._table.locks import _Condition
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


def test_an_event_wakes_all(bench: Bench) -> None:
    """Who comes later does not wait."""
    event, log = Event(), []

    def waiter() -> None:
        log.append(event.wait())

    def setter() -> None:
        assert not log
        event.set()
        assert event.wait()

    bench.run(waiter, waiter, setter)
    assert log == [True, True]
    event.clear()
    assert not event.is_set()


def test_an_event_times_out(timeless: Timeless) -> None:
    """False, and nothing of the waiter stays."""
    event, log = Event(), []
    timeless.run(lambda: log.append(event.wait(1.0)), lambda: log.append(event.wait(-1.0)))
    assert log == [False, False]
    assert not event._waiters


def test_a_queue_with_a_limit_passes_everything_on_in_order(bench: Bench) -> None:
    """Producers wait for room, consumers for items, `join` for all."""
    items: Queue[int] = Queue(2)
    got: list[int] = []

    def produce() -> None:
        for number in range(20):
            items.put(number)
        items.join()
        got.append(-1)

    def consume() -> None:
        for _ in range(10):
            got.append(items.get())
            items.task_done()

    bench.run(produce, consume, consume)
    assert sorted(got[:-1]) == list(range(20))
    assert got[-1] == -1


def test_a_queue_times_out(bench: Bench) -> None:
    """With queue's own errors."""
    items: Queue[int] = Queue(1)

    def work() -> None:
        with pytest.raises(queue.Empty):
            items.get(timeout=0.001)
        items.put(1)
        with pytest.raises(queue.Full):
            items.put(2, timeout=0.001)

    bench.run(work)


def test_a_notification_for_a_row_that_is_aborted_goes_to_the_next(bench: Bench) -> None:
    """An item is not forgotten because the one who was told of it has ended."""
    items: Queue[str] = Queue()
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(items.get(timeout=FAILSAFE)))

    def waiter() -> None:
        with pytest.raises(RequestAborted):
            items.get()

    def other() -> None:
        thread.start()
        condition = items.not_empty
        assert isinstance(condition, _Condition)
        while len(condition._tickets) < 2:  # the thread's too
            _pause(0.001)
        items.put("item")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(waiter, other)
    thread.join(FAILSAFE)
    assert got == ["item"]


def test_rows_and_threads_share_one_of_each(bench: Bench) -> None:
    """A thread blocks, a row parks, and each wakes the other."""
    there, back = Event(), Queue[int]()

    def thread() -> None:
        assert there.wait(FAILSAFE)
        back.put(1)

    other = threading.Thread(target=thread)

    def work() -> None:
        other.start()
        there.set()
        assert back.get(timeout=FAILSAFE) == 1
        other.join(FAILSAFE)

    bench.run(work)


def test_elsewhere_they_are_plain() -> None:
    """Without a table the thread itself waits."""
    lock, event, items = Lock(), Event(), Queue[int]()
    _pause(0)
    with lock:
        assert not lock.acquire(timeout=0)
    assert not event.wait(0)
    with pytest.raises(queue.Empty):
        items.get(timeout=0.001)
    threads = [threading.Thread(target=lambda: event.wait() and items.put(1)) for _ in range(2)]
    for each in threads:
        each.start()
    event.set()
    assert items.get() == items.get() == 1
    for each in threads:
        each.join(FAILSAFE)
