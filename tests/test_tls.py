"""TLS under every strategy: who shakes hands where, what fails alone, and how it ends."""

import contextlib
import fcntl
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import termios
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinds import EchoLines, echo, receive
from recorder import FAILSAFE, Recorder
from sockserve import (
    AdoptedTransport,
    BaseRequestHandler,
    CompositionError,
    Deadlines,
    InetAddress,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    SelectorStrategy,
    Server,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    TlsHandshakeError,
    TlsTransport,
    UdpTransport,
    UnixStreamTransport,
)
from sockserve._securing import GOODBYE_SECONDS
from sockserve.abc import Strategy
from sockserve.events import Finished, HandlerFailed, PeerGone, TlsFailed
from sockserve.testing import Gate
from tls_kit import (
    NAME,
    authority,
    beside,
    client_context,
    connect,
    connect_raw,
    ends,
    last_word,
    new_context,
    say_goodbye,
    server_context,
)

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))
A: Any = None  # anything: what a type checker would have refused
TYPE: Any = TcpTransport
UDP: Any = UdpTransport(("", 0))
SOON = Deadlines(handshake=0.05)


def serving(strategy: Strategy, handler: Any = EchoLines, context: Any = None, **options: Any) -> Any:
    """A server of TLS over TCP, in a thread."""
    return Server(TlsTransport(TCP, context or server_context()), strategy, handler, **options).running()


def echoes(address: Any, context: ssl.SSLContext | None = None) -> bool:
    """Whether a client is served."""
    with connect(address, context) as client:
        client.sendall(b"x\n")
        return client.recv(10) == b"x\n"


# Composing.


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: TlsTransport(A, server_context()), OptionTypeError, "inner.*None"),
        (lambda: TlsTransport(TYPE, server_context()), OptionTypeError, "inner.*TcpTransport"),
        (lambda: TlsTransport(UDP, server_context()), CompositionError, "datagrams"),
        (lambda: TlsTransport(TlsTransport(TCP, server_context()), server_context()), CompositionError, "once"),
        (lambda: TlsTransport(TCP, A), OptionTypeError, "context.*None"),
        (lambda: TlsTransport(TCP, client_context()), OptionError, "context is one for clients.*CLIENT_AUTH"),
        (lambda: TlsTransport(TCP, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), OptionError, "load_cert_chain"),
        (lambda: TlsTransport(TCP, client_context).listen(), OptionError, "context is one for clients"),
        (lambda: TlsTransport(TCP, lambda: A).listen(), OptionTypeError, "context.*None"),
    ],
)
def test_what_cannot_serve_is_an_error_before_anything_is_opened(make: Any, kind: Any, text: str) -> None:
    """Datagrams, contexts for clients, contexts without a certificate."""
    with pytest.raises(kind, match=text):
        make()


