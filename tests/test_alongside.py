"""Running a function beside a handler: the same laws in a table, in threads, and where there is no server."""

import contextvars
import socket
import threading
from collections.abc import Callable

import pytest

import sockserve
from recorder import FAILSAFE
from sockserve import SelectorStrategy, Server, TcpTransport, ThreadStrategy, alongside
from sockserve.abc import Strategy

TCP = TcpTransport(("127.0.0.1", 0))
BOTH = pytest.mark.parametrize("strategy", [ThreadStrategy(), SelectorStrategy()], ids=["thread", "table"])


def run_in_handler(strategy: Strategy, function: Callable[[socket.socket], object]) -> None:
    """Call *function* in a handler, with its connection; raise what it raises."""
    errors: list[BaseException] = []

    def handle(request: socket.socket, _address: object, _server: object) -> None:
        try:
            function(request)
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)

    with Server(TCP, strategy, handle).running() as server:
        with socket.create_connection(server.address, FAILSAFE) as client:
            assert client.recv(1) == b""
    if errors:
        raise errors[0]


@BOTH
def test_each_goes_on_while_the_other_waits(strategy: Strategy) -> None:
    """They wake each other; in a table by turns, in one thread."""
    threads = set()

    def play(_request: object) -> None:
        here, there = sockserve.Queue[int](), sockserve.Queue[int]()

        def beside() -> None:
            threads.add(threading.get_ident())
            while number := here.get(timeout=FAILSAFE):
                there.put(number + 1)

        with alongside(beside):
            threads.add(threading.get_ident())
            for number in range(1, 10):
                here.put(number)
                assert there.get(timeout=FAILSAFE) == number + 1
            here.put(0)

    run_in_handler(strategy, play)
    assert len(threads) == (1 if isinstance(strategy, SelectorStrategy) else 2)


@BOTH
def test_one_reads_what_the_other_writes(strategy: Strategy) -> None:
    """One socket, both ways at once, by sockets that the handler has opened itself."""
    size = 1 << 22

    def play(_request: object) -> None:
        one, other = map(sockserve.cooperative, socket.socketpair())
        with one, other, alongside(one.sendall, bytes(size)):
            left = size
            while left:
                left -= len(other.recv(1 << 16))

    run_in_handler(strategy, play)


@BOTH
def test_what_it_raises(strategy: Strategy) -> None:
    """It is raised where the block ends, unless the block has raised itself; that waits too."""
    gate, done = sockserve.Event(), []

    def fail() -> None:
        raise LookupError("beside")

    def finish() -> None:
        gate.wait(FAILSAFE)
        done.append(1)

    def play_well(_request: object) -> None:
        with alongside(fail):
            done.append(0)

    def play_badly(_request: object) -> None:
        with alongside(finish):
            gate.set()
            raise ValueError("in the block")

    with pytest.raises(LookupError, match="beside"):
        run_in_handler(strategy, play_well)
    with pytest.raises(ValueError, match="in the block"):
        run_in_handler(strategy, play_badly)
    assert done == [0, 1]


@BOTH
def test_it_sees_the_handler_s_context(strategy: Strategy) -> None:
    """What the handler has set, as it was then; what it sets itself is its own."""
    variable = contextvars.ContextVar("variable", default="none")

    def play(_request: object) -> None:
        variable.set("handler's")
        found = []

        def beside() -> None:
            found.append(variable.get())
            variable.set("its own")

        with alongside(beside):
            pass
        assert found == ["handler's"]
        assert variable.get() == "handler's"

    run_in_handler(strategy, play)


@pytest.mark.parametrize("begun", [True, False])
def test_a_stop_ends_both(begun: bool) -> None:
    """Both waits raise, and the request counts as finished. What has not begun by then never does."""
    events: list[object] = []

    def beside(request: socket.socket) -> None:
        events.append("begun")
        request.sendall(b"?")
        try:
            sockserve.Event().wait()
        except sockserve.RequestAborted:
            events.append("aborted")
            raise

    def handle(
        request: socket.socket, _address: object, server: Server[socket.socket, sockserve.InetAddress]
    ) -> None:
        with alongside(beside, request):
            if not begun:
                server.request_stop()
            sockserve.Event().wait()

    with Server(TCP, SelectorStrategy(), handle) as server:
        with server.running(), socket.create_connection(server.address, FAILSAFE) as client:
            if begun:
                assert client.recv(1) == b"?"
                server.shutdown()
            assert client.recv(10).strip(b"?") == b""
        assert events == (["begun", "aborted"] if begun or events else [])
        assert server.stats.finished == 1


def test_without_a_server() -> None:
    """A thread, which is over when the block is."""
    count = threading.active_count()
    seen: list[int] = []
    with alongside(seen.append, 1):
        pass
    assert seen == [1]
    assert threading.active_count() == count
