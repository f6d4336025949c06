"""Where sockserve's socketserver is better than the standard library's, and may be."""

import contextlib
import errno
import gc
import http.server
import os
import resource
import signal
import socket
import socketserver as stdlib
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from recorder import FAILSAFE
from shim_kit import ANYWHERE, Log, answering, ask, connect, serving, upper
from sockserve import (
    ForkStrategy,
    Lines,
    MessageHandler,
    SelectorStrategy,
    SockserveWarning,
    SyncStrategy,
    ThreadPoolStrategy,
    ThreadStrategy,
)
from sockserve import socketserver as ours
from sockserve._loop.accept_errors import PAUSE_SECONDS
from sockserve.abc import Core, Job, Loop
from sockserve.socketserver import _polling
from sockserve.socketserver._bare_poll import POLLIN, BarePoll
from sockserve.socketserver._state import state_of

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

NAMES = ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer", "ThreadPoolTCPServer", "SelectorTCPServer"]

#: Far beyond what a test may take: what only a poll would notice is not noticed.
NEVER = 1000


@pytest.fixture
def log() -> Iterator[Log]:
    """Notes that children write too."""
    with Log() as made:
        yield made


# Stopping.


@pytest.mark.parametrize("name", NAMES)
def test_shutdown_is_immediate(name: str) -> None:
    """It does not wait for the next poll, also after requests."""
    with getattr(ours, name)(ANYWHERE, upper(ours)) as server:
        for _ in range(2):
            with serving(server, NEVER):  # shuts down at its end
                assert ask(server) == b"PING\n"


@pytest.mark.parametrize("replaced", [False, True], ids=["poll", "select"])
def test_a_call_is_no_arrival(replaced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop looks around, and does not try to accept: that would wait for a client."""
    if replaced:
        select = ours.selectors.PollSelector.select
        monkeypatch.setattr(ours.selectors.PollSelector, "select", lambda *both: select(*both))
    rounds, tries = threading.Semaphore(0), list[None]()

    class Noting(ours.TCPServer):
        def _handle_request_noblock(self) -> None:
            tries.append(None)
            if len(tries) == 1:
                super()._handle_request_noblock()

        def service_actions(self) -> None:
            rounds.release()

    with Noting(ANYWHERE, upper(ours)) as server, serving(server, NEVER):
        assert ask(server) == b"PING\n"
        assert rounds.acquire(timeout=FAILSAFE)
        state_of(server).wake()
        assert rounds.acquire(timeout=FAILSAFE)
        assert len(tries) == 1


def test_the_bare_poll() -> None:
    """It takes seconds, and poll(2) milliseconds: at least as long, nothing at all, or without end."""
    asked: list[int | None] = []

    def poll(milliseconds: int | None) -> list[tuple[int, int]]:
        asked.append(milliseconds)
        if milliseconds == 0:
            raise InterruptedError
        return [(7, POLLIN)]

    bare = BarePoll(poll)
    timeouts = (0.0001, 0.0001, 0.5, None, 0.0021)
    assert [bare.wait(timeout) for timeout in timeouts] == [[(7, POLLIN)]] * 5
    assert [bare.wait(timeout) for timeout in (0, -1)] == [[], []]
    assert asked == [1, 1, 500, None, 3, 0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_shutdown_by_a_handler(name: str) -> None:
    """In the loop's own thread, in another, in a child: it asks, and nothing waits for itself."""

    class Stops(getattr(ours, name)):  # type: ignore[misc]
        def finish_request(self, request: Any, client_address: object) -> None:
            self.shutdown()
            request.sendall(b"asked")

    with Stops(ANYWHERE, None) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01 if name.startswith("Fork") else NEVER,))
        thread.start()
        assert ask(server, b"") == b"asked"
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_shutdown_by_the_loop_itself() -> None:
    """In service_actions, and in a signal's handler in the middle of the wait."""
    with ours.TCPServer(ANYWHERE, upper(ours)) as server:
        server.service_actions = server.shutdown  # type: ignore[method-assign]
        server.serve_forever(0.001)
    with ours.TCPServer(ANYWHERE, upper(ours)) as server:
        before = signal.signal(signal.SIGALRM, lambda *_: server.shutdown())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            server.serve_forever(NEVER)
        finally:
            signal.signal(signal.SIGALRM, before)


