"""What a server on the table says of its rows, and what each row knows of itself."""

import contextvars
import socket
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from recorder import FAILSAFE, Recorder
from sockserve import (
    Event,
    RequestAborted,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    TcpTransport,
    ThreadStrategy,
    sleep,
)
from sockserve._loop import pollers
from sockserve.abc import Strategy
from sockserve.abc._arrival import current_job
from sockserve.events import HandlerFailed, HandlerSlow
from table_kit import POLLERS

_pause = sleep
TCP = TcpTransport(("127.0.0.1", 0))


@pytest.fixture(params=list(POLLERS), autouse=True)
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pollers."""
    monkeypatch.setattr(pollers, "default_poller", POLLERS[request.param])


def _made(handler: Callable[..., object], observer: Any = lambda event: None, slow: float = FAILSAFE) -> Any:
    return Server(TCP, SelectorStrategy(slow=slow), handler, observer=observer)


def _client(server: Any) -> socket.socket:
    return socket.create_connection(server.address, FAILSAFE)


def test_a_slow_handler_is_named_with_its_line(recorder: Recorder) -> None:
    """Where it parked, or that it has ended: of each resume that took too long."""
    hold = threading.Event()

    def handler(request: socket.socket, address: object, server: object) -> None:
        hold.wait(0.002)  # blocks the thread: this is what is to be found out
        request.recv(1)  # here it parks
        hold.wait(0.002)

    line = handler.__code__.co_firstlineno + 2
    with _made(handler, recorder, slow=0.001).running() as server, _client(server) as client:
        first = recorder.wait_for(HandlerSlow)
        assert f"{__file__}:{line}, in " in first["where"]
        assert first["where"].endswith("handler")
        assert first["duration"] > 0.001
        client.sendall(b"x")
        assert recorder.wait_for(HandlerSlow)["where"] == "its end"


def test_the_rows_say_what_they_wait_for() -> None:
    """Peer, state, and until when: for people who ask what a server is doing."""
    event = Event()

    def handler(request: socket.socket, address: object, server: object) -> None:
        kind = request.recv(1)
        request.settimeout(60 if kind == b"r" else None)
        request.sendall(b"!")
        waits: dict[bytes, Callable[[], object]] = {
            b"r": lambda: request.recv(1),
            b"w": lambda: request.sendall(bytes(1 << 24)),
            b"e": event.wait,
        }
        waits[kind]()

    with _made(handler).running(grace=0) as server:
        clients = {kind: _client(server) for kind in (b"r", b"w", b"e")}
        for kind, client in clients.items():
            client.sendall(kind)
            assert client.recv(1) == b"!"
        wanted = {b"r": ("READING", "readable"), b"w": ("WRITING", "writable"), b"e": ("WAITING", "wake-up")}
        peers = {client.getsockname(): wanted[kind] for kind, client in clients.items()}
        deadline = {client.getsockname(): kind == b"r" for kind, client in clients.items()}
        while {row.client_address: (row.state, row.waiting_for) for row in server.rows()} != peers:
            pass  # the last of them has answered, and parks any moment
        for row in server.rows():
            assert (row.deadline is not None) is deadline[row.client_address]
            assert row.since is not None
            assert row.since > 0
        for client in clients.values():
            client.close()
    with _made(print) as idle:
        idle.request_stop()
        idle.serve_forever()
        assert idle.rows() == []


def test_handle_request_returns_when_the_request_has_finished() -> None:
    """However often it has waited; and its sleeping and writing count as serving."""
    done = []

    def handler(request: socket.socket, address: object, server: object) -> None:
        _pause(0.001)
        assert request.recv(1) == b"x"
        done.append(True)

    with _made(handler) as server, _client(server) as one, _client(server) as two:
        for number, client in enumerate((one, two), 1):
            client.sendall(b"x")
            assert server.handle_request()
            assert len(done) == number
            assert client.recv(1) == b""


def test_each_row_has_its_context() -> None:
    """Variables of one request are not those of the next, nor of the one beside; the current request is one."""
    name: contextvars.ContextVar[bytes] = contextvars.ContextVar("name", default=b"none")

    def handler(request: socket.socket, address: object, server: object) -> None:
        assert name.get() == b"none"
        name.set(request.recv(1))
        job = current_job.get()
        assert job is not None
        assert (job.request, job.client_address) == (request, address)
        request.sendall(b"!")
        request.recv(1)
        assert current_job.get() is job
        request.sendall(name.get())

    with _made(handler).running() as server:
        for _ in range(2):  # the second time in fibres that have been used
            with _client(server) as one, _client(server) as two:
                for client, said in ((one, b"1"), (two, b"2")):
                    client.sendall(said)
                    assert client.recv(1) == b"!"
                one.sendall(b"?")
                two.sendall(b"?")
                assert (one.recv(1), two.recv(1)) == (b"1", b"2")
    assert server.stats.failed == 0


@pytest.mark.parametrize("strategy", [SelectorStrategy(), ThreadStrategy()], ids=["table", "thread"])
def test_a_handlers_timeout_is_told_as_on_a_thread(recorder: Recorder, strategy: Strategy) -> None:
    """`StreamRequestHandler.timeout`: reads raise, the file cannot be used on, and the request has failed."""

    class Impatient(StreamRequestHandler):
        timeout: ClassVar[float | None] = 0.01

        def handle(self) -> None:
            assert self.rfile.readline() == b"in time\n"
            with pytest.raises(TimeoutError, match="timed out"):
                self.rfile.readline()
            with pytest.raises(OSError, match="cannot read from timed out object"):
                self.rfile.readline()
            self.wfile.write(b"too late\n")
            self.request.recv(1)

    server = Server(TCP, strategy, Impatient, observer=recorder)
    with server.running(), _client(server) as client:
        client.sendall(b"in time\n")
        assert client.makefile("rb").read() == b"too late\n"
        assert recorder.wait_for(HandlerFailed)["error"] == "TimeoutError('timed out')"


def test_a_slow_reader_costs_no_memory() -> None:
    """What is to be sent waits where the handler has it: nothing of it is copied."""
    data, peak = bytes(1 << 24), []

    def handler(request: socket.socket, address: object, server: Any) -> None:
        request.sendall(b"!")
        tracemalloc.start()
        try:
            request.sendall(data)
            peak.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    with _made(handler).running() as server, _client(server) as client:
        assert client.recv(1) == b"!"
        size = 0
        while size < len(data):
            size += len(client.recv(1 << 16))
    assert peak[0] < 1 << 20


@pytest.mark.parametrize("end", ["shutdown", "server_close", "request_stop"])
def test_a_row_may_end_its_own_server(end: str) -> None:
    """The call returns, and the row goes on until it waits."""
    log: list[str] = []

    def handler(request: socket.socket, address: object, server: Any) -> None:
        getattr(server, end)()
        log.append("returned")
        request.sendall(b"bye")
        with pytest.raises(RequestAborted):
            request.recv(1)
        log.append("aborted")

    with _made(handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with _client(server) as client:
            assert client.recv(3) == b"bye"
            thread.join(FAILSAFE)
            assert not thread.is_alive()
    assert log == ["returned", "aborted"]
