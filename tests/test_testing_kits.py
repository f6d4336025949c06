"""The conformance kits: they find planted bugs, and hold the package's own parts to the same laws."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import outside
from fakes import FakeClock, FakePoller
from kinds import STRATEGIES
from sockserve import TcpTransport, UdpTransport, UnixDatagramTransport, UnixStreamTransport
from sockserve._loop.loop import EventLoop
from sockserve.testing import (
    FakeLoop,
    Kit,
    MemoryTransport,
    check_concurrency,
    check_strategy,
    check_transport,
)

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


# Parts from elsewhere.


def test_a_correct_strategy_from_elsewhere_passes() -> None:
    """Called with the part, a kit checks every law."""
    check_strategy(outside.Bounded())
    check_concurrency(outside.Bounded())


def test_a_correct_transport_from_elsewhere_passes() -> None:
    """Connected to by its address, which is of a known kind."""
    check_transport(outside.Outside())


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    """What the laws say to each bug."""
    program = [sys.executable, "-W", "ignore", str(Path(outside.__file__))]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    laws: dict[str, dict[str, str]] = json.loads(done.stdout)
    return laws


@pytest.mark.parametrize("bug", [*outside.STRATEGIES, *outside.TRANSPORTS])
def test_a_bug_is_found(bug: str, found: dict[str, dict[str, str]]) -> None:
    """By the law that it breaks, which says what is wrong."""
    _, broken = (outside.STRATEGIES | outside.TRANSPORTS)[bug]
    assert set(found[bug]) == broken
    assert all(found[bug].values()), found[bug]


def test_a_kit_says_which_laws_are_broken() -> None:
    """All of them, each with its name and what it demands; the others are checked all the same."""
    with pytest.raises(ExceptionGroup) as caught:
        check_strategy(outside.NoValue())
    assert caught.group_contains(TypeError, match="unhashable")
    (error,) = caught.value.exceptions
    assert str(caught.value).startswith(f"1 of {len(check_strategy)} laws do not hold: it_is_a_value")
    assert error.__notes__ == [
        "law: it_is_a_value: It can be shared: it hashes, equals itself, and serving with it does not change it."
    ]


def test_a_kit_goes_on_after_a_law_that_is_broken() -> None:
    """Whoever has two bugs hears of both."""
    checked: list[str] = []

    def one(part: str) -> None:
        checked.append("one")
        raise LookupError(part)

    def two(part: str) -> None:
        checked.append("two")

    def three(part: str) -> None:
        checked.append("three")
        raise OSError(part)

    with pytest.raises(ExceptionGroup, match="2 of 3 laws do not hold: one, three") as caught:
        Kit(one, two, three)("mine")
    assert checked == ["one", "two", "three"]
    assert [type(error) for error in caught.value.exceptions] == [LookupError, OSError]


def test_a_kit_is_a_list_of_laws_with_names() -> None:
    """As pytest parametrizes them; each says in a docstring what it demands."""
    for kit in (check_strategy, check_transport, check_concurrency):
        laws: list[Any] = [*kit]
        assert len({law.__name__ for law in laws}) == len(laws) == len(kit)
        assert all(law.text.endswith(".") for law in laws)
        assert all(law in kit for law in laws)
        assert "x" not in kit


# Our own parts: the matrix has the laws of requests, here are the others.


@pytest.mark.parametrize("name", STRATEGIES)
def test_our_strategies_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are."""
    own = {law for law in check_strategy if not hasattr(law.check, "__wrapped__")}
    for law in check_strategy:
        if law in own:
            law(STRATEGIES[name]())


TRANSPORTS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda folder: MemoryTransport(),
    "tcp": lambda folder: TcpTransport(("127.0.0.1", 0)),
    "unix": lambda folder: UnixStreamTransport(folder / "s"),
    "udp": lambda folder: UdpTransport(("127.0.0.1", 0)),
    "unix-datagram": lambda folder: UnixDatagramTransport(folder / "d"),
}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_our_transports_pass(name: str, folder: Path) -> None:
    """The one in memory, too: it stands in for the real ones because it holds the same laws."""
    for law in check_transport:
        if name == "memory" or not hasattr(law.check, "__wrapped__"):
            law(TRANSPORTS[name](folder))


# The fake loop holds the laws of the real one.


def _real() -> Any:
    clock = FakeClock()
    return EventLoop(lambda: FakePoller(clock), clock)


def _advance(loop: Any, seconds: float) -> None:
    if isinstance(loop, FakeLoop):
        loop.advance(seconds)
    else:
        loop.time.advance(seconds)
        loop.timers.run(loop.time())


@pytest.fixture(params=[FakeLoop, _real], ids=["fake", "real"])
def loop(request: pytest.FixtureRequest) -> Any:
    """A loop whose time stands still."""
    return request.param()


def test_timers_are_called_in_the_order_of_their_times(loop: Any) -> None:
    """Those of the same time in the order in which they were made; a cancelled one never, one not due not yet."""
    called: list[str] = []
    now = loop.time()
    loop.call_at(now + 2, functools.partial(called.append, "second"))
    loop.call_at(now + 1, functools.partial(called.append, "first"))
    loop.call_at(now + 2, functools.partial(called.append, "third"))
    loop.call_at(now + 1, functools.partial(called.append, "never")).cancel()
    loop.call_at(now + 9, functools.partial(called.append, "late"))
    _advance(loop, 0.5)
    assert called == []
    _advance(loop, 1.5)
    assert called == ["first", "second", "third"]
    assert loop.time() == now + 2


def test_what_is_queued_is_called_in_order_and_what_that_queues_later(loop: Any) -> None:
    """call_soon and call_soon_threadsafe share one queue."""
    called: list[str] = []

    def first() -> None:
        called.append("first")
        loop.call_soon(functools.partial(called.append, "third"))

    loop.call_soon(first)
    loop.call_soon_threadsafe(functools.partial(called.append, "second"))
    if isinstance(loop, FakeLoop):
        loop.turn()
        assert called == ["first", "second"]
        loop.turn()
    else:
        loop.run(lambda: len(called) == 3)
    assert called == ["first", "second", "third"]


def test_a_clock_does_not_go_back() -> None:
    """As no monotonic one does."""
    with pytest.raises(ValueError, match="cannot go back by 1 s"):
        FakeClock().advance(-1)


def test_a_fake_loop_notes_what_a_runner_does() -> None:
    """What it watches, and how often it has said that it has room."""
    loop = FakeLoop(FakeClock(5.0))
    loop.watch(3, print)
    assert loop.watched == {3: print}
    loop.unwatch(3)
    loop.unwatch(3)
    loop.resume()
    assert (loop.watched, loop.resumed, loop.time()) == ({}, 1, 5.0)