def test_shutdown_before_anything_serves() -> None:
    """It returns; the next loop leaves at once, also of a server closed meanwhile; the one after serves."""
    server = ours.TCPServer(ANYWHERE, upper(ours))
    server.shutdown()
    server.serve_forever(NEVER)
    with serving(server, NEVER):
        assert ask(server) == b"PING\n"
    server.server_close()
    again = ours.TCPServer(ANYWHERE, upper(ours))
    again.shutdown()
    again.server_close()
    again.serve_forever(NEVER)


def test_shutdown_in_a_copy_of_the_process() -> None:
    """A child that the program has forked does not wait for a loop that it does not have."""
    with ours.TCPServer(ANYWHERE, upper(ours)) as server, serving(server, NEVER):
        pid = os.fork()
        if pid == 0:
            server.shutdown()
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        assert ask(server) == b"PING\n"


def test_closed_while_it_serves() -> None:
    """The loop waits for what may come in its place, and does not spin."""
    turned = threading.Semaphore(0)
    with ours.TCPServer(ANYWHERE, upper(ours)) as server, serving(server, 0.02):
        assert ask(server) == b"PING\n"
        server.socket.close()
        began = time.monotonic()
        server.service_actions = turned.release  # type: ignore[method-assign]
        for _ in range(4):
            assert turned.acquire(timeout=FAILSAFE)
        assert time.monotonic() - began > 0.02
        server.socket = socket.create_server(ANYWHERE)
        server.server_address = server.socket.getsockname()
        assert ask(server) == b"PING\n"


def test_a_loop_without_a_descriptor_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no wake-up can be made it polls, as the standard library does."""

    def refuse() -> object:
        raise OSError(errno.EMFILE, "no more")

    monkeypatch.setattr(_polling, "Wakeup", refuse)
    with ours.TCPServer(ANYWHERE, upper(ours)) as server, serving(server, 0.01):
        assert ask(server) == b"PING\n"


# Accepting.


@pytest.mark.parametrize(("number", "tries"), [(errno.EMFILE, 3), (errno.ECONNABORTED, 40)])
def test_accept_errors_do_not_spin(number: int, tries: int) -> None:
    """Without descriptors it pauses at once, after an error that stays so after some."""
    left = [tries]

    class Failing(ours.TCPServer):
        def get_request(self) -> Any:
            left[0] -= 1
            if left[0]:
                raise OSError(number, "no")
            self.shutdown()
            return super().get_request()

    with Failing(ANYWHERE, upper(ours)) as server, connect(server) as client:
        client.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        server.serve_forever(NEVER)
        assert time.monotonic() - began >= 2 * PAUSE_SECONDS


def test_handle_request_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls it in a loop without descriptors is held up, no longer than he has said."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    class Failing(ours.TCPServer):
        def get_request(self) -> Any:
            raise OSError(errno.EMFILE, "no")

    with Failing(ANYWHERE, upper(ours)) as server, connect(server):
        server.handle_request()
        server.timeout = 0.01
        server.handle_request()
    assert slept[0] == PAUSE_SECONDS
    assert 0 <= slept[1] <= 0.01


def test_a_real_limit_of_descriptors() -> None:
    """At the limit it tries ten times a second; afterwards the client that has waited is served."""
    tried = threading.Semaphore(0)

    class Counting(ours.TCPServer):
        def get_request(self) -> Any:
            tried.release()
            return super().get_request()

    with Counting(ANYWHERE, answering(lambda request: request.sendall(b"served"))) as server, serving(server):
        with connect(server) as client:  # the loop has what it needs
            assert client.recv(10) == b"served"
            assert client.recv(10) == b""
        assert tried.acquire(timeout=FAILSAFE)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as late:
            late.settimeout(FAILSAFE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno(), before[1]))
            try:
                began = time.monotonic()
                late.connect(server.server_address)
                for _ in range(3):
                    assert tried.acquire(timeout=FAILSAFE)
                assert time.monotonic() - began >= 2 * PAUSE_SECONDS - 0.01
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert late.recv(10) == b"served"


# Threads and processes.


def test_counting_threads_costs_no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of looks at threads grows with their number, not with its square."""
    looks: list[int] = []

    class Running(threading.Thread):
        def is_alive(self) -> bool:
            looks.append(1)
            return True

    counted = ours._Threads()
    for _ in range(1000):
        counted.append(Running())
    assert len(counted) == 1000
    assert len(looks) < 3000
    counted.append(Running(daemon=True))
    assert len(counted) == 1000
    assert len(counted.pop_all()) == 1000


