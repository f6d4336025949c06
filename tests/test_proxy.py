"""The PROXY protocol under every strategy: who may speak it, whom the handler sees, and what fails alone."""

import contextlib
import ipaddress
import pickle
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kinds import EchoLines, EchoMessages, echo, receive
from proxy_kit import CLIENT, ENTRANCE, LOCAL, UNIX, binary, connect, line, packed, tlv
from recorder import Recorder
from sockserve import (
    AdoptedTransport,
    CompositionError,
    Deadlines,
    ForkStrategy,
    InetAddress,
    Limits,
    MessageHandler,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    Proxied,
    ProxyProtocolError,
    ProxyProtocolTransport,
    SelectorStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    UnixAddress,
    UnixStreamTransport,
    proxied,
)
from sockserve.abc import Patience, Strategy
from sockserve.errors import ArrivalRefused
from sockserve.events import (
    Accepted,
    Finished,
    PeerGone,
    ProxyFailed,
    Refused,
    TlsFailed,
    VerifyFailed,
)
from sockserve.transports._wrapping import WrappingListener
from tls_kit import NAME, client_context, new_context, server_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))
PROXIED = ProxyProtocolTransport(TCP, ["127.0.0.0/8"])
SECURED = TlsTransport(PROXIED, server_context())
A: Any = None  # anything: what a type checker would have refused
UDP: Any = UdpTransport(("", 0))
wrap: Any = ProxyProtocolTransport
SOON = Deadlines(handshake=0.05)


def serving(strategy: Strategy, handler: Any = EchoLines, transport: Any = PROXIED, **options: Any) -> Any:
    """A server behind a proxy, in a thread."""
    return Server(transport, strategy, handler, **options).running()


def who(request: Any, client_address: Any, server: Any) -> None:
    """Say whom the handler sees."""
    request.sendall(repr((client_address, proxied())).encode())


def told(address: Any, header: bytes) -> tuple[Any, Any]:
    """Ask `who`."""
    with connect(address) as sock:
        sock.sendall(header)
        return _understood(receive(sock, 1000)), InetAddress(*sock.getsockname())


def _understood(text: bytes) -> Any:
    return eval(text, {"InetAddress": InetAddress, "Proxied": Proxied})  # of our own making


# Composing.


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: wrap(A, ["::1"]), OptionTypeError, "inner.*None"),
        (lambda: wrap(UDP, ["::1"]), CompositionError, "UdpTransport brings datagrams"),
        (lambda: wrap(SECURED, ["::1"]), CompositionError, "TlsTransport\\(ProxyProtocolTransport"),
        (lambda: wrap(PROXIED, ["::1"]), CompositionError, "one only"),
        (lambda: wrap(TCP, "10.0.0.0/8"), OptionTypeError, "a list of networks.*10.0.0.0/8"),
        (lambda: wrap(TCP, A), OptionTypeError, "a list of networks.*None"),
        (lambda: wrap(TCP, [A]), OptionTypeError, "each must be a network.*None"),
        (lambda: wrap(TCP, []), OptionError, "nobody could connect"),
        (lambda: wrap(TCP, ["unix:"]), CompositionError, "TcpTransport are in networks"),
        (lambda: wrap(TCP, ["10.0.0.1/8"]), OptionError, "10.0.0.1/8 has host bits set"),
        (lambda: wrap(TCP, ["proxy.example"]), OptionError, "each.*proxy.example"),
        (lambda: wrap(TCP, ["::ffff:10.0.0.0/104"]), OptionError, "written as IPv4"),
        (lambda: wrap(TCP, ["::1"], untrusted=A), OptionError, "untrusted.*'refuse' or 'serve'.*None"),
        (lambda: wrap(UnixStreamTransport("s"), ["::1"]), CompositionError, "add 'unix:'"),
    ],
)
def test_what_cannot_serve_is_an_error_before_anything_is_opened(make: Any, kind: Any, text: str) -> None:
    """Datagrams, TLS below, networks that are none, and those in which nobody can be."""
    with pytest.raises(kind, match=text):
        make()


def test_transports_are_values() -> None:
    """Equal where their parts are, however the networks were written, and hashable."""
    one = ProxyProtocolTransport(TCP, ["10.0.0.0/8", "::1"])
    other = ProxyProtocolTransport(TCP, (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_address("::1")))
    assert one == other
    assert hash(one) == hash(other)
    assert one != ProxyProtocolTransport(TCP, ["10.0.0.0/8"])
    assert "10.0.0.0/8" in repr(one)


