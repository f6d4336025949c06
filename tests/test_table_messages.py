"""Handlers of messages on the table: rows without a stack."""

import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kinds import receive, until
from recorder import FAILSAFE, Recorder
from sockserve import (
    Chunks,
    Lines,
    MessageHandler,
    SelectorStrategy,
    Server,
    TcpTransport,
    UdpTransport,
    UnixStreamTransport,
    sleep,
)
from sockserve._loop import pollers
from sockserve._table.current import current_row
from sockserve.events import Finished, HandlerFailed, HandlerSlow, PeerGone
from table_kit import POLLERS

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_pause = sleep
TCP = TcpTransport(("127.0.0.1", 0))


@pytest.fixture(params=list(POLLERS), autouse=True)
def poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pollers."""
    monkeypatch.setattr(pollers, "default_poller", POLLERS[request.param])


def _made(handler: Any, observer: Any = lambda event: None, slow: float = FAILSAFE, transport: Any = TCP) -> Any:
    return Server(transport, SelectorStrategy(slow=slow), handler, observer=observer)


def _client(server: Any) -> socket.socket:
    return socket.create_connection(server.address, FAILSAFE)


def _answering(respond: Callable[[Any, bytes], object], **more: Any) -> Any:
    return type("Answering", (MessageHandler,), {"framing": Lines(), "respond": respond, **more})


def test_all_run_in_the_thread_that_serves_without_a_stack_of_their_own() -> None:
    """Connections and datagrams; no row can be parked there."""
    threads = []

    def respond(self: Any, message: bytes) -> bytes:
        threads.append(threading.current_thread())
        assert current_row() is None
        return message

    for transport in (TCP, UdpTransport(("127.0.0.1", 0))):
        server = _made(_answering(respond), transport=transport)
        with server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            kind = socket.SOCK_STREAM if transport is TCP else socket.SOCK_DGRAM
            with socket.socket(type=kind) as client:
                client.settimeout(FAILSAFE)
                client.connect(server.address)
                client.sendall(b"x\n")
                assert client.recv(10) == b"x\n"
            server.shutdown()
            thread.join()
            assert threads.pop() is thread


def test_endless_input_and_endless_replies_starve_nobody() -> None:
    """A peer that always sends and one whose reply has no end, while a third is answered."""

    def respond(self: Any, message: bytes) -> Iterator[bytes] | bytes:
        return itertools.repeat(b"y" * 1000) if message == b"endless" else message

    with _made(_answering(respond)).running() as server, _client(server) as sends, _client(server) as hears:
        stop = threading.Event()

        def send() -> None:
            sends.settimeout(0.01)
            while not stop.is_set():
                try:
                    sends.sendall(b"x\n" * 1000)
                    sends.recv(1 << 20)
                except TimeoutError:
                    pass  # its replies wait for it: both sides' buffers are full

        def hear() -> None:
            hears.sendall(b"endless\n")
            while not stop.is_set():
                hears.recv(1 << 20)

        threads = [threading.Thread(target=send), threading.Thread(target=hear)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            with _client(server) as client:
                client.sendall(b"hello\n")
                assert receive(client, 6) == b"hello\n"
        stop.set()
        for thread in threads:
            thread.join()


def test_who_holds_the_loop_is_reported(recorder: Recorder) -> None:
    """By name: a message, a piece of a reply, a datagram."""

    def respond(self: Any, message: bytes) -> bytes:
        threading.Event().wait(0.002)
        return message

    with _made(_answering(respond), recorder, slow=0.001).running() as server, _client(server) as client:
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        found = recorder.wait_for(HandlerSlow)
        assert str(client.getsockname()[1]) in found["client_address"]
        assert found["handler"].endswith("Answering")
        assert found["duration"] > 0.001
    with (
        _made(_answering(respond), recorder, slow=0.001, transport=UdpTransport(("127.0.0.1", 0))).running() as s,
        socket.socket(type=socket.SOCK_DGRAM) as peer,
    ):
        peer.settimeout(FAILSAFE)
        peer.connect(s.address)
        peer.send(b"x")
        assert peer.recv(10) == b"x"
        assert recorder.wait_for(HandlerSlow)["duration"] > 0.001


def test_stopping_ends_them_before_serve_forever_returns(recorder: Recorder) -> None:
    """Idle ones, and those whose peer does not read; each is disconnected, none has failed."""
    ended = []

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        return itertools.repeat(b"y" * 1000)

    server = _made(_answering(respond, disconnected=lambda self: ended.append(self.client_address)), recorder)
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with _client(server) as idle, _client(server) as deaf:
            deaf.sendall(b"go\n")
            until(lambda: {row.state for row in server.rows()} == {"READING", "WRITING"})
            server.shutdown()
            thread.join()
            assert sorted(ended) == sorted([idle.getsockname(), deaf.getsockname()])
            assert "the server has stopped" in recorder.wait_for(PeerGone)["error"]
            assert recorder.wait_for(Finished)["ok"] is True
            assert server.rows() == []
            assert idle.recv(1) == b""
    assert server.stats.failed == 0


def test_what_is_not_for_one_request_alone_leaves_the_loop() -> None:
    """KeyboardInterrupt, with that connection closed and the others ended."""

    def respond(self: Any, message: bytes) -> bytes:
        raise KeyboardInterrupt

    server = _made(_answering(respond))
    raised = []

    def serve() -> None:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raised.append(True)

    with server, _client(server) as client, _client(server) as other:
        thread = threading.Thread(target=serve)
        thread.start()
        client.sendall(b"x\n")
        thread.join(FAILSAFE)
        assert raised == [True]
        assert client.recv(1) == other.recv(1) == b""


def test_an_error_waits_until_what_was_said_before_is_read(recorder: Recorder) -> None:
    """Also where the peer reads late."""
    taken, said = [], threading.Event()

    def respond(self: Any, message: bytes) -> bytes:
        while self.send(bytes(9999)):
            taken.append(True)
        said.set()
        raise LookupError("on purpose")

    with _made(_answering(respond), recorder).running() as server, _client(server) as client:
        client.sendall(b"x\n")
        assert said.wait(FAILSAFE)  # the row is WRITING while it still answers
        until(lambda: [row.state for row in server.rows()] == ["WRITING"])
        assert len(receive(client, len(taken) * 10_000)) == len(taken) * 10_000
        assert client.recv(1) == b""
        assert "on purpose" in recorder.wait_for(HandlerFailed)["error"]


def test_a_peer_that_goes_while_it_is_written_to(folder: Path) -> None:
    """Its generator is closed, over TCP and over a Unix socket."""
    for transport, family in ((TCP, socket.AF_INET), (UnixStreamTransport(folder / "here"), socket.AF_UNIX)):
        closed = threading.Event()

        def respond(self: Any, message: bytes, closed: threading.Event = closed) -> Iterator[bytes]:
            try:
                while True:
                    yield b"y" * 1000
            finally:
                closed.set()

        with _made(_answering(respond), transport=transport).running() as server:
            with socket.socket(family) as client:
                client.connect(str(server.address) if family == socket.AF_UNIX else server.address)
                client.sendall(b"go\n")
                assert client.recv(10)
                until(lambda server=server: [row.state for row in server.rows()] == ["WRITING"])  # type: ignore[misc]
            assert closed.wait(FAILSAFE)
            until(lambda server=server: server.rows() == [])  # type: ignore[misc]


@pytest.mark.parametrize("datagrams", [False, True], ids=["stream", "datagrams"])
def test_a_child_that_a_handler_forks_never_enters_the_loop(datagrams: bool) -> None:
    """It ends where respond has returned; the parent goes on with the connection."""
    children = []

    def respond(self: Any, message: bytes) -> bytes:
        child = os.fork()
        if child:
            children.append(child)
            assert os.waitpid(child, 0) == (child, 0)
            return message
        return b"child "

    transport = UdpTransport(("127.0.0.1", 0)) if datagrams else TCP
    with _made(_answering(respond, framing=Chunks()), transport=transport).running() as server:
        with socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as client:
            client.settimeout(FAILSAFE)
            client.connect(server.address)
            for _ in range(2):
                client.sendall(b"parent")
                if datagrams:
                    assert [client.recv(20), client.recv(20)] == [b"child ", b"parent"]
                else:
                    assert receive(client, 12) == b"child parent"
        assert len(children) == 2
