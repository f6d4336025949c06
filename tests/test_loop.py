"""The loop, its timers, its wake-up and both pollers."""

import contextlib
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock, FakePoller
from recorder import FAILSAFE
from sockserve._loop.loop import EventLoop
from sockserve._loop.pollers import NOT_THERE, Poller, SelectorsPoller, default_poller
from sockserve._loop.timers import Timer, Timers
from sockserve._loop.wakeup import Wakeup
from sockserve._serving.signals import wake_on_signals
from sockserve.abc import EDGE, READ, WRITE

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


POLLERS = {"best": default_poller, "selectors": SelectorsPoller}


@pytest.fixture(params=list(POLLERS))
def make_poller(request: pytest.FixtureRequest) -> Callable[[], Poller]:
    """Each poller of this system."""
    name: str = request.param
    return POLLERS[name]


@pytest.fixture
def poller(make_poller: Callable[[], Poller]) -> Iterator[Poller]:
    """One of each."""
    made = make_poller()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    left, right = socket.socketpair()
    with left, right:
        yield left, right


Pair = tuple[socket.socket, socket.socket]


def test_a_poller_reports_what_was_asked_for(poller: Poller, pair: Pair) -> None:
    """Reading, writing, both; and nothing once it is forgotten."""
    left, right = pair
    fd = left.fileno()
    poller.register(fd, READ)
    assert poller.wait(0.0) == []
    right.send(b"x")
    assert poller.wait(None) == [(fd, READ)]
    poller.unregister(fd)
    poller.register(fd, READ | WRITE)
    assert poller.wait(None) == [(fd, READ | WRITE)]
    poller.unregister(fd)
    with pytest.raises(NOT_THERE):
        poller.unregister(fd)
    assert poller.wait(0.0) == []


def test_a_poller_forgets_what_is_closed(poller: Poller) -> None:
    """Unregistering a closed descriptor is no error, or one of those that are named."""
    left, right = socket.socketpair()
    fd = left.fileno()
    poller.register(fd, READ)
    left.close()
    right.close()
    with contextlib.suppress(*NOT_THERE):
        poller.unregister(fd)
    with pytest.raises(NOT_THERE):
        poller.unregister(-1)
    again, other = socket.socketpair()
    with again, other:
        assert fd in {again.fileno(), other.fileno()}
        poller.register(fd, READ | WRITE)
        assert poller.wait(None) == [(fd, WRITE)]


def test_edges_are_reported_at_least_once_for_each_arrival(poller: Poller, pair: Pair) -> None:
    """Who reads until it would block sees every arrival, whether the poller has edges or levels."""
    left, right = pair
    left.setblocking(False)
    poller.register(left.fileno(), READ | EDGE)
    for _ in range(3):
        right.send(b"x")
        assert [fd for fd, _ in poller.wait(FAILSAFE)] == [left.fileno()]
        assert left.recv(10) == b"x"


def _one_step(loop: EventLoop) -> None:
    """Let an open loop wait once, and call back."""
    rounds = iter([False, True])
    loop.turn(lambda: next(rounds), always=True)


def test_watching_calls_back_until_unwatched(make_poller: Callable[[], Poller], pair: Pair) -> None:
    """Level-triggered: what is not read is reported again; what was watched stays so between two runs."""
    left, right = pair
    loop, masks = EventLoop(make_poller), list[int]()
    loop.watch(left.fileno(), masks.append)
    right.send(b"x")
    loop.run(lambda: len(masks) >= 2)
    loop.run(lambda: len(masks) >= 4)
    assert set(masks) == {READ}

    def last(_mask: int) -> None:
        loop.unwatch(left.fileno())
        loop.call_soon_threadsafe(lambda: masks.append(-1))

    loop.unwatch(left.fileno())
    loop.unwatch(left.fileno())
    loop.watch(left.fileno(), last)
    loop.run(lambda: masks[-1] == -1)


