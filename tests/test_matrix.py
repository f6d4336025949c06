"""Laws that hold for every transport under every strategy."""

import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import sockserve
from kinds import (
    ECHO,
    MESSAGE_STRATEGIES,
    STRATEGIES,
    SUPERVISED,
    TRANSPORTS,
    WRAPPERS,
    EchoMessages,
    Kind,
    echo,
)
from recorder import FAILSAFE, Recorder
from sockserve import PreforkStrategy, Server, SyncStrategy, strategies, transports
from sockserve.abc import Strategy, Transport
from sockserve.events import (
    Accepted,
    Closed,
    Finished,
    Listening,
    PeerGone,
    Refused,
    VerifyFailed,
)
from sockserve.testing import Kit, Law, _request_laws
from sockserve.testing._stage import Stage

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


def wrapped_too(law: Any) -> Any:
    """Let a law hold for what wraps other transports, too: one that a wrapper could break."""
    kinds = [pytest.param(kind, id=kind.name) for kind in (*TRANSPORTS, *WRAPPERS)]
    return pytest.mark.usefixtures("tls_relay")(pytest.mark.parametrize("kind", kinds)(law))


FORMS = sorted({form for forms in ECHO.values() for form in forms})


def test_every_part_is_in_the_matrix(tmp_path: Path) -> None:
    """No public transport or strategy is left out of these tests."""
    with contextlib.ExitStack() as stack:
        made = [make() for make in (STRATEGIES | SUPERVISED).values()]
        made += [make(stack) for make in MESSAGE_STRATEGIES.values()]
        assert {type(strategy).__name__ for strategy in made} == set(strategies.__all__)
    used = set()
    for kind in (*TRANSPORTS, *WRAPPERS):
        with kind.transport(tmp_path) as transport:
            used.add(type(transport).__name__)
    assert used == set(transports.__all__)


# Laws that the testing kit has for other people's parts too: there a new one is written, if it is not about ours.


def _stage(kind: Kind, transport: Transport[Any, Any], strategy: Strategy, folder: Path) -> Stage:
    return Stage(transport, strategy, lambda address: kind.client(address, folder))


#: The others are tested more strictly below.
LAWS = set(_request_laws.ALL) - {
    _request_laws.every_request_is_answered,
    _request_laws.events_of_a_request_come_in_order,
}
#: Those that a transport around another could break.
WRAPPED = (
    _request_laws.a_handler_that_raises_ends_its_request_alone,
    _request_laws.a_request_in_flight_finishes_within_the_grace,
)


@pytest.mark.parametrize("law", Kit(*sorted(LAWS, key=_request_laws.ALL.index)))
def test_laws_of_requests(law: Law[Stage], kind: Kind, strategy: Strategy, folder: Path) -> None:
    """Every transport under every strategy."""
    with kind.transport(folder) as transport:
        law(_stage(kind, transport, strategy, folder))