def test_an_adopted_socket_for_datagrams_cannot_be_secured() -> None:
    """Its kind is known when it is adopted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(CompositionError, match="AdoptedTransport brings datagrams"):
            TlsTransport(AdoptedTransport(sock), server_context())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_context_with_a_certificate_is_told_from_one_without(version: ssl.TLSVersion) -> None:
    """With each version alone, also where clients need one. What an SNI callback would do is not asked."""
    context = new_context()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    TlsTransport(TCP, context)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bare.minimum_version = bare.maximum_version = version
    with pytest.raises(OptionError):
        TlsTransport(TCP, bare)
    bare.sni_callback = lambda sock, name, context: None
    TlsTransport(TCP, bare)


def test_transports_are_values() -> None:
    """Equal where their parts are, and hashable."""
    one, other = TlsTransport(TCP, server_context()), TlsTransport(TCP, server_context())
    assert one == other
    assert hash(one) == hash(other)
    assert one != TlsTransport(TCP, new_context())


# The handshake.


def test_silent_clients_hold_up_nobody(concurrent: Strategy, recorder: Recorder) -> None:
    """Three that never speak, and others are served; those that then leave have failed, and nobody else has."""
    with serving(concurrent, observer=recorder, deadlines=Deadlines(handshake=None)) as server:
        silent = [connect_raw(server.address) for _ in range(3)]
        for _ in range(3):
            assert echoes(server.address)
        for sock in silent:
            sock.close()
        for _ in silent:
            assert recorder.wait_for(TlsFailed)["reason"] == "the client has closed the connection"
    assert (server.stats.finished, server.stats.failed) == (3, 3)


def test_silent_clients_are_closed_at_the_deadline(strategy: Strategy, recorder: Recorder) -> None:
    """Each with the event that names it."""
    with serving(strategy, observer=recorder, deadlines=SOON) as server:
        silent = [connect_raw(server.address) for _ in range(3)]
        names = {repr(InetAddress(*sock.getsockname())) for sock in silent}
        for _ in silent:
            failure = recorder.wait_for(TlsFailed)
            assert failure["reason"] == "it was not complete after 0.05 s"
            names.remove(failure["client_address"])
        for sock in silent:
            assert sock.recv(1) == b""
            sock.close()
    assert server.stats.failed == 3


def test_the_accept_loop_reads_nothing(recorder: Recorder) -> None:
    """Also where all threads of a pool wait for silent clients, the server stops at once."""
    strategy = ThreadPoolStrategy(workers=2)
    with serving(strategy, observer=recorder, deadlines=Deadlines(handshake=None)) as server:
        silent = [connect_raw(server.address) for _ in range(3)]
        server.shutdown(grace=0.0)
        server.server_close()
        for sock in silent:
            with sock, contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""


def test_the_deadline_is_for_all_of_the_handshake(strategy: Strategy, recorder: Recorder) -> None:
    """A client that sends a byte of it now and then gains nothing."""
    hello = _client_hello()
    with serving(strategy, observer=recorder, deadlines=SOON) as server, connect_raw(server.address) as client:
        sent = 0
        while not select.select([client], [], [], 0.005)[0]:
            client.send(hello[sent : sent + 1])
            sent += 1
            assert sent < len(hello)
        assert recorder.wait_for(TlsFailed)["reason"].startswith("it was not complete")


def _client_hello() -> bytes:
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(here, there, server_hostname=NAME).do_handshake()
    return there.read()


def test_a_timeout_of_the_handler_is_its_own(strategy: Strategy) -> None:
    """The deadline of the handshake has left no trace on the socket."""

    def handler(request: ssl.SSLSocket, address: Any, server: Any) -> None:
        request.sendall(repr(request.gettimeout()).encode())

    with serving(strategy, handler) as server, connect(server.address) as client:
        assert client.recv(10) == b"None"


NO_TLS = {
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n": "the client speaks HTTP without TLS",
    b"EHLO example.org, this is no TLS\r\n": "the client does not speak TLS",
    b"": "the client has closed the connection",
}


@pytest.mark.parametrize("words", NO_TLS)
def test_what_is_no_tls_fails_alone(strategy: Strategy, recorder: Recorder, words: bytes) -> None:
    """HTTP, another protocol, a port scan: an event that says so, no handler, and the next is served."""
    with serving(strategy, observer=recorder) as server:
        with connect_raw(server.address) as client, contextlib.suppress(OSError):  # the server may be quicker
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1000):
                pass
        assert recorder.wait_for(TlsFailed)["reason"].startswith(NO_TLS[words])
        assert recorder.wait_for(Finished)["ok"] is False
        assert echoes(server.address)
    assert (server.stats.failed, server.stats.finished) == (1, 1)
    assert "HandlerFailed" not in recorder.so_far()


#: A client in a process of its own: with a copy in a forked handler there would be no reset.
_RESET = """
import ast, socket, struct, sys
address, hello = ast.literal_eval(sys.argv[1])
sock = socket.create_connection(address)
sock.sendall(hello)
assert sock.recv(5)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.close()
"""


def test_a_reset_in_the_middle_of_the_handshake_fails_alone(strategy: Strategy, recorder: Recorder) -> None:
    """After the client's first word."""
    with serving(strategy, observer=recorder) as server:
        told = repr((tuple(server.address), _client_hello()))
        subprocess.run([sys.executable, "-c", _RESET, told], check=True, timeout=FAILSAFE)
        assert recorder.wait_for(TlsFailed)["reason"] == "the client has closed the connection"
        assert echoes(server.address)


