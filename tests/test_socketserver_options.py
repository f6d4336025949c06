"""Options of the inheritable servers, changed while they serve: what was before goes on to its end, no longer."""

import socket
import socketserver as stdlib
import sys
import threading
from typing import Any

import pytest

from recorder import FAILSAFE
from shim_kit import ANYWHERE, ask, connect, serving, upper
from sockserve import ForkStrategy, SelectorStrategy, SyncStrategy, ThreadPoolStrategy
from sockserve import socketserver as ours
from sockserve.socketserver._state import state_of

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

#: Far beyond what a test may take: what only a poll would notice is not noticed.
NEVER = 1000


class Waits:
    """A handler that says in which threads it runs, and waits for its client."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self, request: Any, _address: object, _server: object) -> None:
        self.threads.append(threading.current_thread())
        request.sendall(b"?")
        request.sendall(request.recv(10))


@pytest.mark.parametrize("base", [ours.TCPServer, stdlib.TCPServer], ids=["ours", "stdlib"])
def test_a_former_pool_ends(base: Any) -> None:
    """Its idle threads at once, the others with their requests: while the server goes on to serve."""
    handler = Waits()
    mixin: Any = ours.ThreadPoolMixIn
    with type("Pooled", (mixin, base), {"workers": 2})(ANYWHERE, handler) as server, serving(server, 0.02):
        with connect(server) as busy:
            assert busy.recv(1) == b"?"
            assert ask(server, b"idle") == b"?idle"
            server.workers = 3
            assert ask(server, b"new") == b"?new"
            was_busy, was_idle, _ = handler.threads
            was_idle.join(FAILSAFE)
            assert [thread.is_alive() for thread in handler.threads] == [True, False, True]
            busy.sendall(b"done")
            assert busy.recv(10) == b"done"
            was_busy.join(FAILSAFE)
            assert [thread.is_alive() for thread in handler.threads] == [False, False, True]
            assert ask(server, b"again") == b"?again"
            assert handler.threads[3] not in {was_busy, was_idle}


def test_server_close_waits_for_a_former_pool() -> None:
    """As for the present one, after any number of changes."""
    notes: list[str] = []
    closing = threading.Event()

    def handle(request: Any, _address: object, _server: object) -> None:
        said = request.recv(10)
        request.sendall(said)
        if said == b"slow":
            request.recv(1)
            notes.append("done")

    class Noting(ours.TCPServer):
        def server_close(self) -> None:
            super().server_close()
            closing.set()

    def close() -> None:
        server.server_close()
        notes.append("closed")

    kind: Any = type("Pooled", (ours.ThreadPoolMixIn, Noting), {})
    with kind(ANYWHERE, handle) as server, connect(server) as slow:
        with serving(server, NEVER):
            slow.sendall(b"slow")
            assert slow.recv(10) == b"slow"
            for workers in range(1, 10):
                server.workers = workers
                assert ask(server, b"go") == b"go"
        closer = threading.Thread(target=close)
        closer.start()
        assert closing.wait(FAILSAFE)
        slow.sendall(b"!")
        closer.join(FAILSAFE)
    assert notes == ["done", "closed"]


CHANGES: list[Any] = [
    pytest.param(SelectorStrategy(), "slow", [1.0, 2.0], id="selector"),
    pytest.param(ThreadPoolStrategy(), "workers", [2, 3], id="pool"),
    pytest.param(ForkStrategy(), "max_children", [2, 3], id="fork"),
]


@pytest.mark.parametrize("how", ["serve_forever", "handle_request"])
@pytest.mark.parametrize(("strategy", "option", "values"), CHANGES)
def test_former_options_keep_nothing(strategy: Any, option: str, values: list[Any], how: str) -> None:
    """However often they are changed: what they had is let go when nothing of it is in flight."""
    mixin: Any = ours.mixin_for(strategy)
    with type("Made", (mixin, ours.TCPServer), {})(ANYWHERE, upper(ours)) as server:

        def change() -> None:
            for number in range(20):
                setattr(server, option, values[number % 2])
                if how == "handle_request":
                    with connect(server) as client:
                        client.sendall(b"ping\n")
                        client.shutdown(socket.SHUT_WR)
                        server.handle_request()
                        assert client.recv(10) == b"PING\n"
                        assert client.recv(10) == b""
                else:
                    assert ask(server) == b"PING\n"
                    assert ask(server) == b"PING\n"
                server.service_actions()

        if how == "serve_forever":
            with serving(server, NEVER), connect(server) as waits:
                waits.sendall(b"half a ")
                change()
                waits.sendall(b"line\n")
                waits.shutdown(socket.SHUT_WR)  # children have copies of it: that it is closed here says nothing
                assert waits.recv(100) == b"HALF A LINE\n"
        else:
            change()
        host = state_of(server).host
        assert host is not None
        assert len(host._posts) <= 3


def test_another_strategy_does_not_forget_the_former() -> None:
    """What a pool has in flight is waited for, also when a table has served meanwhile."""
    handler = Waits()
    with ours.PreforkTCPServer(ANYWHERE, handler) as server, connect(server) as slow:
        server.inner = ThreadPoolStrategy()
        server.handle_request()
        assert slow.recv(1) == b"?"
        for inner in (SelectorStrategy(), SyncStrategy()):
            server.inner = inner
            with connect(server) as client:
                client.sendall(b"go")
                server.handle_request()
                assert client.recv(10) == b"?go"
        slow.sendall(b"done")
    assert not handler.threads[0].is_alive()
