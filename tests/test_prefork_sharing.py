"""Who of several processes takes the next arrival: one for each, in turns, and whoever has least."""

import contextlib
import os
import sys
from collections import Counter
from typing import Any

import pytest

from fakes import FakeCore
from prefork_kit import TCP, EchoPid, ask, client_of
from recorder import Recorder
from sockserve import PreforkStrategy, SelectorStrategy, Server
from sockserve._loop.sharing import YIELD_SECONDS, SharedAcceptor
from sockserve._workers.board import Board, Record
from sockserve._workers.share import SLACK, TRIES, Share
from sockserve.abc import EXCLUSIVE, READ
from sockserve.errors import DatagramTruncated
from test_acceptor import FD, Bench

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


class SharedBench(Bench):
    """With an acceptor that asks the test whether to yield, and a poller that takes note of each registration."""

    def __init__(self, *answers: bool) -> None:
        super().__init__()
        self.acceptor.detach()
        self.registered: list[int] = []
        self._answers = iter(answers)
        register = self.poller.register

        def noting(fd: int, mask: int, /) -> None:
            register(fd, mask)
            if fd == FD:
                self.registered.append(mask)

        self.poller.register = noting  # type: ignore[method-assign]  # a fake's own
        self.acceptor = SharedAcceptor(
            loop=self.loop,
            core=FakeCore(),
            listener=self.listener,
            runner=self.runner,
            admit=self._admit,
            refused=self.truncated.append,
            before_batch=lambda now: None,
            after_batch=None,
            yields=lambda: next(self._answers, False),
        )
        self.acceptor.attach()


def test_one_arrival_a_wake_up_and_then_to_the_end_of_the_queue() -> None:
    """What is left is for others; and the next goes to one that has waited for longer."""
    bench = SharedBench()
    bench.listener.queue = ["one", "two", "three"]
    bench.rounds(1)
    assert (bench.admitted, bench.listener.accepts) == (["one"], 1)
    assert bench.registered == [READ | EXCLUSIVE] * 2
    bench.rounds(2)
    assert bench.admitted == ["one", "two", "three"]


def test_who_yields_looks_away_for_a_moment() -> None:
    """The listener is not asked, and not watched; then it is the turn of those that have waited."""
    bench = SharedBench(True, False)
    bench.listener.queue = ["one"]
    began = bench.clock.now
    bench.rounds(1)
    assert (bench.admitted, bench.listener.accepts, FD in bench.poller.masks) == ([], 0, False)
    bench.rounds(2)
    assert bench.admitted == ["one"]
    assert bench.clock.now - began == pytest.approx(YIELD_SECONDS)


def test_datagrams_are_not_left_to_others() -> None:
    """Nobody keeps them."""
    bench = SharedBench(True, True)
    bench.listener.stream = False
    bench.listener.queue = ["one"]
    bench.rounds(1)
    assert bench.admitted == ["one"]


@pytest.mark.parametrize(
    ("queue", "taken", "refused"),
    [
        (["one", "two"], ["one"], 0),
        ([], [], 0),
        ([OSError(24, "none left")], [], 0),
        ([DatagramTruncated("c", 9)], [], 1),
    ],
    ids=["some", "none", "error", "refused"],
)
def test_who_leaves_takes_one_more(queue: list[Any], taken: list[str], refused: int) -> None:
    """It may have been woken for it, and nobody else was."""
    bench = SharedBench()
    bench.listener.queue = queue
    bench.acceptor.detach(last=True)
    assert (bench.admitted, len(bench.truncated)) == (taken, refused)
    bench.acceptor.detach(last=True)
    assert bench.admitted == taken


def test_who_is_told_to_stop_or_did_not_look_takes_none() -> None:
    """For the one the queue is left to whoever serves next; the other was not woken."""
    bench = SharedBench()
    bench.listener.queue = ["one"]
    bench.acceptor.detach()
    assert bench.admitted == []
    bench = SharedBench(True)
    bench.listener.queue = ["one"]
    bench.rounds(1)
    bench.acceptor.detach(last=True)
    assert bench.admitted == []


# How much more is too much.


def _records(number: int) -> list[Record]:
    board = Board(number)
    found = [board.take() for _ in range(number)]
    assert None not in found
    return [record for record in found if record is not None]


def _take(record: Record, number: int) -> None:
    for _ in range(number):
        record.accepted()


def test_whoever_has_clearly_more_than_another_yields() -> None:
    """By two, and by a quarter; what has ended does not count, nor do workers that do not accept."""
    mine, other, closed = _records(3)
    other.open(accepts=True)
    share = Share(mine)
    assert not share.yields()
    _take(mine, SLACK)
    assert share.yields()
    _take(other, 1)
    assert not share.yields()
    _take(other, 19)
    _take(mine, 22)
    assert not share.yields()  # 24 beside 20
    _take(mine, 1)
    assert share.yields()
    mine.ended(True)
    assert not share.yields()
    _take(mine, 100)
    other.open(accepts=False)
    assert not share.yields()  # there is nobody
    assert closed.active == 0


def test_others_that_do_not_accept_are_not_waited_for_again_and_again() -> None:
    """They compute, perhaps for long; once one of them has moved, it is waited for anew."""
    mine, other = _records(2)
    other.open(accepts=True)
    share = Share(mine)
    _take(mine, 10)
    assert [share.yields() for _ in range(TRIES + 3)] == [True] * TRIES + [False] * 3
    _take(other, 1)
    assert share.yields()


def test_connections_that_come_one_by_one_are_spread(recorder: Recorder) -> None:
    """Each worker is idle when the next comes: without turns the first would get all of them."""
    strategy = PreforkStrategy(SelectorStrategy(), workers=2)
    with (
        Server(TCP, strategy, EchoPid, observer=recorder).running() as server,
        contextlib.ExitStack() as stack,
    ):
        recorder.wait_for_workers(2)
        found = Counter(ask(stack.enter_context(client_of(server)), b"x\n")[0] for _ in range(20))
        assert os.getpid() not in found
        assert min(found.values()) >= 5
        assert len(found) == 2