def test_a_client_that_does_not_trust_us(strategy: Strategy, recorder: Recorder) -> None:
    """It says so, and so does the event."""
    with serving(strategy, observer=recorder) as server:
        with pytest.raises(ssl.SSLCertVerificationError), connect_raw(server.address) as raw:
            ssl.create_default_context().wrap_socket(raw, server_hostname=NAME)
        assert "does not trust" in recorder.wait_for(TlsFailed)["reason"]


GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.builds(lambda body: b"\x16\x03\x01" + len(body).to_bytes(2, "big") + body, st.binary(max_size=300)),
    st.builds(lambda at, byte: _mutated(at, byte), st.integers(0, 500), st.integers(0, 255)),
)


def _mutated(at: int, byte: int) -> bytes:
    hello = bytearray(_client_hello())
    hello[at % len(hello)] = byte
    return bytes(hello)


@pytest.mark.parametrize("make", [SelectorStrategy, ThreadStrategy])
def test_no_bytes_in_place_of_a_handshake_harm_the_server(make: Any, recorder: Recorder) -> None:
    """Each connection ends with the event, or goes on to a handshake that never gets complete."""
    with serving(make(), observer=recorder) as server:

        @settings(max_examples=60, deadline=None)
        @given(GARBAGE)
        def send(words: bytes) -> None:
            with connect_raw(server.address) as client, contextlib.suppress(OSError):  # the server was quicker
                client.sendall(words)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1000):
                    pass
            assert recorder.wait_for(TlsFailed)

        send()
        assert echoes(server.address)
    assert "HandlerFailed" not in recorder.so_far()
    assert server.stats.finished == 1


# What the context says, holds.


class Tell(BaseRequestHandler[ssl.SSLSocket, InetAddress]):
    """Says what it knows of the connection."""

    def handle(self) -> None:
        certificate: dict[str, Any] = dict(self.request.getpeercert() or {})
        names = [value for (kind, value) in certificate.get("subjectAltName", ())]
        self.request.sendall(repr((names, self.request.selected_alpn_protocol())).encode())


def test_client_certificates(strategy: Strategy, recorder: Recorder) -> None:
    """Where the context asks for one, the handler has it at hand, and who has none is not served."""
    context = new_context()
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    mine = client_context()
    authority().issue_cert("client.example").configure_cert(mine)
    with serving(strategy, Tell, context, observer=recorder) as server:
        with connect(server.address, mine) as client:
            assert client.recv(100) == b"(['client.example'], None)"
        with connect(server.address) as client, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            client.recv(1)
        assert recorder.wait_for(TlsFailed)["reason"].startswith("the client has no certificate")


def test_alpn(strategy: Strategy) -> None:
    """What both sides know, in the server's order."""
    context = new_context()
    context.set_alpn_protocols(["two", "one"])
    mine = client_context()
    mine.set_alpn_protocols(["one", "two"])
    with serving(strategy, Tell, context) as server, connect(server.address, mine) as client:
        assert client.recv(100) == b"([], 'two')"


def test_names_choose_certificates(strategy: Strategy) -> None:
    """By the context's SNI callback."""
    other = new_context("other.example")
    context = new_context()

    def choose(sock: Any, name: str | None, _context: ssl.SSLContext) -> None:
        if name == "other.example":
            sock.context = other

    context.sni_callback = choose
    with serving(strategy, EchoLines, context) as server:
        for name in (NAME, "other.example"):
            with connect(server.address, name=name) as client:
                certificate: dict[str, Any] = dict(client.getpeercert() or {})
                assert ("DNS", name) in certificate["subjectAltName"]


