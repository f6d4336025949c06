"""Accepting: the table of errors, pauses, backpressure, fairness. With a fake listener, clock and poller."""

import errno
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from fakes import FakeClock, FakeCore, FakePoller, FakeRunner
from sockserve._loop.accept_errors import ACTIONS, PAUSE_SECONDS, AcceptAction, action_for
from sockserve._loop.acceptor import BATCH, CALM_SECONDS, RETRIES, Acceptor
from sockserve._loop.loop import EventLoop
from sockserve.abc import READ, Runner
from sockserve.errors import ArrivalRefused, DatagramTruncated

FD = 50


@attrs.define(eq=False)
class FakeListener:
    """Gives what the test has queued: arrivals, or errors to raise."""

    queue: list[Any] = attrs.field(factory=list)
    endless: bool = False
    accepts: int = 0
    stream: bool = True
    address: object = "fake"

    def fileno(self) -> int:
        return FD

    def accept(self) -> Any:
        self.accepts += 1
        if self.endless:
            return self.accepts
        if not self.queue:
            raise BlockingIOError
        found = self.queue.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Nothing is open."""

    def close_copy(self) -> None:
        """Nothing is open."""


class Bench:
    """An acceptor with everything around it fake, and a way to let the loop go round."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.poller = FakePoller(self.clock)
        self.loop = EventLoop(lambda: self.poller, self.clock)
        self.core, self.listener, self.runner = FakeCore(), FakeListener(), FakeRunner()
        self.admitted: list[Any] = []
        self.truncated: list[ArrivalRefused] = []
        self.batches = 0
        self.on_admit: Callable[[], object] = lambda: None
        self.acceptor: Acceptor[Any, Any] = Acceptor(
            loop=self.loop,
            core=self.core,
            listener=self.listener,
            runner=self.runner,
            admit=self._admit,
            refused=self.truncated.append,
            before_batch=lambda now: None,
            after_batch=self._after,
        )
        self.poller.ready = [(FD, READ)]
        self.acceptor.attach()

    def _admit(self, _runner: Runner, arrival: Any) -> None:
        self.admitted.append(arrival)
        self.on_admit()

    def _after(self) -> None:
        self.batches += 1

    def rounds(self, number: int) -> None:
        left = iter(range(number + 1))

        def done() -> bool:
            self.loop.calling = False
            return next(left) == number

        self.loop.run(done)


def _error(name: str) -> OSError:
    return OSError(getattr(errno, name), name)


@pytest.mark.parametrize("number", [n for n, action in ACTIONS.items() if action is AcceptAction.RETRY])
def test_a_lost_arrival_costs_itself_alone(number: int) -> None:
    """The next is taken in the same batch, and the loss is reported."""
    bench = Bench()
    bench.listener.queue = [OSError(number, "lost"), "next"]
    bench.rounds(1)
    assert bench.admitted == ["next"]
    assert bench.core.names() == ["AcceptFailed"]


@pytest.mark.parametrize("number", [n for n, action in ACTIONS.items() if action is AcceptAction.PAUSE])
def test_exhaustion_pauses_says_so_once_and_passes_by_itself(number: int) -> None:
    """One accept in 100 ms, one event for the whole time, one when it is over."""
    bench = Bench()
    bench.listener.queue = [OSError(number, "exhausted") for _ in range(10)] + ["next"]
    began = bench.clock.now
    bench.rounds(21)
    assert bench.clock.now - began == pytest.approx(10 * PAUSE_SECONDS)
    assert bench.admitted == ["next"]
    assert bench.core.names() == ["AcceptPaused", "AcceptResumed"]


def test_exhaustion_that_lets_some_through_is_still_one_event() -> None:
    """Each client that leaves lets the next one in: it is over when the queue was empty, not at each success."""
    bench = Bench()
    bench.listener.queue = [_error("EMFILE"), 1, _error("EMFILE"), 2, _error("EMFILE"), 3]
    bench.rounds(7)
    assert bench.admitted == [1, 2, 3]
    assert bench.core.names() == ["AcceptPaused", "AcceptResumed"]


def test_exhaustion_is_over_also_where_nobody_looks_at_the_queue_again() -> None:
    """The one client that waited has filled the runner, or was the last."""
    bench = Bench()
    bench.listener.queue = [_error("EMFILE"), 1]
    bench.on_admit = lambda: setattr(bench.runner, "full", True)
    bench.rounds(3)
    assert (bench.admitted, bench.core.names()) == ([1], ["AcceptPaused"])
    bench.rounds(2)
    assert bench.core.names() == ["AcceptPaused", "AcceptResumed"]


def test_exhaustion_is_over_after_a_while_without_a_failure() -> None:
    """Also where the queue is never empty."""
    bench = Bench()
    bench.listener.queue = [_error("EMFILE")]
    bench.rounds(1)
    bench.listener.endless = True

    def later() -> None:
        bench.clock.advance(CALM_SECONDS / 4)
        bench.loop.wake()

    bench.on_admit = later
    bench.rounds(4)
    assert bench.core.names() == ["AcceptPaused"]
    bench.rounds(2)
    assert bench.core.names() == ["AcceptPaused", "AcceptResumed"]