@pytest.mark.parametrize("kind", WRAPPERS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("law", Kit(*WRAPPED))
def test_laws_of_requests_through_two_transports(
    law: Law[Stage], kind: Kind, strategy: Strategy, folder: Path
) -> None:
    """Every transport around another."""
    with kind.transport(folder) as transport:
        law(_stage(kind, transport, strategy, folder))


@pytest.mark.parametrize("law", Kit(*_request_laws.CONNECTIONS))
def test_laws_of_connections(law: Law[Stage], stream_kind: Kind, strategy: Strategy, folder: Path) -> None:
    """Every transport of connections."""
    with stream_kind.transport(folder) as transport:
        law(_stage(stream_kind, transport, strategy, folder))


@pytest.mark.parametrize("law", Kit(*_request_laws.AT_ONCE))
def test_laws_of_concurrency(law: Law[Stage], kind: Kind, concurrent: Strategy, folder: Path) -> None:
    """Every strategy that serves several requests at a time."""
    with kind.transport(folder) as transport:
        law(_stage(kind, transport, concurrent, folder))


@pytest.mark.parametrize("law", Kit(*_request_laws.OUTLIVING))
def test_laws_of_kept_connections(law: Law[Stage], stream_kind: Kind, outliving: Strategy, folder: Path) -> None:
    """Every strategy whose requests go on when serve_forever has left."""
    with stream_kind.transport(folder) as transport:
        law(_stage(stream_kind, transport, outliving, folder))


# Laws of our own parts.


@wrapped_too
@pytest.mark.parametrize("form", FORMS)
def test_answers_in_order(kind: Kind, strategy: Strategy, form: str, folder: Path) -> None:
    """Every form of handler answers three requests in order."""
    handler = ECHO[kind.stream].get(form)
    if handler is None:
        handler = ECHO[kind.stream]["class"]  # "buffered" is a matter of streams
    asked = [b"0\n", b"one\n", b"2" * 1000 + b"\n"]
    with kind.transport(folder) as transport, Server(transport, strategy, handler).running() as server:
        assert kind.ask(server.address, folder, *asked) == asked
        stats = server.stats
        assert stats.accepted == stats.active + stats.finished + stats.failed
    assert server.stats.failed == server.stats.active == 0
    assert server.stats.finished == (1 if kind.stream else 3)


@wrapped_too
@pytest.mark.parametrize("name", MESSAGE_STRATEGIES)
def test_messages_are_answered_elsewhere(kind: Kind, name: str, folder: Path) -> None:
    """The same handler, unmodified, where a strategy serves messages only."""
    asked = [b"0\n", b"one\n", b"2" * 1000 + b"\n"]
    with contextlib.ExitStack() as stack:
        strategy = MESSAGE_STRATEGIES[name](stack)
        transport = stack.enter_context(kind.transport(folder))
        with Server(transport, strategy, EchoMessages).running() as server:
            assert kind.ask(server.address, folder, *asked) == asked
    assert (server.stats.failed, server.stats.active) == (0, 0)
    assert server.stats.finished == (1 if kind.stream else 3)


def test_what_was_written_before_a_failure_is_sent(kind: Kind, strategy: Strategy, folder: Path) -> None:
    """The files are flushed although the handler raises."""
    base: Any = ECHO[kind.stream]["buffered" if kind.stream else "class"]

    class Half(base):  # type: ignore[misc]  # either of two classes
        def handle(self) -> None:
            (self.rfile.readline if kind.stream else self.rfile.read)()
            self.wfile.write(b"half")
            raise ValueError("on purpose")

    half: Any = Half
    with kind.transport(folder) as transport, Server(transport, strategy, half, observer=_ignore).running() as s:
        assert kind.ask(s.address, folder, b"ask\n") == [b"half"]


def test_verify_refuses(kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder) -> None:
    """What verify says no to is closed, counted as refused and never accepted."""

    def verify(request: Any, address: Any) -> bool:
        return server.stats.refused > 0

    server: Server[Any, Any]

    with kind.transport(folder) as transport:
        server = Server(transport, strategy, ECHO[kind.stream]["class"], verify=verify, observer=recorder)
        with server.running():
            with kind.client(server.address, folder) as client:
                _send_to_the_deaf(client)
                assert recorder.wait_for(Refused)["reason"] == "verify"
                if kind.stream:
                    assert _ended(client)
            assert kind.ask(server.address, folder, b"yes\n") == [b"yes\n"]
    assert (server.stats.refused, server.stats.accepted) == (1, 1)


def test_verify_that_raises_refuses(kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder) -> None:
    """A bug in verify refuses the request, is reported, and the server lives."""

    def verify(request: Any, address: Any) -> bool:
        raise LookupError("on purpose")

    with (
        kind.transport(folder) as transport,
        Server(transport, strategy, echo, verify=verify, observer=recorder).running() as server,
        kind.client(server.address, folder) as client,
    ):
        _send_to_the_deaf(client)
        assert "on purpose" in recorder.wait_for(VerifyFailed)["error"]
    assert server.stats.refused == 1


def test_the_events_of_a_request(kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder) -> None:
    """Listening, Accepted, Finished, Closed, in this order, each with its addresses."""
    handler = ECHO[kind.stream]["class"]
    with (
        kind.transport(folder) as transport,
        Server(transport, strategy, handler, observer=recorder).running() as s,
    ):
        assert recorder.wait_for(Listening)["server_address"] in {str(s.address), repr(s.address)}
        kind.ask(s.address, folder, b"x\n")
        accepted, finished = recorder.wait_for(Accepted), recorder.wait_for(Finished)
        assert accepted["client_address"] == finished["client_address"]
        assert finished["ok"] is True
        assert finished["duration"] >= 0
    assert recorder.wait_for(Closed)
    workers = {"WorkerStarted", "WorkerEnded"} if isinstance(strategy, PreforkStrategy) else set()
    assert set(recorder.so_far()) <= {"Draining", "Drained", "ForkedBesideThreads"} | workers


def test_sync_runs_one_request_after_the_other(kind: Kind, folder: Path) -> None:
    """Under SyncStrategy the handlers run in the thread that serves, never two at a time."""
    threads = []

    def handler(request: Any, address: Any, server: Any) -> None:
        threads.append(threading.current_thread().name)
        echo(request, address, server)

    with kind.transport(folder) as transport, Server(transport, SyncStrategy(), handler).running() as server:
        for _ in range(3):
            kind.ask(server.address, folder, b"x\n")
    assert threads == ["sockserve-running"] * 3


#: A client in a process of its own: a forked handler would else keep a copy of its socket.
_VANISH = """
import ast, socket, struct, sys
family, address, tls = ast.literal_eval(sys.argv[1])
sock = socket.socket(family)
sock.connect(address)
if tls:
    import ssl
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = context.wrap_socket(sock)
sock.sendall(b"go\\n")
assert sock.recv(10)
if family != socket.AF_UNIX:  # a reset rather than a normal end
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.close()
"""


def test_a_peer_that_vanishes_is_no_failure(
    stream_kind: Kind, strategy: Strategy, folder: Path, recorder: Recorder
) -> None:
    """A reset in the middle of a reply is told as PeerGone, and counted as finished."""

    def handler(request: Any, address: Any, server: Any) -> None:
        _first(request)
        while True:
            request.sendall(b"x" * 100_000)

    with (
        stream_kind.transport(folder) as transport,
        Server(transport, strategy, handler, observer=recorder).running() as server,
    ):
        recorder.wait_for_staff(strategy)
        with stream_kind.client(server.address, folder):
            peer = (*stream_kind.target(server.address), stream_kind.tls)
        subprocess.run([sys.executable, "-c", _VANISH, repr(peer)], check=True, timeout=FAILSAFE)
        assert recorder.wait_for(PeerGone)
    assert (server.stats.finished, server.stats.failed) == (2, 0)


def test_several_servers_on_one_loop(strategy: Strategy, folder: Path) -> None:
    """Every transport at once in one thread; each is stopped by itself, and closed by who opened it."""
    kinds = [kind for kind in TRANSPORTS if kind.name in {"tcp", "unix-stream", "udp", "unix-datagram"}]
    servers: list[Server[Any, Any]] = []
    for kind in kinds:
        with kind.transport(folder) as transport:
            servers.append(Server(transport, strategy, ECHO[kind.stream]["class"]))
    servers[0].listen()
    opened = threading.Event()
    servers[-1] = Server(servers[-1].transport, strategy, servers[-1].handler, observer=lambda e: opened.set())
    thread = threading.Thread(target=sockserve.serve, args=servers)
    thread.start()
    assert opened.wait(FAILSAFE)
    for kind, server in zip(kinds, servers, strict=True):
        for _ in range(2):
            assert kind.ask(server.address, folder, b"x\n") == [b"x\n"]
        server.shutdown()
    thread.join(FAILSAFE)
    assert not thread.is_alive()
    with pytest.raises(sockserve.ServerStateError):
        servers[1].listen()  # opened by serve(), and so closed by it
    assert servers[0].fileno() >= 0  # opened by us
    servers[0].server_close()


def test_a_datagram_handler_that_writes_nothing_sends_nothing(
    datagram_kind: Kind, strategy: Strategy, folder: Path
) -> None:
    """An answer follows only the request that has one (socketserver sends an empty datagram for the other)."""

    class Sometimes(sockserve.DatagramRequestHandler):
        def handle(self) -> None:
            if self.packet == b"answer":
                self.wfile.write(b"answered")

    with datagram_kind.transport(folder) as transport, Server(transport, strategy, Sometimes).running() as server:
        with datagram_kind.client(server.address, folder) as client:
            client.send(b"nothing")
            client.send(b"answer")
            assert client.recv(100) == b"answered"


def _first(request: Any) -> bytes:
    """The packet, or the first line of the connection."""
    if isinstance(request, tuple):
        packet: bytes = request[0]
        return packet
    with request.makefile("rb") as file:
        line: bytes = file.readline()
        return line


def _reply(request: Any, address: Any, reply: bytes) -> None:
    if isinstance(request, tuple):
        request[1].sendto(reply, address)
    else:
        request.sendall(reply)


def _send_to_the_deaf(client: socket.socket) -> None:
    """Send what nobody will read: the server may have closed already."""
    try:
        client.sendall(b"no\n")
    except (BrokenPipeError, ConnectionResetError):
        pass


def _ended(client: socket.socket) -> bool:
    """Whether the server has closed: by its end, or a reset where it had not read what we sent."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def _ignore(event: object) -> None:
    """An observer that takes no interest."""