@pytest.mark.parametrize("way", ["in place", "function"])
def test_certificates_are_exchanged_while_serving(strategy: Strategy, way: str) -> None:
    """New connections see the new one, those that run go on."""
    contexts = [new_context()]
    given_: Any = contexts[0] if way == "in place" else lambda: contexts[-1]
    with serving(strategy, EchoLines, given_) as server:
        numbers = []
        for turn in range(2):
            with connect(server.address) as client:
                numbers.append((client.getpeercert() or {})["serialNumber"])
                if turn == 0:
                    if way == "in place":
                        authority().issue_cert(NAME).configure_cert(contexts[0])
                    else:
                        contexts.append(new_context())
                client.sendall(b"goes on\n")
                assert client.recv(100) == b"goes on\n"
        assert numbers[0] != numbers[1]


def test_verify_is_asked_before_the_handshake() -> None:
    """It sees the plain connection, and who is refused costs no handshake."""
    seen: list[object] = []

    def verify(request: socket.socket, address: InetAddress) -> bool:
        seen.append(type(request))
        return False

    with serving(ThreadStrategy(), verify=verify) as server, connect_raw(server.address) as client:
        assert client.recv(1) == b""
    assert seen == [socket.socket]
    assert (server.stats.refused, server.stats.accepted) == (1, 0)


# Its end.


def _raise(request: Any, address: Any, server: Any) -> None:
    raise ValueError("on purpose")


def _say(request: ssl.SSLSocket, address: Any, server: Any) -> None:
    request.sendall(b"said")


@pytest.mark.parametrize("handler", [_say, _raise])
def test_the_end_is_said(strategy: Strategy, handler: Any) -> None:
    """A close_notify comes at the end, whatever the handler did; the client's is not waited for."""
    with serving(strategy, handler, observer=lambda event: None) as server:
        with connect(server.address) as client:
            assert receive(client, 100) == (b"said" if handler is _say else b"")
            say_goodbye(client)
        with connect(server.address) as client:
            receive(client, 4)
            assert ends(client)


@pytest.mark.parametrize("goodbye", [True, False])
def test_half_closing(strategy: Strategy, goodbye: bool, gate: Gate) -> None:
    """The client has said all, by a close_notify or without; the answer still comes, and then our end."""
    handler = partial(_reply_at_the_end, gate)
    with serving(strategy, handler) as server, connect(server.address) as client:
        client.sendall(b"question")
        if goodbye:
            say_goodbye(client)  # which gives up where an answer comes meanwhile
        gate.open()
        socket.socket.shutdown(client, socket.SHUT_WR)
        assert client.recv(100) == b"noitseuq"
        if not goodbye:
            assert ends(client)


def _reply_at_the_end(gate: Gate, request: ssl.SSLSocket, address: Any, server: Any) -> None:
    said = b"".join(iter(lambda: request.recv(3), b""))
    gate.wait()
    request.sendall(said[::-1])


def test_server_close_leaves_handlers_a_last_word(outliving: Strategy) -> None:
    """The input of a kept connection ends; what is written then still comes, and the end as it should be."""

    def handler(request: ssl.SSLSocket, address: Any, server: Any) -> None:
        while data := request.recv(100):
            request.sendall(data)
        request.sendall(b"bye")

    with serving(outliving, handler) as server, connect(server.address) as client:
        client.sendall(b"x")
        assert client.recv(10) == b"x"
        server.server_close()
        assert receive(client, 3) == b"bye"
        assert ends(client)


