"""Laws of strategies: what a runner owes to the loop, to its jobs, and to the process that it is in."""

import contextlib
import functools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from .._loop.loop import EventLoop
from ..abc import LoopRunner, Runner, Strategy, Supervisor
from ..server import AnyServer, serve
from ..transports import UdpTransport
from . import _recorder
from . import _request_laws as requests
from ._clients import connect
from ._kit import Kit
from ._memory import MemoryTransport
from ._recorder import FAILSAFE
from ._stage import Stage, echo, first, receive, reply, serving

__all__ = ("check_concurrency", "check_strategy")

#: More than any strategy takes at a time, that has a bound of its own.
MANY = 50


def stages(strategy: Strategy) -> Iterator[Stage]:
    """Give a stage with connections, and one with datagrams."""
    yield connections(strategy)
    yield Stage(UdpTransport(("127.0.0.1", 0)), strategy, functools.partial(connect, stream=False))


def connections(strategy: Strategy) -> Stage:
    """Give the stage with connections."""
    return Stage(MemoryTransport(), strategy, connect)


def _of_both_kinds(law: Callable[[Stage], None]) -> Callable[[Strategy], None]:
    @functools.wraps(law)
    def check(strategy: Strategy) -> None:
        for stage in stages(strategy):
            law(stage)

    return check


def _of_connections(law: Callable[[Stage], None]) -> Callable[[Strategy], None]:
    @functools.wraps(law)
    def check(strategy: Strategy) -> None:
        law(connections(strategy))

    return check


def it_is_a_value(strategy: Strategy) -> None:
    """It can be shared: it hashes, equals itself, and serving with it does not change it."""
    before = hash(strategy)
    with connections(strategy).running(echo) as server:
        connections(strategy).ask(server, b"x\n")
    assert hash(strategy) == before, "serving has changed its hash: keep what is live in the runner"
    assert strategy == strategy  # noqa: PLR0124 - a strange __eq__ is what is looked for


def it_starts_nothing_before_there_is_work(strategy: Strategy) -> None:
    """Its runner has all methods; start() starts no thread, and close() leaves none."""
    threads = set(threading.enumerate())
    with _started(strategy) as runner:
        names = [name for name in ("submit", "move", "close", "full") if not hasattr(runner, name)]
        assert not names, f"{runner!r} lacks {', '.join(names)}"
        assert set(threading.enumerate()) == threads, "start() has started a thread"
    assert set(threading.enumerate()) == threads, "close() has left a thread"


@contextlib.contextmanager
def _started(strategy: Strategy) -> Iterator[Runner]:
    """Give a runner that has no work, and close it."""
    with connections(strategy).server(echo) as server:
        runner = strategy.start(EventLoop(), server._core)
        yield runner
        runner.close(None)


def every_job_is_run_once(strategy: Strategy) -> None:
    """Of many that come at once, each: none is lost when there is no room, none is run twice."""
    for stage in stages(strategy):
        here, there = socket.socketpair()
        with here, there:
            _ask_many(stage, there)
            here.setblocking(False)
            runs = len(_receive_all(here))
        assert runs == MANY, f"{MANY} requests came, and handlers ran {runs} times"


def _ask_many(stage: Stage, ran: socket.socket) -> None:
    threads: list[int] = []

    def handler(request: object, address: object, server: object) -> None:
        threads.append(threading.get_ident())
        ran.send(b".")
        reply(request, address, first(request))

    with stage.running(handler) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(stage.connect(server.address)) for _ in range(MANY)]
        if stage.stream:
            _let_it_fill(server, threads)
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number, client in enumerate(clients):
            found = receive(client, len(b"%d\n" % number)) if stage.stream else client.recv(100)
            assert found == b"%d\n" % number, f"asked {number}, got {found!r}"
            client.close()
    assert server.stats.finished == MANY, server.stats


