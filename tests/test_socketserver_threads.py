"""The inheritable servers in several threads at a time, and in themselves: what the standard library's permit."""

import socket
import socketserver as stdlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from recorder import FAILSAFE
from shim_kit import ANYWHERE, ask, connect, serving
from sockserve import SelectorStrategy
from sockserve import socketserver as ours
from sockserve.abc import Core, Job, Loop, LoopRunner

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

#: Far beyond what a test may take: what only a poll would notice is not noticed.
NEVER = 1000
#: That take requests at a time.
THREADS = 3

NAMES = ["TCPServer", "ThreadingTCPServer", "ThreadPoolTCPServer", "SelectorTCPServer"]
#: In whose own thread each request runs.
IN_PLACE = {
    "TCPServer": (ours.TCPServer,),
    "SelectorTCPServer": (ours.SelectorTCPServer,),
    "Selector over the standard library's": (ours.SelectorMixIn, stdlib.TCPServer),
}
in_place = pytest.mark.parametrize("bases", IN_PLACE.values(), ids=IN_PLACE)


def made(bases: tuple[Any, ...], handle: Callable[..., object], **attributes: Any) -> Any:
    """Make a server whose `failed` has what handlers have raised."""

    def note(self: Any, _request: object, _address: object) -> None:
        self.failed.append(sys.exc_info()[1])

    return type("Noting", bases, {"failed": [], "handle_error": note, **attributes})(ANYWHERE, handle)


def talk(request: Any) -> None:
    """Say something, wait for the answer, and repeat it."""
    request.sendall(b"?")
    request.sendall(request.recv(10))