def test_several_endpoints_can_be_opened_at_one_address() -> None:
    """One for each worker of a PreforkStrategy, where the transport below can."""
    sharing = SECURED.sharing(InetAddress("127.0.0.1", 4711))
    assert sharing.inner == wrap(TcpTransport(("127.0.0.1", 4711), reuse_port=True), ["127.0.0.0/8"])
    with pytest.raises(CompositionError, match="UnixStreamTransport"):
        wrap(UnixStreamTransport("s"), ["unix:"]).sharing()


def test_its_error_can_be_pickled() -> None:
    """As whatever else crosses between processes."""
    error = pickle.loads(pickle.dumps(ProxyProtocolError(CLIENT, "late")))
    assert (type(error), error.peer, error.reason) == (ProxyProtocolError, CLIENT, "late")
    refusal = pickle.loads(pickle.dumps(ArrivalRefused(CLIENT, "unknown")))
    assert (refusal.client_address, refusal.reason) == (CLIENT, "unknown")


# Whom the handler sees.


@pytest.mark.parametrize("version", [1, 2])
def test_the_handler_sees_the_client_and_the_proxy_is_at_hand(strategy: Strategy, version: int) -> None:
    """Under every strategy, where the handler runs."""
    header = line() if version == 1 else binary(packed() + tlv(2, b"skipped"))
    with serving(strategy, who) as server:
        found, proxy = told(server.address, header)
    assert found == (CLIENT, Proxied(proxy=proxy, client=CLIENT, destination=ENTRANCE, version=version))


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", binary(packed(), command=LOCAL)])
def test_a_proxy_that_speaks_for_itself_is_seen_itself(header: bytes) -> None:
    """A health check, for one."""
    with serving(SyncStrategy(), who) as server:
        found, proxy = told(server.address, header)
    version = 1 if header.startswith(b"P") else 2
    assert found == (proxy, Proxied(proxy=proxy, client=None, destination=None, version=version))


def test_a_client_of_a_unix_socket_at_the_proxy_has_the_proxys_address() -> None:
    """Over TCP, where addresses are those of machines: it is on that one. Its path is at hand."""
    header = binary(b"/run/x".ljust(108, b"\0") + bytes(108), kind=UNIX)
    with serving(SyncStrategy(), who) as server:
        (client, said), proxy = told(server.address, header)
    assert client == said.proxy == proxy
    assert (said.client, said.destination) == (UnixAddress("/run/x"), UnixAddress("unix:"))


@pytest.mark.parametrize("client", [CLIENT, UnixAddress("/run/x")])
def test_a_proxy_may_come_over_a_unix_socket(folder: Path, client: Any) -> None:
    """Who may connect there is what its file says; the client is whoever it is."""
    transport = ProxyProtocolTransport(UnixStreamTransport(str(folder / "s")), ["unix:"])
    header = line() if client is CLIENT else binary(b"/run/x".ljust(108, b"\0") + bytes(108), kind=UNIX)
    with serving(ThreadStrategy(), who, transport) as server, connect(server.address) as sock:
        sock.sendall(header)
        found, said = _understood(receive(sock, 1000))
    assert found == said.client == client
    assert said.proxy == "unix:"


def test_where_no_proxy_was_asked_nothing_is_known() -> None:
    """Outside of a request, and in one that came directly."""
    assert proxied() is None
    with serving(SyncStrategy(), who, TCP) as server:
        found, client = told(server.address, b"")
    assert found == (client, None)


def test_events_and_rows_name_the_client_once_it_is_known(recorder: Recorder) -> None:
    """Before that, the proxy."""
    with serving(SelectorStrategy(), observer=recorder) as server, connect(server.address) as sock:
        proxy = InetAddress(*sock.getsockname())
        assert recorder.wait_for(Accepted)["client_address"] == repr(proxy)
        sock.sendall(line() + b"x\n")
        assert receive(sock, 2) == b"x\n"
        assert [row.client_address for row in server.rows()] == [CLIENT]
        sock.close()
        assert recorder.wait_for(Finished)["client_address"] == repr(CLIENT)


