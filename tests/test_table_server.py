"""A server on the table: stopping, failing, waiting for each other, and what it says of itself."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from recorder import FAILSAFE, Recorder
from sockserve import (
    Event,
    RequestAborted,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    TcpTransport,
    sleep,
)
from sockserve._loop import pollers
from sockserve._table.current import current_row
from sockserve._table.rows import MOST_REFUSALS
from sockserve.events import Drained, HandlerFailed, PeerGone, RequestAbandoned
from table_kit import POLLERS, Bench

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


class Parking(StreamRequestHandler):
    """Says that it has begun, waits, and takes note of how that ends."""

    log: list[str]

    def handle(self) -> None:
        self.wfile.write(b"!")
        try:
            self.rfile.readline()
        except RequestAborted as error:
            self.log.append(str(error))
            self.again()
            raise

    def again(self) -> None:
        """Each further wait raises too; what needs none goes on."""
        for wait in (lambda: self.request.recv(1), lambda: _pause(1), lambda: _pause(0), Event().wait):
            with pytest.raises(RequestAborted):
                wait()
        self.wfile.write(b"bye")

    def finish(self) -> None:
        self.log.append("finish")
        super().finish()


def test_a_stop_aborts_what_is_parked(recorder: Recorder) -> None:
    """Its wait raises, and each later one; finish runs; the client hears the end; nothing counts as failed."""
    log: list[str] = []
    handler = type("Logging", (Parking,), {"log": log})
    with _made(handler, recorder).running(grace=0) as server:
        clients = [_client(server) for _ in range(3)]
        assert [client.recv(1) for client in clients] == [b"!"] * 3
        server.shutdown()
        for client in clients:
            assert client.makefile("rb").read() == b"bye"
            client.close()
    assert sorted(log) == ["[Errno 103] the server has stopped"] * 3 + ["finish"] * 3
    assert recorder.wait_for(PeerGone)["error"].startswith("RequestAborted")
    assert (server.stats.finished, server.stats.failed, server.stats.active) == (3, 0, 0)


def test_rows_go_on_during_the_grace(recorder: Recorder) -> None:
    """One finishes; the other, whose client says nothing, is told at the end of it."""
    began = []

    def handler(request: socket.socket, address: object, server: Any) -> None:
        request.sendall(b"!")
        began.append(request)
        assert request.recv(10) == b"go on"
        _pause(0)
        request.sendall(b"done")

    server = _made(handler, recorder)
    with server.running(grace=0.05), _client(server) as good, _client(server) as silent:
        assert good.recv(1) + silent.recv(1) == b"!!"
        server.request_stop(0.05)
        good.sendall(b"go on")
        assert good.recv(10) == b"done"
        assert silent.recv(10) == b""
        assert recorder.wait_for(Drained)["aborted"] == 1
    assert server.stats.active == 0


class Stubborn(StreamRequestHandler):
    """Will not end."""

    tried = 0

    def handle(self) -> None:
        self.wfile.write(b"!")
        while True:
            try:
                self.rfile.read(1)
            except RequestAborted:
                type(self).tried += 1


def test_who_waits_again_and_again_is_abandoned(recorder: Recorder) -> None:
    """After a hundred refusals: with an event, its connection closed, and the others served to their end."""
    Stubborn.tried = 0
    with _made(Stubborn, recorder).running(grace=0) as server, _client(server) as client:
        assert client.recv(1) == b"!"
        server.shutdown()
        event = recorder.wait_for(RequestAbandoned)
        assert event["handler"].endswith("Stubborn")
        assert event["client_address"] == repr(client.getsockname()).replace("(", "InetAddress(host=", 1).replace(
            ", ", ", port="
        )
        assert client.recv(1) == b""
    assert Stubborn.tried == 1 + MOST_REFUSALS
    assert (server.stats.failed, server.stats.active) == (1, 0)


def test_the_end_of_an_abandoned_stack_is_no_way_back() -> None:
    """Thrown away, it may catch even that, and wait once more: it has gone all the same."""
    bench, caught, rows = Bench(), [], []

    def work() -> None:
        rows.append(current_row())
        while True:
            try:
                _pause(1)
            except BaseException as error:  # noqa: BLE001 - as bad as can be
                caught.append(type(error))

    bench.run(work, until=lambda: len(bench.runner.rows()) == 1)
    assert bench.core.names() == ["RequestAbandoned"]
    assert caught == [RequestAborted] * (1 + MOST_REFUSALS)
    assert bench.jobs[0].aborted
    assert bench.jobs[0].settled is False
    row = rows[0]
    assert row is not None
    fibre: Any = getattr(row.go, "__self__")  # noqa: B009 - a bound method, which the type does not say
    fibre.throw(SystemExit)  # as its deallocation does
    assert caught[-1] is SystemExit
    assert bench.core.names() == ["RequestAbandoned"]
    assert not fibre.dead


def test_a_failure_is_that_rows_alone(recorder: Recorder) -> None:
    """The others stay parked, and are served."""

    def handler(request: socket.socket, address: object, server: object) -> None:
        request.sendall(b"!")
        if request.recv(10) == b"bad":
            raise ValueError("on purpose")
        request.sendall(b"good")

    with _made(handler, recorder).running() as server:
        clients = [_client(server) for _ in range(5)]
        assert b"".join(client.recv(1) for client in clients) == b"!" * 5
        clients[2].sendall(b"bad")
        assert clients[2].recv(10) == b""
        assert recorder.wait_for(HandlerFailed)["error"] == "ValueError('on purpose')"
        for client in clients:
            if client is not clients[2]:
                client.sendall(b"good")
                assert client.recv(10) == b"good"
            client.close()
    assert (server.stats.finished, server.stats.failed) == (4, 1)


def test_an_interrupt_in_a_handler_ends_the_server_and_all_rows() -> None:
    """What is no Exception is not for one request alone: serve_forever raises it, when all have ended."""
    ended = []

    def handler(request: socket.socket, address: object, server: object) -> None:
        try:
            request.sendall(b"!")
            if request.recv(10) == b"bad":
                raise KeyboardInterrupt
        except RequestAborted:
            ended.append(True)

    with _made(handler) as server:
        caught: list[BaseException] = []

        def run() -> None:
            try:
                server.serve_forever()
            except BaseException as error:  # noqa: BLE001 - looked at below
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        with _client(server) as one, _client(server) as other:
            assert one.recv(1) + other.recv(1) == b"!!"
            one.sendall(b"bad")
            thread.join(FAILSAFE)
    assert [type(error) for error in caught] == [KeyboardInterrupt]
    assert ended == [True]
    assert server.stats.active == 0
