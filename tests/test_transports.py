"""Sockets as the transports make them: options, addresses, what accepted ones inherit."""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import FAILSAFE, Recorder
from sockserve import (
    AdoptedTransport,
    CompositionError,
    InetAddress,
    ListenError,
    OptionError,
    Server,
    SyncStrategy,
    TcpTransport,
    UdpTransport,
    UnixAddress,
    UnixDatagramTransport,
)
from sockserve._loop.accept_errors import AcceptAction, action_for
from sockserve.addresses import inet_address, scoped_sockaddr, unix_address
from sockserve.errors import DatagramTruncated
from sockserve.events import Finished, Refused
from sockserve.transports import _datagram, _inet, _ready, _stream, _tcp

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


@pytest.fixture
def loopback() -> TcpTransport:
    """A transport on a free port."""
    return TcpTransport(("127.0.0.1", 0))


def test_addresses_are_values() -> None:
    """Two fields for both families; the scope is kept; IPv4 is IPv4."""
    assert inet_address(("127.0.0.1", 80)) == InetAddress("127.0.0.1", 80) == ("127.0.0.1", 80)
    assert inet_address(("::1", 80, 0, 0)) == InetAddress("::1", 80)
    assert inet_address(("::ffff:1.2.3.4", 80, 0, 0)) == InetAddress("1.2.3.4", 80)
    assert inet_address(("::ffff:1:2", 80, 0, 0)) == InetAddress("::ffff:1:2", 80)
    lo = socket.if_nametoindex("lo")
    assert inet_address(("fe80::1", 80, 0, lo)) == InetAddress("fe80::1%lo", 80)
    assert inet_address(("fe80::1%lo", 80, 0, lo)) == InetAddress("fe80::1%lo", 80)
    assert inet_address(("fe80::1", 80, 0, 999999)) == InetAddress("fe80::1%999999", 80)
    assert scoped_sockaddr(InetAddress("fe80::1%lo", 80)) == ("fe80::1", 80, 0, lo)
    assert scoped_sockaddr(InetAddress("fe80::1%7", 80)) == ("fe80::1", 80, 0, 7)
    assert scoped_sockaddr(InetAddress("::1", 80)) == ("::1", 80)


def test_unix_addresses() -> None:
    """Text with a little more."""
    named = unix_address(b"\0name")
    assert (named, named.abstract, named.replies) == ("\0name", True, True)
    assert not unix_address(None).replies
    assert not unix_address("/tmp/s").abstract
    assert UnixAddress("x", pid=1).pid == 1
    assert UnixAddress("x").uid is None