def _let_it_fill(server: AnyServer, threads: list[int]) -> None:
    """
    Wait until as many requests are in flight as it takes at a time, all of which wait for their clients.

    Args:
        server: Which.
        threads: Those in which handlers run; the loop's own means that no other comes, unless requests are parked.
    """
    until = time.monotonic() + _recorder.FAILSAFE
    while server.stats.active < MANY and not _full(server, threads):
        assert time.monotonic() < until, f"it takes {server.stats.active} of {MANY} requests, and is not full"
        time.sleep(0.001)


def _full(server: AnyServer, threads: list[int]) -> bool:
    service = server._life._service
    if service is None:
        return False
    held = service.thread in threads and not isinstance(service.runner, LoopRunner)
    return held or service.loop.looks_away or isinstance(service.runner, Supervisor)


def _receive_all(sock: socket.socket) -> bytes:
    """Read what there is now."""
    found = b""
    try:
        while data := sock.recv(65536):
            found += data
    except BlockingIOError:
        pass
    return found


def the_client_sees_the_end_when_the_handler_has_returned(strategy: Strategy) -> None:
    """No copy of the connection stays open: a strategy that runs it in another process has to disown it."""

    def handler(request: object, address: object, server: object) -> None:
        reply(request, address, b"goodbye\n")

    stage = connections(strategy)
    with stage.running(handler) as server, stage.connect(server.address) as client:
        assert receive(client, 100) == b"goodbye\n"


def one_value_serves_two_servers(strategy: Strategy) -> None:
    """At the same time, on one loop: each has a runner of its own, and outlives the other."""
    stage = connections(strategy)
    with stage.server(echo) as one, stage.server(echo) as other, serving(lambda: serve(one, other)):
        for server in (one, other, one):
            assert stage.ask(server, b"x\n") == [b"x\n"]
        one.shutdown()
        one.server_close()
        assert stage.ask(other, b"x\n") == [b"x\n"], "it ends with another server of the same strategy"
        other.shutdown()


def server_close_leaves_nothing_behind(strategy: Strategy) -> None:
    """No request, no thread, no child, no descriptor; daemonic threads end by themselves soon after."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    stage = connections(strategy)
    with stage.server(echo) as server, serving(server.serve_forever), stage.connect(server.address) as client:
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        server.shutdown(grace=0.01)
        server.server_close()
    for thread in set(threading.enumerate()) - threads:
        if thread.daemon:
            thread.join(FAILSAFE)
    assert server.stats.active == 0, server.stats
    left = set(threading.enumerate()) - threads
    assert not left, f"threads are left: {left}"
    _check_children()
    more = len(_descriptors()) - len(descriptors)
    assert more <= 0, f"{more} descriptors are left"


def _descriptors() -> list[str]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            return os.listdir(folder)
    return []


def _check_children() -> None:
    """Whether this process has children, as far as can be told without taking the status of somebody's."""
    if sys.platform == "linux":  # macOS's Python has no waitid before 3.13, Windows no children in this sense
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            ended = None
        assert ended is None, f"a child was not waited for: {ended}"


def requests_outlive_the_loop_or_end_with_it(strategy: Strategy) -> None:
    """They go on when serve_forever has left, until server_close ends their input; or they live in the loop."""
    with _started(strategy) as runner:
        in_loop = isinstance(runner, LoopRunner)
    if not in_loop:
        requests.server_close_ends_the_input_of_kept_connections(connections(strategy))


#: What every strategy does. Called, or parametrized, with the strategy.
check_strategy: Kit[[Strategy]] = Kit(
    it_is_a_value,
    it_starts_nothing_before_there_is_work,
    every_job_is_run_once,
    the_client_sees_the_end_when_the_handler_has_returned,
    *map(_of_both_kinds, requests.ALL),
    *map(_of_connections, requests.CONNECTIONS),
    one_value_serves_two_servers,
    server_close_leaves_nothing_behind,
)

#: What a strategy does that serves several requests at a time: not all have to.
check_concurrency: Kit[[Strategy]] = Kit(
    *map(_of_both_kinds, requests.AT_ONCE), requests_outlive_the_loop_or_end_with_it
)
