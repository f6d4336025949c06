"""Messages that processes answer: pickling, workers that die, and what is open when they are forked."""

import contextlib
import functools
import itertools
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kinds import EchoMessages, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    CompositionError,
    ExecutorStrategy,
    Lines,
    MessageHandler,
    Server,
    TcpTransport,
    TlsTransport,
    UdpTransport,
    UnixStreamTransport,
)
from sockserve._executing.parcels import Parcel, answer_one
from sockserve.abc import Strategy
from sockserve.events import HandlerFailed, TaskLost
from tls_kit import server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))


class UnsendableError(Exception):
    """Cannot be made again of what pickle keeps of it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)


class Working(MessageHandler):
    """In a process."""

    framing = Lines()

    def respond(self, message: bytes) -> bytes:
        if message == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if message == b"bad":
            raise LookupError("on purpose")
        if message == b"worse":
            raise UnsendableError(3, "on purpose")
        if message == b"exit":
            sys.exit(3)
        return b"%d" % os.getpid() if message == b"pid" else message


class Wanting(Working):
    """More than its request."""

    def __init__(self, *request: Any, word: object) -> None:
        super().__init__(*request)
        self.word = word


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as made:
        yield made


@contextlib.contextmanager
def serving(
    pool: Any, handler: Any = Working, observer: Any = lambda event: None, transport: Any = TCP
) -> Iterator[Server[Any, Any]]:
    with Server(transport, ExecutorStrategy(pool), handler, observer=observer).running(grace=0) as server:
        yield server


def client_of(server: Server[Any, Any]) -> socket.socket:
    return socket.create_connection(server.address, FAILSAFE)


def test_respond_runs_in_the_processes(pool: ProcessPoolExecutor) -> None:
    """Connections stay here."""
    with serving(pool) as server, client_of(server) as client:
        client.sendall(b"pid\nhello\n")
        with client.makefile("rb") as lines:
            assert int(next(lines)) in pool._processes
            assert next(lines) == b"hello\n"


def test_errors_come_back_whatever_they_are(pool: ProcessPoolExecutor, recorder: Recorder) -> None:
    """With the traceback of the worker; none breaks the pool, also not one that cannot be pickled."""
    told = []

    def observe(event: Any) -> None:
        recorder(event)
        if isinstance(event, HandlerFailed):
            told.append((repr(event.error), str(event.error.__cause__)))

    with serving(pool, observer=observe) as server:
        for word in (b"bad", b"worse", b"exit"):
            with client_of(server) as client:
                client.sendall(b"before\n" + word + b"\n")
                with client.makefile("rb") as lines:
                    assert lines.read() == b"before\n"
            recorder.wait_for(HandlerFailed)
        with client_of(server) as client:
            client.sendall(b"after\n")
            assert receive(client, 6) == b"after\n"
    bad, worse, leaves = told
    assert bad[0] == "LookupError('on purpose')"
    assert worse[0] == "RuntimeError(\"UnsendableError('on purpose'), raised in a worker, and cannot be pickled\")"
    assert leaves[0] == "SystemExit(3)"
    for _, trace in told:
        assert "in respond" in trace


class HopelessError(Exception):
    """Not even its text can be had."""

    def __repr__(self) -> str:
        raise ValueError

    def __reduce__(self) -> Any:
        raise ValueError


class ElsewhereError(Exception):
    """Is unpickled by what is here, and not there."""

    def __reduce__(self) -> Any:
        return _where, (os.getpid(),)


def _where(pid: int) -> Exception:
    if os.getpid() != pid:
        raise ImportError("not here")
    return ElsewhereError()


class Failing(Working):
    def respond(self, message: bytes) -> bytes:
        raise HopelessError if message == b"hopeless" else ElsewhereError


def test_the_worst_errors_are_told_of(pool: ProcessPoolExecutor) -> None:
    """As well as it goes."""
    parcel = Parcel(Failing)
    found = []
    for word in (b"hopeless", b"elsewhere"):
        failure = pool.submit(answer_one, parcel, "client", word).result(FAILSAFE).failure
        assert failure is not None
        found.append(failure.error)
        assert "in respond" in str(failure.error.__cause__)
    assert "a HopelessError, raised in a worker" in repr(found[0])
    assert "cannot be unpickled here" in repr(found[1])


def test_a_handler_that_cannot_be_unpickled_there_costs_its_requests_not_the_pool(
    pool: ProcessPoolExecutor, recorder: Recorder
) -> None:
    """The workers may lack what is here."""
    handler = functools.partial(Wanting, word=ElsewhereError())
    with serving(pool, handler, recorder) as server:
        for _ in range(2):
            with client_of(server) as client:
                client.sendall(b"x\n")
                assert client.recv(10) == b""
            assert "not here" in recorder.wait_for(HandlerFailed)["error"]


def test_a_worker_that_dies_leaves_no_client_waiting(pool: ProcessPoolExecutor, recorder: Recorder) -> None:
    """All that the broken pool had is lost, and what it is given later; idle connections stay."""
    with serving(pool, observer=recorder) as server, contextlib.ExitStack() as stack:
        idle, *clients = [stack.enter_context(client_of(server)) for _ in range(4)]
        clients[0].sendall(b"die\n")
        for client in clients[1:]:
            client.sendall(b"x\n")
        found = [client.recv(10) for client in clients]
        assert found[0] == b""
        assert set(found) <= {b"", b"x\n"}
        for _ in range(found.count(b"")):
            assert "BrokenProcessPool" in recorder.wait_for(TaskLost)["error"]
        idle.sendall(b"y\n")
        assert idle.recv(10) == b""
        assert "BrokenProcessPool" in recorder.wait_for(TaskLost)["error"]
        with pytest.raises(BrokenExecutor):
            pool.submit(int)


def test_forked_workers_keep_nothing_of_the_server(folder: Path) -> None:
    """The pool lives longer than the server: nobody is queued by its copies, and connections have their end."""
    for transport, family in (
        (TCP, socket.AF_INET),
        (TlsTransport(TCP, server_context()), socket.AF_INET),
        (UnixStreamTransport(folder / "s"), socket.AF_UNIX),
    ):
        with (
            ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as fresh,
            serving(fresh, transport=transport) as server,
        ):
            address: Any = str(server.address) if family == socket.AF_UNIX else server.address
            with socket.socket(family) as idle, socket.socket(family) as client:
                for each in (idle, client):
                    each.settimeout(FAILSAFE)
                    each.connect(address)
                if isinstance(transport, TlsTransport):
                    _speak_tls(client)
                else:
                    client.sendall(b"pid\n")
                    assert int(client.recv(20)) in fresh._processes
                if family == socket.AF_INET:
                    assert _sockets_of(fresh, server.address.port) == []
                server.server_close()
                with socket.socket(family) as late, pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                    late.connect(address)
                assert idle.recv(1) == b""


def _speak_tls(client: socket.socket) -> None:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(client.dup()) as secured:
        secured.sendall(b"pid\n")
        assert int(secured.recv(20)) > 0


def _sockets_of(pool: ProcessPoolExecutor, port: int) -> list[str]:
    """Name the sockets that its workers have of a server at *port*; on Linux, whose proc(5) tells."""
    if not os.path.isdir("/proc/self/net"):
        return []
    inodes = set()
    with open("/proc/self/net/tcp") as table:
        for line in itertools.islice(table, 1, None):
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    assert inodes
    found = []
    for pid in pool._processes:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return [each for each in found if each in inodes]


def test_datagrams(pool: ProcessPoolExecutor) -> None:
    """One is one task; the port is free when the server is closed, although the workers live."""
    with serving(pool, transport=UdpTransport(("127.0.0.1", 0))) as server:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(FAILSAFE)
            client.connect(server.address)
            client.send(b"pid")
            assert int(client.recv(20)) in pool._processes
            address = server.address
    with socket.socket(type=socket.SOCK_DGRAM) as again:
        until = time.monotonic() + FAILSAFE
        while True:  # the worker that was not asked may not have got as far yet as to let go
            try:
                again.bind(address)
                break
            except OSError:
                assert time.monotonic() < until
                threading.Event().wait(0.001)


def test_what_cannot_be_pickled_is_refused_when_composed(pool: ProcessPoolExecutor) -> None:
    """The class, or what a partial gives it: and only where the executor pickles."""

    class Local(Working):
        pass

    for wrong in (
        Local,
        functools.partial(Wanting, word=threading.Lock()),
        functools.partial(Wanting, word=Once()),
    ):
        with pytest.raises(CompositionError, match=r"ProcessPoolExecutor pickles .*cannot be pickled.*top level"):
            Server(TCP, ExecutorStrategy(pool), wrong)
        with ThreadPoolExecutor(1) as threads:
            Server(TCP, ExecutorStrategy(threads), wrong)
    Server(TCP, ExecutorStrategy(pool), functools.partial(Wanting, word=b"fine"))
    assert pool._processes == {}


class Once:
    """Is pickled, and cannot be unpickled."""

    def __reduce__(self) -> Any:
        return int, ("one",)


def test_an_executor_belongs_to_its_process() -> None:
    """Forked, its queues are two processes', and its threads are not there: an error, not a hang."""
    with ThreadPoolExecutor(1) as used, ThreadPoolExecutor(1) as fresh:
        used.submit(int).result()
        with ProcessPoolExecutor(1) as processes:
            status = [_in_a_child(ExecutorStrategy(each)) for each in (processes, used, fresh)]
    assert status == [3, 3, 0]