def test_garbage_after_the_handshake_is_the_peers_fault(strategy: Strategy, recorder: Recorder) -> None:
    """As a peer that went away: no error of the handler's."""
    with serving(strategy, observer=recorder) as server:
        with connect(server.address) as client:
            client.sendall(b"x\n")
            client.recv(10)
            socket.socket.send(client, b"this is no record of TLS, not at all")
            assert recorder.wait_for(PeerGone)
    assert (server.stats.finished, server.stats.failed) == (1, 0)


def test_an_upstreams_tls_error_is_the_handlers_own(strategy: Strategy, recorder: Recorder) -> None:
    """Of whatever kind: our client is there."""

    def handler(request: Any, address: Any, server: Any) -> None:
        raise ssl.SSLEOFError("upstream")

    with serving(strategy, handler, observer=recorder) as server, connect(server.address) as client:
        assert "upstream" in recorder.wait_for(HandlerFailed)["error"]
        client.recv(1)


# Workers.


def test_workers_shake_hands(recorder: Recorder) -> None:
    """Each by itself: a client that never finishes holds up a thread of one of them."""
    with serving(PreforkStrategy(ThreadStrategy(), workers=2), observer=recorder) as server:
        recorder.wait_for_workers(2)
        with connect_raw(server.address) as silent:
            silent.sendall(_client_hello()[:50])
            assert all(echoes(server.address) for _ in range(4))


# Stopping.


def test_a_grace_ends_handshakes(strategy: Strategy, recorder: Recorder) -> None:
    """A client that never speaks is aborted at its end, whatever its own deadline."""
    with serving(strategy, observer=recorder, deadlines=Deadlines(handshake=None)) as server:
        with connect_raw(server.address) as client:
            client.sendall(_client_hello()[:50])
            _wait_for_active(server)
            server.shutdown(grace=0.01)
            server.server_close()
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


def _wait_for_active(server: Any) -> None:
    ready = threading.Event()
    while not server.stats.active:
        ready.wait(0.001)


def test_server_close_ends_handshakes(outliving: Strategy, recorder: Recorder) -> None:
    """Nobody waits for their deadline; that they end is no fault of their clients."""
    with serving(outliving, observer=recorder, deadlines=Deadlines(handshake=None)) as server:
        clients = [connect_raw(server.address) for _ in range(3)]
        while server.stats.active < 3:
            threading.Event().wait(0.001)
        server.server_close()
        for client in clients:
            with client, contextlib.suppress(ConnectionResetError):
                client.recv(1)
        for _ in clients:
            assert recorder.wait_for(Finished)["ok"] is True
    assert server.stats.active == 0