def test_an_idle_loop_waits_once_without_a_limit() -> None:
    """No timer, no time-out: an idle server makes no system call."""
    poller = FakePoller()
    loop = EventLoop(lambda: poller)
    rounds = iter([False, False, True])
    loop.run(lambda: next(rounds))
    assert poller.timeouts == [None, None]
    assert poller.closed


def test_a_signal_just_before_the_wait_ends_it_whoever_else_is_told() -> None:
    """The program has its own `set_wakeup_fd`, which is told too, and is in place again at the end."""
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    theirs.setblocking(False)
    loop = EventLoop()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None), signal.set_wakeup_fd(theirs.fileno())
    try:
        with mine, theirs, loop.opened():
            with wake_on_signals(loop):
                signal.raise_signal(signal.SIGUSR1)  # its handler has run: nothing is left to end
                _one_step(loop)
                assert mine.recv(10) == bytes([signal.SIGUSR1])
                signal.raise_signal(signal.SIGUSR1)
            assert mine.recv(10) == bytes([signal.SIGUSR1])
            assert signal.set_wakeup_fd(-1) == theirs.fileno()
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.set_wakeup_fd(before[1])


def test_what_is_closed_or_watched_otherwise_is_unwatched_too(make_poller: Callable[[], Poller]) -> None:
    """Unwatching is for cleaning up: it does not ask in what state things are."""
    loop = EventLoop(make_poller)
    left, right = socket.socketpair()
    reported: list[int] = []
    with left, right, loop.opened():
        loop.watch(left.fileno(), reported.append, WRITE)
        loop.call_soon_threadsafe(lambda: None)
        _one_step(loop)
        assert reported == [WRITE]
        loop.unwatch(left.fileno())
        loop.unwatch(left.fileno())
        fd = right.fileno()
        loop.watch(fd, reported.append)
        right.close()
        loop.unwatch(fd)
        loop.call_soon_threadsafe(lambda: None)
        _one_step(loop)
    assert reported == [WRITE]


def test_timers_run_in_order_of_time_then_of_asking() -> None:
    """Equal times keep their order; a timer waits exactly as long as asked."""
    clock = FakeClock()
    poller = FakePoller(clock)
    loop = EventLoop(lambda: poller, clock)
    ran: list[str] = []
    start = clock()
    for when, name in ((2, "c"), (1, "a"), (2, "d"), (1, "b")):
        loop.call_at(start + when, lambda name=name: ran.append(name))  # type: ignore[misc]  # bound early
    loop.run(lambda: len(ran) == 4)
    assert ran == ["a", "b", "c", "d"]
    assert poller.timeouts == [1.0, 1.0]


def test_a_timer_that_is_due_again_and_again_does_not_starve_the_rest() -> None:
    """A call added while timers run waits for the next round, though it is due."""
    timers, ran = Timers(), list[int]()

    def again() -> None:
        ran.append(1)
        timers.add(0.0, again)

    timers.add(0.0, again)
    timers.run(0.0)
    assert ran == [1]


@given(st.lists(st.tuples(st.sampled_from("ac"), st.integers(0, 20)), max_size=300), st.integers(0, 20))
def test_timers_behave_as_a_sorted_list(steps: list[tuple[str, int]], now: int) -> None:
    """Any adding and cancelling: what is due runs once in order, cancelled ones never; the heap stays small."""
    timers, model, made, ran = Timers(), dict[int, tuple[int, int]](), list[Timer](), list[int]()
    for number, (action, value) in enumerate(steps):
        if action == "a":
            made.append(timers.add(value, lambda number=number: ran.append(number)))  # type: ignore[misc]
            model[len(made) - 1] = (value, number)
        elif made:
            index = value % len(made)
            made[index].cancel()
            model.pop(index, None)
        assert len(timers) == len(model)
        assert len(timers.heap) <= 2 * len(model) + 66
    timers.run(now)
    assert ran == [number for when, number in sorted(model.values()) if when <= now]
    for timer in made:
        timer.cancel()  # after the call: no effect
    assert len(timers) == 0
    assert timers.next_due() is None