def test_messages_come_after_the_header(strategy: Strategy) -> None:
    """A handler of messages is told of its true client, too."""

    class Greeter(EchoMessages):
        def connected(self) -> None:
            self.send(repr(self.client_address).encode())

    with serving(strategy, Greeter) as server, connect(server.address) as sock:
        sock.sendall(line() + b"x\n")
        greeting = repr(CLIENT).encode() + b"\n"
        assert receive(sock, len(greeting) + 2) == greeting + b"x\n"
    assert issubclass(Greeter, MessageHandler)


# Not a byte more than the header.


@pytest.mark.parametrize("cut", [1, 20, 1000])
def test_what_follows_the_header_is_the_handlers(strategy: Strategy, cut: int) -> None:
    """However it arrives: byte by byte, or all at once with what follows."""
    data = binary(packed()) + b"first\nsecond\n"
    with serving(strategy) as server, connect(server.address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(data), cut):
            sock.sendall(data[begin : begin + cut])
        assert receive(sock, 13) == b"first\nsecond\n"


def test_the_header_comes_in_clear_before_tls(strategy: Strategy) -> None:
    """In one segment with the first bytes of TLS: none of those is taken for it."""
    with serving(strategy, who, SECURED) as server, connect(server.address) as sock:
        there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(here, there, server_hostname=NAME)
        sent, text = line(), b""
        while not text:
            try:
                text = tls.read(1000)
            except ssl.SSLWantReadError:
                if sent := sent + there.read():
                    sock.sendall(sent)
                sent = b""
                here.write(sock.recv(10000))
        assert _understood(text)[0] == CLIENT


def test_the_timeout_of_the_handler_is_its_own(strategy: Strategy) -> None:
    """The deadline of the header has left no trace on the socket."""

    def handler(request: socket.socket, address: Any, server: Any) -> None:
        request.sendall(repr(request.gettimeout()).encode())

    with serving(strategy, handler) as server, connect(server.address) as sock:
        sock.sendall(line())
        assert receive(sock, 100) == b"None"


# Who is not ready.


def test_silent_proxies_hold_up_nobody(concurrent: Strategy, recorder: Recorder) -> None:
    """Three that never speak, and others are served; those that then leave have failed, and nobody else has."""
    with serving(concurrent, observer=recorder, deadlines=Deadlines(handshake=None)) as server:
        silent = [connect(server.address) for _ in range(3)]
        for _ in range(3):
            with connect(server.address) as sock:
                sock.sendall(line() + b"x\n")
                assert receive(sock, 2) == b"x\n"
        for sock in silent:
            sock.close()
        for _ in silent:
            assert recorder.wait_for(ProxyFailed)["reason"] == "the peer has closed the connection without a word"
    assert (server.stats.finished, server.stats.failed) == (3, 3)


def test_a_header_that_is_late_is_an_event(strategy: Strategy, recorder: Recorder) -> None:
    """It names the proxy; no handler has seen the connection."""
    with serving(strategy, observer=recorder, deadlines=SOON) as server, connect(server.address) as sock:
        sock.sendall(line()[:-1])
        failure = recorder.wait_for(ProxyFailed)
        assert failure["reason"] == "it was not complete after 0.05 s"
        assert failure["client_address"] == repr(InetAddress(*sock.getsockname()))
        assert sock.recv(1) == b""
    assert server.stats.failed == 1


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", line()[:30]])
def test_a_connection_without_a_header_is_closed(recorder: Recorder, words: bytes) -> None:
    """With the event that says why; the next one is served."""
    with serving(ThreadStrategy(), observer=recorder) as server:
        with connect(server.address) as sock, contextlib.suppress(OSError):  # a reset: it has not read all of that
            sock.sendall(words)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        reason = recorder.wait_for(ProxyFailed)["reason"]
        assert ("not of the PROXY protocol" in reason) == words.startswith(b"GET")
        assert ("after 30 bytes" in reason) != words.startswith(b"GET")
        with connect(server.address) as sock:
            sock.sendall(line() + b"x\n")
            assert receive(sock, 2) == b"x\n"
    assert (server.stats.finished, server.stats.failed) == (1, 1)