@pytest.mark.parametrize("end", ["abort", "end_input"])
def test_no_end_is_lost_while_one_object_gives_way_to_another(end: str, recorder: Recorder) -> None:
    """What the server wants when the old one has lost its descriptor, and nobody has seen the new one, it gets."""

    class Interrupting(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
            made = super().wrap_socket(*args, **kwargs)
            (job,) = server._core.jobs()
            getattr(job, end)()
            return made

    context = Interrupting(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(NAME).configure_cert(context)
    silent = Deadlines(handshake=None)
    with serving(ThreadStrategy(), context=context, observer=recorder, deadlines=silent) as server:
        with connect_raw(server.address) as client:
            assert client.recv(100) == b""
            assert recorder.wait_for(Finished)["ok"] is True  # ours, and so nobody's fault


@pytest.mark.parametrize("way", ["close", "detach", "shutdown"])
def test_a_handler_may_end_its_connection_itself(strategy: Strategy, recorder: Recorder, way: str) -> None:
    """The server's own end does no harm then."""

    def handler(request: ssl.SSLSocket, address: Any, server: Any) -> None:
        request.sendall(b"x")
        if way == "detach":
            socket.close(request.detach())
        elif way == "close":
            request.close()
        else:
            request.shutdown(socket.SHUT_RDWR)

    with serving(strategy, handler, observer=recorder) as server:
        for _ in range(2):
            with connect(server.address) as client:
                assert client.recv(10) == b"x"
                assert last_word(client) is None
    assert (server.stats.finished, server.stats.failed) == (2, 0)


# Much.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_much_in_both_directions(strategy: Strategy, version: ssl.TLSVersion) -> None:
    """An echo whose client writes without reading, as long as it can: writes are cut anywhere."""
    data = bytes(range(256)) * 8192
    with serving(strategy, echo) as server:
        with connect(server.address, client_context(maximum_version=version)) as client:
            assert _pump(client, data) == data
            assert ends(client)


def _pump(client: ssl.SSLSocket, data: bytes) -> bytes:
    """Write and read at a time, then say goodbye."""
    client.settimeout(0)
    found, sent = bytearray(), 0
    while len(found) < len(data):
        wants_write = False
        if sent < len(data):
            try:
                sent += client.send(data[sent : sent + 16384])
            except ssl.SSLWantWriteError:
                wants_write = True
        try:
            found += client.recv(65536)
        except ssl.SSLWantReadError:
            if sent == len(data) or wants_write:
                assert any(select.select([client], [client] if wants_write else [], [], FAILSAFE))
    say_goodbye(client)
    return bytes(found)


def test_a_slow_reader_gets_the_end_too(strategy: Strategy, folder: Path) -> None:
    """Though there was no room for the close_notify when the handler had written its last."""
    filled, fill = os.pipe()

    def handler(request: ssl.SSLSocket, address: Any, server: Any) -> None:
        while _queued(request) < request.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF):
            request.sendall(b"x" * 100)
        os.write(fill, b".")

    transport = TlsTransport(UnixStreamTransport(str(folder / "sock")), server_context())
    with Server(transport, strategy, handler).running() as server, connect(server.address) as client:
        assert os.read(filled, 1) == b"."
        while client.recv(65536):
            pass  # anything but a close_notify is an error here
    for end in (filled, fill):
        os.close(end)


def _queued(sock: socket.socket) -> int:
    """Bytes that the peer has not read, with what they cost the system: at SO_SNDBUF nothing more goes in."""
    (size,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))  # unix(7): SIOCOUTQ
    return int(size)


def test_a_client_that_does_not_say_goodbye_is_not_waited_for(strategy: Strategy, recorder: Recorder) -> None:
    """The request ends though the client stays."""
    with serving(strategy, _say, observer=recorder) as server, connect(server.address) as client:
        assert float(recorder.wait_for(Finished)["duration"]) < GOODBYE_SECONDS
        assert receive(client, 4) == b"said"


# STARTTLS.


class Upgrading(EchoLines):
    """Speaks plainly until it is asked to start TLS, then through new files."""

    context: ssl.SSLContext

    def handle(self) -> None:
        assert self.rfile.readline() == b"STARTTLS\n"
        self.wfile.write(b"go\n")
        secured = self.start_tls(self.context)
        assert secured is self.request is self.connection
        super().handle()


def _upgrading(context: ssl.SSLContext | None = None) -> Any:
    return type("Upgrades", (Upgrading,), {"context": context or server_context()})


def _upgrade(address: Any, words: bytes = b"STARTTLS\n") -> ssl.SSLSocket:
    raw = connect_raw(address)
    raw.sendall(words)
    assert raw.recv(10) == b"go\n"
    return client_context().wrap_socket(raw, server_hostname=NAME, suppress_ragged_eofs=False)


def test_a_request_goes_over_to_tls(strategy: Strategy) -> None:
    """Through new files; the server says the end, and closes."""
    with Server(TCP, strategy, _upgrading()).running() as server, _upgrade(server.address) as client:
        client.sendall(b"secret\n")
        assert client.recv(100) == b"secret\n"
        socket.socket.shutdown(client, socket.SHUT_WR)
        assert ends(client)
    assert (server.stats.finished, server.stats.failed) == (1, 0)