@pytest.mark.parametrize("number", [n for n, action in ACTIONS.items() if action is AcceptAction.STOP] + [0, 9999])
def test_a_listener_of_no_use_stops_the_loop(number: int) -> None:
    """The error is raised as it came; what the table does not know is not retried either."""
    bench = Bench()
    error = OSError(number, "broken")
    bench.listener.queue = [error]
    with pytest.raises(OSError, match="broken") as caught:
        bench.rounds(1)
    assert caught.value is error
    assert bench.batches == 1


def test_a_passing_error_that_stays_does_not_spin() -> None:
    """After a row of lost arrivals the loop looks away, as if exhausted."""
    bench = Bench()
    bench.listener.queue = [_error("EPROTO") for _ in range(RETRIES + 1)] + ["next"]
    bench.rounds(1)
    assert bench.listener.accepts == RETRIES + 1
    assert FD not in bench.loop._callbacks
    bench.rounds(2)
    assert bench.admitted == ["next"]
    assert bench.core.names() == ["AcceptFailed"] * RETRIES + ["AcceptPaused", "AcceptResumed"]


def test_the_table_names_every_errno_once() -> None:
    """EMFILE, ENFILE, ENOBUFS, ENOMEM pause; ECONNABORTED retries; EBADF stops."""
    paused = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
    assert {n for n, action in ACTIONS.items() if action is AcceptAction.PAUSE} >= paused
    assert action_for(_error("ECONNABORTED")) is AcceptAction.RETRY
    assert action_for(_error("EBADF")) is AcceptAction.STOP
    assert action_for(OSError("no number")) is AcceptAction.STOP


def test_a_full_runner_makes_the_loop_look_away() -> None:
    """Nothing is accepted until there is room, and the listener is not watched meanwhile."""
    bench = Bench()
    bench.listener.queue = [1, 2, 3]
    bench.on_admit = lambda: setattr(bench.runner, "full", len(bench.admitted) == 2)
    bench.rounds(1)
    assert bench.admitted == [1, 2]
    assert FD not in bench.loop._callbacks
    bench.runner.full = False
    bench.loop.resume()
    bench.rounds(2)
    assert bench.admitted == [1, 2, 3]


def test_a_runner_that_is_full_from_the_start_is_waited_for() -> None:
    """The listener is first watched when there is room."""
    bench = Bench()
    bench.acceptor.detach()
    bench.runner.full = True
    bench.acceptor.attach()
    bench.listener.queue = [1]
    bench.rounds(1)
    assert bench.listener.accepts == 0


def test_detached_means_detached() -> None:
    """Neither room nor the end of a pause makes a detached acceptor accept."""
    bench = Bench()
    bench.listener.queue = [_error("EMFILE"), "later"]
    bench.rounds(1)
    bench.acceptor.detach()
    bench.rounds(3)
    bench.loop.resume()
    bench.rounds(1)
    assert bench.admitted == []


def test_a_stop_ends_a_batch() -> None:
    """What waits behind stays in the kernel's queue."""
    bench = Bench()
    bench.listener.queue = [1, 2, 3]
    bench.on_admit = bench.loop.wake
    bench.rounds(1)
    assert bench.admitted == [1]
    assert bench.listener.queue == [2, 3]


def test_what_another_thread_asks_for_comes_before_a_flood() -> None:
    """Whether it has asked before the batch, or in the midst of it."""
    bench = Bench()
    bench.listener.queue = list(range(10))

    def ask() -> None:
        thread = threading.Thread(
            target=lambda: bench.loop.call_soon_threadsafe(lambda: bench.admitted.append("asked"))
        )
        thread.start()
        thread.join()

    def admitted() -> None:
        if bench.admitted[-1] == 1:
            ask()
        elif bench.admitted[-1] == 9:
            bench.loop.wake()

    ask()
    bench.on_admit = admitted
    with bench.loop.opened():
        bench.loop.turn(lambda: 9 in bench.admitted)
    assert bench.admitted[:4] == ["asked", 0, 1, "asked"]


def test_a_flood_does_not_hold_the_loop() -> None:
    """A batch has an end even when arrivals have none."""
    bench = Bench()
    bench.listener.endless = True
    bench.rounds(1)
    assert len(bench.admitted) == BATCH


def test_a_datagram_that_was_too_long_is_passed_to_nobody() -> None:
    """It is counted, and the next one is taken."""
    bench = Bench()
    bench.listener.queue = [DatagramTruncated("client", 10), "next"]
    bench.rounds(1)
    assert bench.admitted == ["next"]
    assert [error.client_address for error in bench.truncated] == ["client"]