def test_a_header_and_a_handshake_share_one_deadline() -> None:
    """Each of the steps gets what the others have left."""
    given: list[Patience] = []

    class Step:
        names_client = False

        def perform(self, arrival: Any, patience: Patience, /) -> None:
            given.append(patience)

    class Stepping:
        stream = True

        def listen(self) -> Any:
            steps = (Step(), Step())
            return WrappingListener(TCP.listen(), lambda _: steps)

    with serving(SyncStrategy(), echo, Stepping(), deadlines=Deadlines(handshake=7.0)) as server:
        with connect(server.address) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
    assert given[0] is given[1]
    left = given[0].left()
    assert given[0].seconds == 7.0
    assert left is not None
    assert 0 < left <= 7.0


def test_patience_ends() -> None:
    """With an error, never with a timeout of 0, which would mean another thing to a socket."""
    assert Patience.of(None).left() is None
    with pytest.raises(TimeoutError):
        Patience(1.0, 0.0).left()


def test_a_handshake_that_fails_after_the_header_names_the_client(recorder: Recorder) -> None:
    """As every event from there on."""
    with serving(ThreadStrategy(), echo, SECURED, observer=recorder) as server, connect(server.address) as sock:
        sock.sendall(line() + b"GET / HTTP/1.1\r\n\r\n")
        failure = recorder.wait_for(TlsFailed)
        assert failure["client_address"] == repr(CLIENT)
        assert failure["reason"].startswith("the client speaks HTTP")


@pytest.mark.parametrize("grace", [None, 0.01])
def test_the_end_of_the_server_is_nobodys_fault(
    concurrent: Strategy, recorder: Recorder, grace: float | None
) -> None:
    """A proxy that is waited for at the end has not failed: its connection is closed."""
    server = Server(PROXIED, concurrent, echo, observer=recorder, deadlines=Deadlines(handshake=None))
    with server.running(), connect(server.address) as sock:
        recorder.wait_for(Accepted)
        server.shutdown(grace)
        server.server_close()
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    recorder.wait_for(PeerGone)
    names = recorder.so_far()
    assert "ProxyFailed" not in names
    assert "HandlerFailed" not in names


# Who may speak it.


def test_who_is_not_trusted_is_refused_in_the_loop(strategy: Strategy, recorder: Recorder) -> None:
    """Closed, counted as refused, reported with its address: no place is taken, and no word read."""
    transport = ProxyProtocolTransport(TCP, ["10.0.0.0/8", "unix:", "::/0"])
    with serving(strategy, who, transport, observer=recorder) as server, connect(server.address) as sock:
        refused = recorder.wait_for(Refused)
        assert refused["client_address"] == repr(InetAddress(*sock.getsockname()))
        assert refused["reason"] == "it is not trusted to speak the PROXY protocol"
        with contextlib.suppress(ConnectionError):
            sock.sendall(line())
            assert sock.recv(1) == b""
    assert (server.stats.refused, server.stats.accepted) == (1, 0)


def test_who_is_not_trusted_may_be_served_as_he_is() -> None:
    """What he says is for the handler, and his address is his own."""
    transport = ProxyProtocolTransport(TCP, ["10.0.0.0/8"], untrusted="serve")
    with serving(ThreadStrategy(), echo, transport) as server, connect(server.address) as sock:
        sock.sendall(line())
        assert receive(sock, len(line())) == line()
    with serving(ThreadStrategy(), who, transport) as server:
        found, client = told(server.address, line())
    assert found == (client, None)


def test_who_is_not_trusted_may_have_tls_as_he_is() -> None:
    """The wrapper leaves no trace on such a connection: the handshake is there."""
    transport = ProxyProtocolTransport(TCP, ["10.0.0.0/8"], untrusted="serve")
    with serving(ThreadStrategy(), EchoLines, TlsTransport(transport, new_context())) as server:
        with client_context().wrap_socket(connect(server.address), server_hostname=NAME) as sock:
            sock.sendall(b"x\n")
            assert sock.recv(10) == b"x\n"