def test_ended_threads_are_forgotten() -> None:
    """A server that serves for long does not keep them all."""
    with ours.ThreadingTCPServer(ANYWHERE, upper(ours)) as server, serving(server):
        for _ in range(50):
            assert ask(server) == b"PING\n"
        assert len(list(server._threads)) < 10  # type: ignore[arg-type]


def _wait_for_a_byte(request: socket.socket) -> None:
    request.sendall(b"!")
    request.recv(1)


def test_max_children_does_not_block_the_loop() -> None:
    """At the limit nothing is accepted, and the loop can be stopped; one child that ends makes room."""

    class Few(ours.ForkingTCPServer):
        max_children = 2

    with Few(ANYWHERE, answering(_wait_for_a_byte)) as server:
        with connect(server) as one, connect(server) as two, connect(server) as three:
            with serving(server, NEVER):
                assert [one.recv(1), two.recv(1)] == [b"!", b"!"]
                three.settimeout(0.01)
                with pytest.raises(TimeoutError):
                    three.recv(1)
                three.settimeout(FAILSAFE)
                one.sendall(b"x")
                assert three.recv(1) == b"!"  # at once, not at the next poll
            assert len(server.active_children or ()) == 2  # now that the loop has counted them
            two.sendall(b"x")
            three.sendall(b"x")
    assert server.active_children == set()


def test_children_are_counted_by_another_thread() -> None:
    """collect_children may be called while the loop waits at the limit, and that can be stopped all the same."""

    class One(ours.ForkingTCPServer):
        max_children = 1

    with One(ANYWHERE, answering(_wait_for_a_byte)) as server, connect(server) as client:
        with serving(server, NEVER):
            assert client.recv(1) == b"!"
            server.max_children = 2  # the call is not at the limit, the loop was
            server.collect_children()
        assert len(server.active_children or ()) == 1  # now that the loop has counted it
        client.sendall(b"x")


def test_foreign_children_are_left_alone() -> None:
    """Also at the limit, and while it is waited for."""
    foreign = os.fork()
    if foreign == 0:
        os._exit(3)

    class One(ours.ForkingTCPServer):
        max_children = 1

    with One(ANYWHERE, answering(_wait_for_a_byte)) as server, connect(server) as client:
        server.handle_request()
        assert client.recv(1) == b"!"
        client.sendall(b"x")
        server.collect_children()  # by hand, at the limit: waits
        assert server.active_children == set()
    assert os.waitstatus_to_exitcode(os.waitpid(foreign, 0)[1]) == 3


@pytest.mark.parametrize("limit", [float("inf"), sys.maxsize])
def test_no_limit_of_children(limit: Any) -> None:
    """What programs write for it."""
    with ours.ForkingTCPServer(ANYWHERE, upper(ours)) as server:
        server.max_children = limit
        with serving(server):
            assert ask(server) == b"PING\n"


def test_children_without_the_kernel_s_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no pidfds: the same, by pipes."""
    from sockserve.strategies import _children

    monkeypatch.setattr(_children, "has_pidfd", lambda: False)
    test_max_children_does_not_block_the_loop()


def test_children_over_the_standard_library_s_loop() -> None:
    """It knows nothing of a limit: what it accepts beyond waits for a child's end."""

    class Mixed(ours.ForkingMixIn, stdlib.TCPServer):
        max_children = 1

    with Mixed(ANYWHERE, upper(ours)) as server, serving(server, 0.01):
        assert [ask(server) for _ in range(5)] == [b"PING\n"] * 5