def test_call_soon_from_many_threads_loses_none(make_poller: Callable[[], Poller]) -> None:
    """Every call is made, in the loop's thread, each thread's in its order."""
    loop, seen = EventLoop(make_poller), list[tuple[int, int]]()
    homes = set[int]()

    def note(who: int, what: int) -> None:
        homes.add(threading.get_ident())
        seen.append((who, what))

    def speak(who: int) -> None:
        for what in range(200):
            loop.call_soon_threadsafe(lambda what=what: note(who, what))  # type: ignore[misc]

    threads = [threading.Thread(target=speak, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    loop.run(lambda: len(seen) == 800)
    for thread in threads:
        thread.join()
    assert homes == {threading.get_ident()}
    for who in range(4):
        assert [what for speaker, what in seen if speaker == who] == list(range(200))


def test_resume_between_full_and_pause_is_not_lost() -> None:
    """A runner that gets room between the question and the pause is asked again."""
    loop = EventLoop(FakePoller)
    resumed: list[int] = []
    loop.resume()  # nobody waits: nothing is kept
    loop.pause(lambda: resumed.append(1))
    loop.resume()
    loop.run(lambda: bool(resumed))
    assert resumed == [1]


def test_a_wakeup_is_readable_once_for_many_wakes() -> None:
    """It never blocks, however often it is used, and is quiet after a drain."""
    wakeup = Wakeup()
    try:
        for _ in range(100_000):
            wakeup.wake()
        wakeup.drain()
        wakeup.drain()
        wakeup.wake()
        assert os.read(wakeup.fileno(), 10) == b"\0"
    finally:
        wakeup.close()
    wakeup.wake()  # nobody to wake


def test_a_wake_in_the_middle_of_a_drain_is_not_the_last_one_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may wake at any point of drain(): the next wake makes it readable all the same."""
    wakeup = Wakeup()

    class Interrupted:
        """A receiver during whose recv another thread wakes."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def recv(self, size: int) -> bytes:
            wakeup.wake()
            return self.sock.recv(size)

    real = wakeup._receiver
    try:
        wakeup.wake()
        monkeypatch.setattr(wakeup, "_receiver", Interrupted(real))
        wakeup.drain()
        monkeypatch.setattr(wakeup, "_receiver", real)
        wakeup.wake()
        assert real.recv(10) == b"\0"
    finally:
        wakeup.close()


def test_a_wakeup_whose_buffer_is_full_does_not_block() -> None:
    """C code may have filled it (signal.set_wakeup_fd)."""
    wakeup = Wakeup()
    try:
        with pytest.raises(BlockingIOError):
            while True:
                os.write(wakeup.sender_fileno(), b"x" * 4096)
        wakeup.wake()
    finally:
        wakeup.close()


def test_what_a_callback_raises_leaves_the_loop_and_closes_it(pair: Pair) -> None:
    """An error goes to who runs the loop; it can be run again."""
    left, right = pair
    loop = EventLoop()
    right.send(b"x")

    def fail(_mask: int) -> None:
        raise LookupError

    loop.watch(left.fileno(), fail)
    with pytest.raises(LookupError):
        loop.run(lambda: False)
    assert not loop.running
    loop.unwatch(left.fileno())
    loop.run(lambda: True)


def test_random_watching_and_unwatching_keeps_the_poller_in_step() -> None:
    """Whatever the order, the poller watches what the loop says."""
    rng, poller = random.Random(1), FakePoller()
    loop = EventLoop(lambda: poller)

    def shuffle() -> bool:
        for _ in range(500):
            fd = rng.randrange(100, 120)
            if rng.random() < 0.5 and fd not in loop._callbacks:
                loop.watch(fd, lambda _mask: None)
            else:
                loop.unwatch(fd)
            assert {fd for fd in poller.masks if fd >= 100} == set(loop._callbacks)
        return True

    loop.run(shuffle)