def answer(client: Any, said: bytes) -> bytes:
    """Be the client of `talk`."""
    assert client.recv(1) == b"?"
    client.sendall(said)
    return bytes(client.recv(10))


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Run something in a thread, which has ended by the end of the test."""
    threads: list[threading.Thread] = []

    def run(what: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=what))
        threads[-1].start()
        return threads[-1]

    yield run
    for thread in threads:
        thread.join(FAILSAFE)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "bases", [*[(vars(ours)[name],) for name in NAMES], (ours.SelectorMixIn, stdlib.TCPServer)]
)
def test_handle_request_in_several_threads(bases: Any) -> None:
    """As many requests at a time: each is answered, whatever the others do."""
    together = threading.Barrier(THREADS)

    def handle(request: Any, _address: object, _server: object) -> None:
        together.wait(FAILSAFE)
        talk(request)

    with made(bases, handle) as server:
        for _ in range(2):
            threads = [threading.Thread(target=server.handle_request) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            clients = [connect(server) for _ in threads]
            for number, client in reversed(list(enumerate(clients))):
                with client:
                    assert answer(client, b"%d" % number) == b"%d" % number
            for thread in threads:
                thread.join(FAILSAFE)
                assert not thread.is_alive()
        assert server.failed == []


@pytest.mark.parametrize("by", ["a handler", "verify_request"])
@in_place
def test_handle_request_beside_serve_forever(bases: Any, by: str, beside: Any) -> None:
    """It answers one here, also while the one that serves is held; that goes on with its own."""
    held, go_on = threading.Event(), threading.Event()
    serves: list[int] = []

    def hold(where: str) -> None:
        if where == by and [threading.get_ident()] == serves and not held.is_set():
            held.set()
            assert go_on.wait(FAILSAFE)

    def verify(_server: object, _request: object, _address: object) -> bool:
        hold("verify_request")
        return True

    def handle(request: Any, _address: object, _server: object) -> None:
        said = request.recv(10)
        if said == b"before":
            serves.append(threading.get_ident())
        elif said == b"hold":
            hold("a handler")
        talk(request)

    def begin(said: bytes) -> socket.socket:
        client = connect(server)
        client.sendall(said)
        return client

    with made(bases, handle, verify_request=verify, slow=NEVER) as server, serving(server, 0.02):
        with begin(b"before") as before:
            assert answer(before, b"0") == b"0"
            assert before.recv(1) == b""
        with begin(b"hold") as first:
            assert held.wait(FAILSAFE)
            server.slow = NEVER + 1  # the other thread sees it first, and leaves what is not its own
            with begin(b"go") as second:
                other = beside(server.handle_request)
                assert second.recv(1, socket.MSG_PEEK) == b"?"
                go_on.set()
                assert answer(first, b"1") == b"1"
                assert answer(second, b"2") == b"2"
                other.join(FAILSAFE)
        with begin(b"go") as third:
            assert answer(third, b"3") == b"3"
        assert server.failed == []


@pytest.mark.parametrize("name", ["TCPServer", "SelectorTCPServer"])
def test_shutdown_by_a_handler_while_another_thread_polls(name: str, beside: Any) -> None:
    """The thread that serves knows itself: it does not wait for its own end."""
    polls, go_on = threading.Event(), threading.Event()
    serves: list[threading.Thread] = []

    def fileno(self: Any) -> int:
        if serves and threading.current_thread() is not serves[0]:
            polls.set()
            assert go_on.wait(FAILSAFE)
        return int(self.socket.fileno())

    def handle(request: Any, _address: object, server: Any) -> None:
        if request.recv(10) == b"shutdown":
            server.shutdown()
        request.sendall(b"done")

    with made((vars(ours)[name],), handle, fileno=fileno) as server:
        serves.append(threading.Thread(target=server.serve_forever, args=(NEVER,)))
        serves[0].start()
        other = beside(server.handle_request)
        assert polls.wait(FAILSAFE)
        assert ask(server, b"shutdown") == b"done"
        serves[0].join(FAILSAFE)
        assert not serves[0].is_alive()
        go_on.set()
        assert ask(server, b"go") == b"done"
        other.join(FAILSAFE)


def test_two_threads_that_serve() -> None:
    """One has the table; the other answers beside it, one request after the other."""
    together = threading.Barrier(2)

    def handle(request: Any, _address: object, _server: object) -> None:
        together.wait(FAILSAFE)
        talk(request)

    with made((ours.SelectorTCPServer,), handle) as server:
        threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        with connect(server) as one, connect(server) as two:
            assert answer(two, b"two") == b"two"
            assert answer(one, b"one") == b"one"
        for thread in threads:
            while thread.is_alive():
                server._BaseServer__shutdown_request = True  # the first to leave takes it back
                thread.join(0.02)
        assert server.failed == []


NESTING = {**IN_PLACE, "ThreadPoolTCPServer": (ours.ThreadPoolTCPServer,)}


@pytest.mark.parametrize(
    ("bases", "how"),
    [
        *[pytest.param(bases, "handle_request", id=name) for name, bases in NESTING.items()],
        *[pytest.param(bases, "serve_forever", id=f"{name}, serving") for name, bases in NESTING.items()],
        # Not while it serves: its loop may be quicker than the handler.
        pytest.param((ours.ThreadingTCPServer,), "handle_request", id="ThreadingTCPServer"),
    ],
)
def test_handle_request_by_a_handler(bases: Any, how: str, beside: Any) -> None:
    """It answers another one, and goes on; also where the pool has no room but the handler's own place."""

    def handle(request: Any, _address: object, server: Any) -> None:
        if not nested:
            nested.append(True)
            for _ in range(2):  # in the first turn of its row, and in a later one
                request.sendall(b"!")
                server.handle_request()
                assert request.recv(1) == b"."
        talk(request)

    nested: list[bool] = []
    with made(bases, handle, workers=1) as server:
        if how == "handle_request":
            beside(server.handle_request)
            _nest(server)
        else:
            with serving(server, 0.02):
                _nest(server)
                with connect(server) as after:
                    assert answer(after, b"after") == b"after"
        assert server.failed == []


def _nest(server: Any) -> None:
    with connect(server) as outer:
        for number in (b"1", b"2"):
            assert outer.recv(1) == b"!"
            with connect(server) as inner:
                assert answer(inner, number) == number
                assert inner.recv(1) == b""
            outer.sendall(b".")
        assert answer(outer, b"0") == b"0"


def test_process_request_by_a_handler_and_by_service_actions() -> None:
    """A handler's is answered before that goes on; what the loop hands over is a row as any other."""
    notes: list[bytes] = []
    later: list[Any] = []

    def handle(request: Any, _address: object, server: Any) -> None:
        said = request.recv(10)
        if said == b"outer":
            request.sendall(b"!")
            server.process_request(*server.get_request())
        elif said == b"wait":
            request.recv(1)
        notes.append(said)
        request.sendall(said)

    class Later(ours.SelectorTCPServer):
        fresh = False

        def process_request(self, request: Any, client_address: Any) -> None:
            later.append((request, client_address))
            self.fresh = True

        def service_actions(self) -> None:
            super().service_actions()
            fresh, self.fresh = self.fresh, False
            while later and not fresh:  # not at once: at the loop's next look
                super().process_request(*later.pop(0))

    with ours.SelectorTCPServer(ANYWHERE, handle) as server, serving(server, NEVER), connect(server) as outer:
        outer.sendall(b"outer")
        assert outer.recv(1) == b"!"
        assert ask(server, b"inner") == b"inner"
        assert outer.recv(10) == b"outer"
    assert notes == [b"inner", b"outer"]
    with Later(ANYWHERE, handle) as server, serving(server, 0.02), connect(server) as waits:
        waits.sendall(b"wait")
        assert ask(server, b"go") == b"go"
        waits.sendall(b"!")
        assert waits.recv(10) == b"wait"