def test_a_unix_peer_of_an_adopted_socket_is_looked_at(folder: Path, recorder: Recorder) -> None:
    """Its kind was not known when it was composed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "s"))
        sock.listen()
        transport = ProxyProtocolTransport(AdoptedTransport(sock), ["::/0"])
        with serving(SyncStrategy(), who, transport, observer=recorder) as server, connect(server.address):
            assert recorder.wait_for(Refused)["client_address"] == "unix:"


# verify.


def test_verify_is_asked_about_the_client(strategy: Strategy, recorder: Recorder) -> None:
    """Where the request runs, when it is known who it is; whom it refuses no handler sees."""

    def verify(request: socket.socket, client_address: Any) -> bool:
        assert request.fileno() >= 0
        return bool(client_address.port != CLIENT.port)

    with serving(strategy, who, verify=verify, observer=recorder) as server:
        with connect(server.address) as sock:
            sock.sendall(line())
            assert sock.recv(1) == b""
        refused = recorder.wait_for(Refused)
        assert (refused["reason"], refused["client_address"]) == ("verify", repr(CLIENT))
        found, _ = told(server.address, line(source=("192.0.2.7", 1)))
        assert found[0] == InetAddress("192.0.2.7", 1)
        assert "HandlerFailed" not in recorder.so_far()
    # It was in flight already, and so it was accepted.
    assert (server.stats.accepted, server.stats.failed, server.stats.refused) == (2, 1, 0)


def test_verify_that_raises_refuses(recorder: Recorder) -> None:
    """And its error is an event, with the client's address."""

    def verify(request: Any, address: Any) -> bool:
        raise LookupError("on purpose")

    with serving(ThreadStrategy(), who, verify=verify, observer=recorder) as server:
        with connect(server.address) as sock:
            sock.sendall(line())
            assert sock.recv(1) == b""
        failed = recorder.wait_for(VerifyFailed)
        assert "on purpose" in failed["error"]
        assert failed["client_address"] == repr(CLIENT)


def test_verify_does_not_wait_in_the_loop_and_comes_before_tls() -> None:
    """It runs in the worker's thread, on a plain socket: who is refused costs no cryptography."""
    seen: list[tuple[object, type]] = []

    def verify(request: socket.socket, address: Any) -> bool:
        seen.append((threading.current_thread(), type(request)))
        return False

    with serving(ThreadPoolStrategy(workers=1), who, SECURED, verify=verify) as server:
        with connect(server.address) as sock:
            sock.sendall(line())
            assert sock.recv(1) == b""
        assert len(seen) == 1
        thread, kind = seen[0]
        assert kind is socket.socket
        assert isinstance(thread, threading.Thread)
        assert thread.name.startswith("sockserve-pool")


def test_verify_is_asked_in_the_loop_about_those_that_are_served_as_they_are(recorder: Recorder) -> None:
    """Their address is known from the beginning."""
    transport = ProxyProtocolTransport(TCP, ["10.0.0.0/8"], untrusted="serve")
    with serving(ThreadStrategy(), who, transport, verify=lambda *_: False, observer=recorder) as server:
        with connect(server.address) as sock:
            assert recorder.wait_for(Refused)["reason"] == "verify"
            assert sock.recv(1) == b""
    assert (server.stats.refused, server.stats.accepted) == (1, 0)


# Limits.


@pytest.mark.parametrize("overload", ["close", b"too many\n"])
def test_a_limit_for_one_peer_is_about_the_client(overload: Any, concurrent: Strategy, recorder: Recorder) -> None:
    """Not about the proxy, which brings them all; it is told where the request runs."""
    if isinstance(concurrent, ForkStrategy | PreforkStrategy):
        pytest.skip("each process counts its own; see docs/deploy.md")
    limits = Limits(per_peer=1, overload=overload)
    with serving(concurrent, observer=recorder, limits=limits) as server:
        with connect(server.address) as first, connect(server.address) as second, connect(server.address) as third:
            first.sendall(line() + b"x\n")
            assert receive(first, 2) == b"x\n"
            second.sendall(line() if overload == "close" else line() + b"unread\n")
            second.shutdown(socket.SHUT_WR)
            assert receive(second, 100) == (b"" if overload == "close" else overload)
            refused = recorder.wait_for(Refused)
            assert (refused["reason"], refused["client_address"]) == ("per_peer", repr(CLIENT))
            third.sendall(line(("192.0.2.8", 1)) + b"y\n")
            assert receive(third, 2) == b"y\n"
        recorder.wait_for(Finished)
        while server.stats.active:
            recorder.wait_for(Finished)
        with connect(server.address) as again:
            again.sendall(line() + b"z\n")
            assert receive(again, 2) == b"z\n"