def _in_a_child(strategy: Strategy) -> int:
    """Serve one request with *strategy* in a forked process; 3: it was refused."""
    with Server(TCP, strategy, EchoMessages) as server:
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    server.handle_request()
                    status = 0
                except CompositionError as error:
                    status = 3 if "cannot be used in processes" in str(error) else 2
            os._exit(status)
        with client_of(server) as client:
            client.sendall(b"x\n")
            client.shutdown(socket.SHUT_WR)
            _, status = os.waitpid(child, 0)
            if status == 0:
                assert receive(client, 2) == b"x\n"
    return os.waitstatus_to_exitcode(status)


def test_a_load_with_a_killed_worker(pool: ProcessPoolExecutor) -> None:
    """Each request is answered, or its connection closed: none is lost."""
    counts = {"answered": 0, "closed": 0}
    begun = threading.Semaphore(0)

    def ask(server: Any) -> None:
        with client_of(server) as client, client.makefile("rb") as lines:
            for number in range(50):
                client.sendall(b"%d\n" % number)
                line = lines.readline()  # waits FAILSAFE seconds at most, and raises then
                counts["answered" if line else "closed"] += 1
                begun.release()
                if not line:
                    return
                assert line == b"%d\n" % number

    with serving(pool) as server:
        threads = [threading.Thread(target=ask, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            assert begun.acquire(timeout=FAILSAFE)
        os.kill(next(iter(pool._processes)), signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert counts["answered"] >= 20
    assert counts["closed"] <= 4
