"""Event and Queue: they park in a table, and block elsewhere."""

import queue
import threading

import pytest

from fakes import FakeClock, FakePoller
from recorder import FAILSAFE
from sockserve import Event, Lock, Queue, RequestAborted, sleep
from sockserve._table.locks import _Condition
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

    def work() -> None:
        assert event.wait()
        items.put(1)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    event.set()
    assert items.get() == items.get() == 1
    for each in threads:
        each.join(FAILSAFE)