def test_what_a_child_prints_is_not_lost(tmp_path: Path) -> None:
    """Buffers are written once: before the fork the parent's, at its end the child's."""
    program = tmp_path / "program.py"
    program.write_text(
        "import socket\n"
        "from sockserve import socketserver\n"
        "print('parent')\n"
        "with socketserver.ForkingTCPServer(('127.0.0.1', 0), lambda *_: print('child')) as server:\n"
        "    with socket.create_connection(server.server_address) as client:\n"
        "        server.handle_request()\n"
        "        client.recv(1)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["parent", "child"]


# The pool, and other strategies.


class Gate:
    """A handler whose requests wait until they are let go."""

    def __init__(self) -> None:
        self.running = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.most = 0
        self.now = 0

    def __call__(self, request: socket.socket, *_others: object) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.running.release()
        assert self.go.acquire(timeout=FAILSAFE)
        self.now -= 1
        request.sendall(b"done")


@pytest.mark.parametrize("base", [ours.TCPServer, stdlib.TCPServer, http.server.HTTPServer])
def test_a_full_pool_accepts_nothing(base: Any) -> None:
    """The kernel queues; an ended request makes room at once; shutdown is heard while it is full."""
    accepted: list[int] = []

    class Pooled(ours.ThreadPoolMixIn, base):  # type: ignore[misc]
        workers = 1

        def get_request(self) -> Any:
            accepted.append(1)
            return base.get_request(self)

    gate, kind = Gate(), cast("Any", Pooled)
    with kind(ANYWHERE, gate) as server:
        with connect(server) as one, connect(server) as two:
            with serving(server, NEVER if base is ours.TCPServer else 0.01):
                assert gate.running.acquire(timeout=FAILSAFE)
                assert accepted == [1]
                gate.go.release()
                assert one.recv(10) == b"done"
                assert gate.running.acquire(timeout=FAILSAFE)
            gate.go.release()
            assert two.recv(10) == b"done"
    assert (accepted, gate.most) == ([1, 1], 1)


def test_a_full_pool_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks ten times a second whether there is room."""
    from sockserve.socketserver import _host_loop

    def refuse() -> object:
        raise OSError(errno.EMFILE, "no more")

    class Pooled(ours.ThreadPoolTCPServer):
        workers = 1

    gate = Gate()
    monkeypatch.setattr(_host_loop, "Wakeup", refuse)
    monkeypatch.setattr(_polling, "Wakeup", refuse)
    with Pooled(ANYWHERE, gate) as server, connect(server) as one, connect(server) as two:
        server.handle_request()
        assert gate.running.acquire(timeout=FAILSAFE)
        gate.go.release()
        gate.go.release()
        server.handle_request()
        assert [one.recv(10), two.recv(10)] == [b"done", b"done"]


def test_a_full_pool_under_another_s_loop() -> None:
    """The standard library's loop, called by its name, waits with what it has accepted."""

    class Pooled(ours.ThreadPoolMixIn, stdlib.TCPServer):
        workers = 1

    gate: Any = Gate()
    kind: Any = Pooled
    with kind(ANYWHERE, gate) as server, connect(server) as one, connect(server) as two:
        stdlib.TCPServer.handle_request(server)
        assert gate.running.acquire(timeout=FAILSAFE)
        gate.go.release()
        gate.go.release()
        stdlib.TCPServer.handle_request(server)
        assert [one.recv(10), two.recv(10)] == [b"done", b"done"]


def test_handle_request_waits_for_room() -> None:
    """At most as long as its time-out says; then handle_timeout is called."""
    called: list[int] = []

    class Pooled(ours.ThreadPoolTCPServer):
        workers = 1
        timeout: float | None = 0.01

        def handle_timeout(self) -> None:
            called.append(1)

    gate = Gate()
    with Pooled(ANYWHERE, gate) as server, connect(server) as one, connect(server) as two:
        server.handle_request()
        assert gate.running.acquire(timeout=FAILSAFE)
        server.handle_request()
        assert called == [1]
        gate.go.release()
        gate.go.release()
        server.timeout = FAILSAFE
        server.handle_request()
        assert [one.recv(10), two.recv(10)] == [b"done", b"done"]
    assert called == [1]


def test_options_of_the_pool() -> None:
    """Class attributes, under their documented names, with the strategy's defaults."""
    assert ours.ThreadPoolMixIn.workers == ThreadPoolStrategy().workers
    assert ours.ThreadPoolMixIn.daemon_threads is False
    assert not hasattr(ours.ThreadPoolMixIn, "daemon")
    seen: list[threading.Thread] = []
    handler = answering(lambda _request: seen.append(threading.current_thread()))
    with ours.ThreadPoolTCPServer(ANYWHERE, handler) as server:
        server.daemon_threads = 1  # type: ignore[assignment]
        with serving(server):
            assert ask(server, b"") == b""
    (thread,) = seen
    assert thread.daemon
    thread.join(FAILSAFE)  # nobody has waited for it, by its definition


@attrs.frozen
class Backwards:
    """A strategy of a program's own: it runs requests in pairs, the later one first."""

    size: int = 2
    label: str = "pairs"

    def start(self, loop: Loop, core: Core, /) -> "BackwardsRunner":
        """See `sockserve.abc.Strategy.start`."""
        return BackwardsRunner(self, loop)


@attrs.define(eq=False)
class BackwardsRunner:
    """Its runner."""

    options: Backwards
    loop: Loop
    waiting: list[Job] = attrs.field(factory=list)
    full = False

    def submit(self, job: Job, /) -> None:
        """See `sockserve.abc.Runner.submit`."""
        self.waiting.append(job)
        if len(self.waiting) == self.options.size:
            self.loop.call_soon_threadsafe(self.run)

    def run(self) -> None:
        """Run what waits."""
        while self.waiting:
            self.waiting.pop().run()

    def move(self, loop: Loop, /) -> None:
        """See `sockserve.abc.Runner.move`."""
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        """See `sockserve.abc.Runner.close`."""
        self.run()


class BackwardsMixIn(ours.StrategyMixIn, strategy=Backwards()):
    """As type checkers like it."""

    size: int
    label: str


@pytest.mark.parametrize("mixin", [ours.mixin_for(Backwards()), BackwardsMixIn])
def test_a_strategy_of_ones_own(mixin: Any) -> None:
    """Its fields are class attributes, and it runs the requests."""
    assert (mixin.__name__, mixin.size, mixin.label) == ("BackwardsMixIn", 2, "pairs")
    order: list[object] = []

    class Server(mixin, ours.TCPServer):  # type: ignore[misc]
        size = 3

    with Server(ANYWHERE, lambda _request, address, _server: order.append(address)) as server, serving(server):
        with connect(server) as one, connect(server) as two, connect(server) as three:
            clients = [one, two, three]
            assert [client.recv(1) for client in clients] == [b""] * 3
            assert order == [client.getsockname() for client in reversed(clients)]


@pytest.mark.parametrize(
    ("strategy", "name"),
    [(SyncStrategy(), "SyncMixIn"), (ThreadStrategy(), "ThreadMixIn"), (ForkStrategy(max_children=3), "ForkMixIn"),
     (ThreadPoolStrategy(workers=2), "ThreadPoolMixIn"), (SelectorStrategy(), "SelectorMixIn")],
)  # fmt: skip
def test_every_strategy_as_a_mixin(strategy: Any, name: str) -> None:
    """Over this module's servers and the standard library's."""
    mixin: Any = ours.mixin_for(strategy)
    assert mixin.__name__ == name
    assert all(getattr(mixin, each.name) == getattr(strategy, each.name) for each in attrs.fields(type(strategy)))
    for base in (ours.TCPServer, stdlib.TCPServer):
        with type("Server", (mixin, base), {})(ANYWHERE, upper(ours)) as server, serving(server, 0.01):
            assert [ask(server) for _ in range(3)] == [b"PING\n"] * 3


def test_options_changed_while_it_serves() -> None:
    """They hold from the next request on; what runs under the old ones is waited for all the same."""
    mixin: Any = ours.mixin_for(ThreadPoolStrategy(workers=1), name="Pool")

    class Server(mixin, ours.TCPServer):  # type: ignore[misc]
        pass

    gate = Gate()
    with Server(ANYWHERE, gate) as server, connect(server) as one, connect(server) as two:
        server.handle_request()
        assert gate.running.acquire(timeout=FAILSAFE)
        server.workers = 2
        with serving(server):
            gate.go.release()
            assert one.recv(10) == b"done"
            assert gate.running.acquire(timeout=FAILSAFE)
            gate.go.release()
            assert two.recv(10) == b"done"


def test_a_mixin_needs_a_strategy() -> None:
    """Said where it is missed."""
    kind: Any = type("Server", (ours.StrategyMixIn, ours.TCPServer), {})
    server: Any = kind(ANYWHERE, None)
    with server, pytest.raises(TypeError, match="no strategy"):
        server.process_request(None, None)


# What is left behind.


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_made_before_it_serves(name: str) -> None:
    """One descriptor, the socket; no thread."""
    threads, before = threading.active_count(), _descriptors()
    with getattr(ours, name)(ANYWHERE, upper(ours)):
        assert (_descriptors() - before, threading.active_count() - threads) == (1, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_server_is_freed(name: str) -> None:
    """Without the garbage collector's help: there is no circle, and nobody keeps a list."""
    gc.collect()
    gc.disable()
    try:
        with getattr(ours, name)(ANYWHERE, upper(ours)) as server:
            with serving(server):
                assert ask(server) == b"PING\n"
        alive = weakref.ref(server)
        del server
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["ForkingTCPServer", "ThreadPoolTCPServer", "SelectorTCPServer"])
def test_a_server_that_is_dropped_open(name: str) -> None:
    """It takes its helpers with it: idle threads, and pipes (the leak check of every test looks for those)."""
    others = set(threading.enumerate())
    server = getattr(ours, name)(ANYWHERE, upper(ours))
    with connect(server) as client:
        client.shutdown(socket.SHUT_WR)
        server.handle_request()
        assert client.recv(1) == b""
    getattr(server, "collect_children", lambda **_: None)(blocking=True)
    server.socket.close()
    idle = set(threading.enumerate()) - others
    assert len(idle) == (name == "ThreadPoolTCPServer")
    del server
    gc.collect()
    for thread in idle:
        thread.join(FAILSAFE)
        assert not thread.is_alive()


# Mistakes.


def warned(make: Callable[[], object]) -> list[str]:
    """Return the warnings that *make* causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SockserveWarning)
        make()
    assert all(each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("base", [ours.TCPServer, stdlib.TCPServer])
@pytest.mark.parametrize(
    "mixin", [ours.ThreadingMixIn, ours.ForkingMixIn, ours.ThreadPoolMixIn, ours.SelectorMixIn]
)
def test_a_mixin_after_the_server(mixin: type, base: type) -> None:
    """It has no effect there; the warning says what to write."""
    (said,) = warned(lambda: type("Mine", (base, mixin), {}))
    assert f"write class Mine({mixin.__name__}, ...)" in said
    assert warned(lambda: type("Mine", (mixin, base), {})) == []
    own = {"process_request": vars(mixin).get("process_request", lambda *_: None)}
    assert warned(lambda: type("Mine", (base, mixin), own)) == []  # said explicitly


@pytest.mark.parametrize(
    "name", ["allow_reuse_address", "allow_reuse_port", "request_queue_size", "address_family"]
)
def test_an_attribute_set_too_late(name: str) -> None:
    """It has had its effect; the warning says what to write, and when there is time yet there is none."""
    with ours.TCPServer(ANYWHERE, upper(ours), bind_and_activate=False) as server:
        assert warned(lambda: setattr(server, name, getattr(server, name) + 0)) == []
        server.server_bind()
        server.server_activate()
        assert warned(lambda: setattr(server, name, getattr(server, name))) == []  # no change
        (said,) = warned(lambda: setattr(server, name, 17))
        assert f"TCPServer.{name} is set after" in said
        assert "bind_and_activate=False" in said
        assert getattr(server, name) == 17
    assert warned(lambda: setattr(server, name, 18)) == []  # closed: another socket may be bound


def test_subclass_hooks_are_cooperative() -> None:
    """Keywords of a class statement reach whom they are for."""
    got: list[object] = []

    class Base:
        def __init_subclass__(cls, *, flavour: str = "", **keywords: object) -> None:
            super().__init_subclass__(**keywords)
            got.append(flavour)

    class Mine(ours.ThreadingMixIn, ours.TCPServer, Base, flavour="mint"):
        pass

    class Pooled(ours.ThreadPoolMixIn, ours.TCPServer, Base, flavour="lime"):
        pass

    assert got == ["mint", "lime"]


# Handlers of messages.


class UpperMessages(MessageHandler):
    framing = Lines(max_length=100)

    def respond(self, message: bytes) -> bytes:
        return message.upper()


@pytest.mark.parametrize("name", [*NAMES, *(name.replace("TCP", "UDP") for name in NAMES)])
def test_handlers_of_messages_are_run(name: str) -> None:
    """Although making one only stores it; what a client does wrong ends its connection and no more."""
    with getattr(ours, name)(ANYWHERE, UpperMessages) as server, serving(server):
        assert ask(server, b"one\ntwo\n") == b"ONE\nTWO\n"
        if server.socket_type == socket.SOCK_STREAM:
            assert ask(server, b"one\n" + b"x" * 101) == b"ONE\n"
            assert ask(server, b"one\ntail") == b"ONE\n"


def test_a_handler_of_messages_without_a_framing_is_an_error(log: Log) -> None:
    """Heard by handle_error; the client is not left waiting."""

    class Server(ours.TCPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            log(type(sys.exception()).__name__)

    class NoFraming(UpperMessages):
        framing = None  # type: ignore[assignment]

    with Server(ANYWHERE, NoFraming) as server, serving(server):
        with contextlib.suppress(OSError):  # nobody has read what was said: then the end is a reset
            assert ask(server, b"one\n") == b""
    assert log.notes() == ["CompositionError"]