def test_accepted_sockets_have_what_was_asked_for() -> None:
    """TCP_NODELAY, SO_KEEPALIVE, blocking; whatever the default time-out of the process."""
    for nodelay in (True, False):
        listener = TcpTransport(("127.0.0.1", 0), nodelay=nodelay, keepalive=not nodelay).listen()
        with socket.create_connection(listener.address):
            socket.setdefaulttimeout(5)
            try:
                arrival = listener.accept()
            finally:
                socket.setdefaulttimeout(None)
            request = arrival.request
            assert bool(request.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is nodelay
            assert bool(request.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is not nodelay
            assert request.gettimeout() is None
            assert os.get_blocking(request.fileno())
            assert not request.get_inheritable()
            arrival.finish()
        listener.close()


def test_where_options_are_not_inherited_they_are_set(
    monkeypatch: pytest.MonkeyPatch, loopback: TcpTransport
) -> None:
    """Systems other than Linux promise nothing."""
    monkeypatch.setattr(_tcp, "_INHERITS", False)
    listener = loopback.listen()
    listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    with socket.create_connection(listener.address):
        arrival = listener.accept()
        assert arrival.request.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        arrival.finish()
    listener.close()


def test_a_connection_that_is_gone_before_it_is_tuned_is_one_lost_arrival(loopback: TcpTransport) -> None:
    """EINVAL of setsockopt, as macOS says it of a connection that was reset: the listener is not to blame."""
    listener = loopback.listen()

    def tune(sock: socket.socket) -> None:
        raise OSError(errno.EINVAL, "on purpose")

    listener.tune = tune
    with socket.create_connection(listener.address) as client:
        with pytest.raises(ConnectionAbortedError) as caught:
            listener.accept()
        assert action_for(caught.value) is AcceptAction.RETRY
        assert client.recv(1) == b""
    listener.close()


def test_a_descriptor_that_cannot_become_a_socket_is_closed(
    loopback: TcpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the way, a memory error for instance."""
    listener = loopback.listen()
    with socket.create_connection(listener.address) as client:
        with monkeypatch.context() as patch:
            patch.setattr("socket.socket", _fail)
            with pytest.raises(LookupError):
                listener.accept()
        assert client.recv(1) == b""
    listener.close()


def test_a_socket_of_another_class_accepts_and_closes_by_its_own_methods() -> None:
    """No shortcut past what such a class may do there."""
    calls = []

    class Noted(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            calls.append("accept")
            return super().accept()

        def close(self) -> None:
            calls.append("close")
            super().close()

    sock = Noted(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    listener = _stream.StreamListener(sock, InetAddress(*sock.getsockname()), _inet.inet_peer)
    with socket.create_connection(listener.address):
        arrival = listener.accept()
        assert (type(arrival.request), arrival.request.getpeername()) == (socket.socket, arrival.client_address)
        arrival.finish()
    listener.close_copy()
    assert calls == ["accept", "close"]


def test_an_accept_that_fails_half_way_leaks_nothing(loopback: TcpTransport) -> None:
    """The accepted socket is closed."""
    listener = loopback.listen()
    listener.peer = _fail
    with socket.create_connection(listener.address) as client:
        with pytest.raises(LookupError):
            listener.accept()
        assert client.recv(1) == b""
    listener.close()


def _fail(*_: object, **__: object) -> Any:
    raise LookupError


def test_bind_options() -> None:
    """REUSEADDR by default, REUSEPORT when asked, configure before bind, the backlog as given."""
    seen: list[int] = []

    def configure(sock: socket.socket) -> None:
        seen.append(sock.getsockname()[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

    listener = TcpTransport(("127.0.0.1", 0), reuse_port=True, configure=configure).listen()
    second = TcpTransport(listener.address, reuse_port=True, reuse_address=False).listen()
    assert seen == [0]
    assert listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not second.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 8192
    for each in (listener, second):
        each.close()
    datagrams = [UdpTransport(("127.0.0.1", 0), reuse_port=True, configure=configure).listen()]
    datagrams.append(UdpTransport(datagrams[0].address, reuse_port=True).listen())
    for datagram in datagrams:
        datagram.close()
    assert seen == [0, 0]


def test_a_name_is_resolved_once_and_never_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first result is bound; getfqdn is not called."""
    monkeypatch.setattr(socket, "getfqdn", _fail)
    listener = TcpTransport(("localhost", 0)).listen()
    assert listener.address.host in {"127.0.0.1", "::1"}
    listener.close()


def test_both_families_on_one_port() -> None:
    """An IPv4 client of the empty host appears as IPv4, an IPv6 client as IPv6."""
    seen: list[InetAddress] = []
    with Server(TcpTransport(("", 0)), SyncStrategy(), lambda request, address, server: seen.append(address)) as s:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, s.address.port)):
                s.handle_request()
    assert [address.host for address in seen] == ["127.0.0.1", "::1"]


def test_udp_on_the_empty_host_is_ipv4() -> None:
    """A socket for both would answer from addresses that clients do not expect."""
    listener = UdpTransport(("", 0)).listen()
    assert listener.address.host == "0.0.0.0"
    listener.close()


@pytest.mark.parametrize("extra", [0, 1, 1000])
def test_a_datagram_at_the_limit_and_beyond(extra: int, recorder: Recorder, folder: Path) -> None:
    """At the limit it is whole; beyond, dropped, counted and told, never passed as if whole."""
    seen: list[bytes] = []

    def keep(request: Any, address: object, server: object) -> None:
        seen.append(request[0])

    for transport in (
        UdpTransport(("127.0.0.1", 0), max_packet_size=100),
        UnixDatagramTransport(folder / "s", max_packet_size=100),
    ):
        server: Server[Any, Any] = Server(transport, SyncStrategy(), keep, observer=recorder)
        with server.running():
            family = socket.AF_INET if isinstance(transport, UdpTransport) else socket.AF_UNIX
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.sendto(b"x" * (100 + extra), server.address)
            if extra:
                assert "longer than max_packet_size=100" in recorder.wait_for(Refused)["reason"]
            else:
                recorder.wait_for(Finished)
        assert server.stats.refused == bool(extra)
        assert seen == ([] if extra else [b"x" * 100])
        seen.clear()


def test_the_largest_datagram_of_udp_passes(recorder: Recorder) -> None:
    """65,507 bytes over IPv4, and an empty one."""
    seen: list[bytes] = []
    transport = UdpTransport(("127.0.0.1", 0))
    with Server(transport, SyncStrategy(), lambda request, address, server: seen.append(request[0])) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for data in (b"x" * 65507, b""):
                client.sendto(data, server.address)
                assert server.handle_request()
    assert seen == [b"x" * 65507, b""]


def test_truncation_names_peer_and_limit() -> None:
    """The error carries both."""
    error = DatagramTruncated("peer", 5)
    assert (error.client_address, error.max_packet_size) == ("peer", 5)


def test_a_datagram_socket_blocks_for_replies(folder: Path) -> None:
    """A slow Unix client gets 100 replies, though its queue holds some ten."""
    listener = UnixDatagramTransport(folder / "s").listen()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(str(folder / "c"))
        client.sendto(b"x", listener.address)
        _, sock = listener.accept().open()
        with pytest.raises(BlockingIOError):
            listener.accept()
        sender = threading.Thread(target=lambda: [sock.sendto(b"%d" % n, str(folder / "c")) for n in range(100)])
        sender.start()
        assert [client.recv(10) for _ in range(100)] == [b"%d" % n for n in range(100)]
        sender.join()
    listener.close()


# Adopted sockets.


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A listening socket that blocks."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_a_socket_stays_its_owners_and_a_descriptor_becomes_ours(listening: socket.socket) -> None:
    """After the server is closed the first still listens, the second is gone."""
    with Server(AdoptedTransport(listening), SyncStrategy(), print) as server:
        assert server.address == listening.getsockname()
    assert listening.fileno() >= 0
    fd = os.dup(listening.fileno())
    transport = AdoptedTransport(fd)
    assert os.fstat(fd)  # composing has not closed it
    with Server(transport, SyncStrategy(), print) as server:
        assert server.fileno() == fd
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
    with pytest.raises(ListenError):
        transport.listen()


def test_a_descriptor_has_one_owner(listening: socket.socket) -> None:
    """Two servers that close one number could close somebody else's; each socket object is duplicated anew."""
    transport = AdoptedTransport(os.dup(listening.fileno()))
    first = transport.listen()
    with pytest.raises(ListenError, match="another server has taken"):
        transport.listen()
    first.close()
    shared = AdoptedTransport(listening)
    listeners = [shared.listen(), shared.listen()]
    assert len({listener.fileno() for listener in listeners}) == 2
    for listener in listeners:
        listener.close()


def test_an_adopted_socket_is_configured_when_it_is_taken_over(listening: socket.socket) -> None:
    """And stays with its owner where that fails."""
    seen: list[object] = []
    AdoptedTransport(listening, configure=lambda sock: seen.append(sock.getsockname())).listen().close()
    assert seen == [listening.getsockname()]
    fd = os.dup(listening.fileno())
    with pytest.raises(LookupError):
        AdoptedTransport(fd, configure=_fail).listen()
    os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("default", [None, 5.0])
def test_the_flag_that_others_share_is_not_changed(
    listening: socket.socket, blocking: bool, default: float | None
) -> None:
    """Neither by adopting nor by serving, nor by the process's default time-out; and accepting never blocks."""
    listening.setblocking(blocking)
    fd = os.dup(listening.fileno())
    socket.setdefaulttimeout(default)
    try:
        listener = AdoptedTransport(fd).listen()
    finally:
        socket.setdefaulttimeout(None)
    assert os.get_blocking(listening.fileno()) is blocking
    with pytest.raises(BlockingIOError):
        listener.accept()
    with socket.create_connection(listening.getsockname()):
        listener.accept().finish()
    assert os.get_blocking(listening.fileno()) is blocking
    listener.close()


def test_sockets_that_cannot_be_adopted(listening: socket.socket) -> None:
    """Each is told when composed."""
    left, right = socket.socketpair()
    closed = socket.socket()
    closed.close()
    with left, right, socket.socket() as unbound, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        with pytest.raises(CompositionError, match="does not listen"):
            AdoptedTransport(left)
        with pytest.raises(CompositionError, match="does not listen"):
            AdoptedTransport(unbound.fileno())
        with pytest.raises(CompositionError, match="not bound"):
            AdoptedTransport(udp)
        with pytest.raises(OptionError, match="closed"):
            AdoptedTransport(closed)
    with open(os.devnull) as file, pytest.raises(OptionError, match="not an open socket"):
        AdoptedTransport(file.fileno())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets:
        packets.bind(f"\0{os.getpid()}-seqpacket")
        packets.listen()
        with pytest.raises(CompositionError, match="neither a stream nor a datagram"):
            AdoptedTransport(packets)
    if sys.platform == "linux":
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
            with pytest.raises(CompositionError, match="family"):
                AdoptedTransport(netlink)


def test_adopted_unix_and_datagram_sockets(folder: Path) -> None:
    """The kind and the family come from the socket; its file is never ours to remove."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "s"))
        sock.listen()
        with Server(AdoptedTransport(sock), SyncStrategy(), print) as server:
            assert server.address == str(folder / "s")
    assert os.path.exists(folder / "s")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with Server(AdoptedTransport(udp.detach()), SyncStrategy(), print) as served:
            assert isinstance(served.address, InetAddress)


# What the platforms differ in.


def test_asking_before_receiving_where_there_is_no_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no MSG_DONTWAIT."""
    monkeypatch.setattr(_datagram, "_DONT_WAIT", 0)
    listener = UdpTransport(("127.0.0.1", 0)).listen()
    with pytest.raises(BlockingIOError):
        listener.accept()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", listener.address)
        assert listener.accept().open()[0] == b"x"
    listener.close()


def test_readable_with_and_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """poll(2) where there is one, select elsewhere."""
    left, right = socket.socketpair()
    with left, right:
        for _ in range(2):
            assert not _ready.readable(left)
            right.send(b"x")
            assert _ready.readable(left)
            left.recv(1)
            monkeypatch.delattr("select.poll", raising=False)


def test_a_request_can_be_replaced() -> None:
    """A strategy may put its own kind of socket in place; anything else is an error."""
    left, right = socket.socketpair()
    arrival = _stream.StreamArrival(left, UnixAddress("x"))
    arrival.replace(right)
    assert arrival.request is right
    with pytest.raises(TypeError, match="not by 3"):
        arrival.replace(3)
    packet = _datagram.DatagramArrival((b"a", left), UnixAddress("x"))
    packet.replace((b"b", right))
    assert packet.open() == (b"b", right)
    with pytest.raises(TypeError, match="not by 3"):
        packet.replace(3)
    for verb in (packet.finish, packet.release, packet.end_input, packet.abort):
        verb()
    assert left.fileno() >= 0
    left.close()
    right.close()


Verb = Callable[[_stream.StreamArrival[UnixAddress]], None]


@given(st.lists(st.sampled_from(["finish", "abort", "end_input", "release", "close", "detach"]), max_size=6))
def test_goodbyes_in_any_order_do_no_harm(verbs: list[str]) -> None:
    """Whatever the handler, the server and a deadline do to a connection, nothing is raised."""
    left, right = socket.socketpair()
    arrival = _stream.StreamArrival(left, UnixAddress("x"))
    for verb in verbs:
        if verb == "close":
            left.close()
        elif verb == "detach":
            if left.fileno() >= 0:
                os.close(left.detach())
        else:
            getattr(arrival, verb)()
    arrival.finish()
    assert left.fileno() == -1
    right.settimeout(FAILSAFE)
    assert right.recv(1) == b""
    right.close()
    assert arrival.peer_gone(BrokenPipeError()) is ("abort" in verbs)
    assert not arrival.peer_gone(ValueError())