@attrs.frozen
class OneTable:
    """A table for one request at a time; it knows whose runners were let go."""

    runners: list["OneRow"] = attrs.field(factory=list, init=False)

    def start(self, loop: Loop, core: Core, /) -> "OneRow":
        self.runners.append(OneRow(SelectorStrategy().start(loop, core)))
        return self.runners[-1]


@attrs.define(eq=False)
class OneRow:
    table: LoopRunner
    full: bool = False
    end: list[str] = attrs.field(factory=list)

    def submit(self, job: Job, /) -> None:
        assert not self.full
        self.full = True
        self.table.submit(job)

    def leave(self) -> None:
        self.table.leave()
        self.full = False
        self.end.append("left")

    def move(self, loop: Loop, /) -> None:
        self.table.move(loop)

    def close(self, deadline: float | None, /) -> None:
        self.table.close(deadline)
        self.end.append("closed")


def test_a_full_table_and_one_beside_it(beside: Any) -> None:
    """Who takes a request beside it waits for no room in it, and lets go of what he has had."""
    strategy = OneTable()

    def handle(request: Any, _address: object, server: Any) -> None:
        if request.recv(10) == b"outer":
            server.handle_request()
        request.sendall(b"done")

    with made((ours.mixin_for(strategy), ours.TCPServer), handle) as server:
        with connect(server) as outer, connect(server) as inner:
            outer.sendall(b"outer")
            inner.sendall(b"inner")
            beside(server.handle_request)
            assert [inner.recv(10), outer.recv(10)] == [b"done"] * 2
            assert inner.recv(10) == outer.recv(10) == b""
        assert [each.end for each in strategy.runners[1:]] == [["left", "closed"]]
        assert server.failed == []


@attrs.frozen
class Narrow:
    """A strategy whose runner can be asked by how many at a time it was used, and that runs requests at once."""

    entered: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0), init=False)
    inside: list[int] = attrs.field(factory=list, init=False)
    most: list[int] = attrs.field(factory=list, init=False)

    def pass_through(self) -> None:
        """Wait, if it is the first, until the others have come close."""
        self.inside.append(1)
        self.most.append(len(self.inside))
        if len(self.most) == 1:
            for _ in range(THREADS):
                assert self.entered.acquire(timeout=FAILSAFE)
        self.inside.pop()


@attrs.frozen
class NarrowStart(Narrow):
    def start(self, loop: Loop, core: Core, /) -> "RunsHere":
        self.pass_through()
        return RunsHere(None)


@attrs.frozen
class NarrowSubmit(Narrow):
    def start(self, loop: Loop, core: Core, /) -> "RunsHere":
        return RunsHere(self)


@attrs.define(eq=False)
class RunsHere:
    strategy: Narrow | None
    full = False

    def submit(self, job: Job, /) -> None:
        if self.strategy is not None:
            self.strategy.pass_through()
        job.run()

    def move(self, loop: Loop, /) -> None:
        """Nothing is on the loop."""

    def close(self, deadline: float | None, /) -> None:
        """Nothing is in flight."""


@pytest.mark.parametrize("kind", [NarrowStart, NarrowSubmit])
def test_a_strategy_is_used_by_one_thread_at_a_time(kind: Any, beside: Any) -> None:
    """It is started once, and two threads cannot both have the last place that it has."""
    strategy = kind()

    mixin: Any = ours.mixin_for(strategy)

    def process_request(self: Any, request: Any, client_address: Any) -> None:
        strategy.entered.release()
        mixin.process_request(self, request, client_address)

    bases = (mixin, ours.TCPServer)
    with made(
        bases, lambda request, *_others: request.sendall(b"done"), process_request=process_request
    ) as server:
        threads = [beside(server.handle_request) for _ in range(THREADS)]
        clients = [connect(server) for _ in threads]
        for client in clients:
            with client:
                assert client.recv(10) == b"done"
        for thread in threads:
            thread.join(FAILSAFE)
        assert server.failed == []
    assert max(strategy.most) == 1
    assert len(strategy.most) == (1 if kind is NarrowStart else THREADS)