def test_what_came_before_tls_is_not_taken_for_what_came_by_it(strategy: Strategy) -> None:
    """What somebody in between has put behind the command is never an encrypted line (CVE-2011-0411)."""
    with Server(TCP, strategy, _upgrading()).running() as server:
        with _upgrade(server.address, b"STARTTLS\nRCPT TO:<evil>\n") as client:
            client.sendall(b"mine\n")
            assert client.recv(100) == b"mine\n"


def test_a_handshake_that_fails_later_is_told_the_same_way(strategy: Strategy, recorder: Recorder) -> None:
    """Where the handler lets it through: the event, and no error of the handler's."""
    with Server(TCP, strategy, _upgrading(), observer=recorder, deadlines=SOON).running() as server:
        with connect_raw(server.address) as client:
            client.sendall(b"STARTTLS\n")
            assert client.recv(10) == b"go\n"
            assert recorder.wait_for(TlsFailed)["reason"].startswith("it was not complete")
            assert recorder.wait_for(Finished)["ok"] is False
    assert "HandlerFailed" not in recorder.so_far()


def test_aborting_a_request_that_went_over_to_tls(strategy: Strategy) -> None:
    """The server knows the new socket: at the end of a grace it is shut."""
    with Server(TCP, strategy, _upgrading()).running() as server, _upgrade(server.address) as client:
        client.sendall(b"x\n")
        assert client.recv(10) == b"x\n"
        server.shutdown(grace=0.01)
        server.server_close()
        assert last_word(client) in {b"", None}  # it was shut: no time for a goodbye


@pytest.mark.parametrize("transport", [TCP, TlsTransport(TCP, server_context())])
def test_only_the_requests_own_plain_connection_goes_over_to_tls(transport: Any, recorder: Recorder) -> None:
    """Another's, and one that is secured already, are mistakes."""
    from sockserve import start_tls

    def another(request: Any, address: Any, server: Any) -> None:
        left, right = socket.socketpair()
        with left, right, pytest.raises(ValueError, match="connection of the request"):
            start_tls(left, server_context())
        with pytest.raises(OptionError, match="start_tls: context is one for clients"):
            start_tls(request, client_context())
        if isinstance(request, ssl.SSLSocket):
            with pytest.raises(ValueError, match="not secured yet"):
                start_tls(request, server_context())
        request.sendall(b"ok")

    with Server(transport, ThreadStrategy(), another, observer=recorder).running() as server:
        opened = connect if isinstance(transport, TlsTransport) else connect_raw
        with opened(server.address) as client:
            assert client.recv(10) == b"ok"


def test_going_over_to_tls_outside_of_a_request() -> None:
    """Of a server that is not ours, say: the caller owns the connection."""
    from sockserve import start_tls

    left, right = socket.socketpair()

    def client() -> None:
        with client_context().wrap_socket(right, server_hostname=NAME) as secured:
            secured.sendall(b"x")
            assert secured.recv(1) == b""

    with beside(client), start_tls(left, server_context()) as secured:
        assert secured.recv(1) == b"x"
        say_goodbye(secured)
    left, right = socket.socketpair()
    right.close()
    with left, pytest.raises(TlsHandshakeError, match="has closed the connection") as caught:
        start_tls(left, server_context())
    assert isinstance(caught.value.__cause__, OSError)


def test_a_class_of_ones_own_cannot_park(recorder: Recorder) -> None:
    """Under the table the connection fails, and says why; elsewhere the handler gets it."""

    class Own(ssl.SSLSocket):
        pass

    context = new_context()
    context.sslsocket_class = Own

    def handler(request: Any, address: Any, server: Any) -> None:
        request.sendall(type(request).__name__.encode())

    with serving(ThreadStrategy(), handler, context) as server, connect(server.address) as client:
        assert client.recv(10) == b"Own"
    with serving(SelectorStrategy(), handler, context, observer=recorder) as server:
        with connect_raw(server.address) as raw:
            assert raw.recv(1) == b""
        assert "only ssl.SSLSocket can park" in recorder.wait_for(HandlerFailed)["error"]
