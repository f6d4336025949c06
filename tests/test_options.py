"""Bad values: each is an error when it is given, and the error names the value and what fits."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import sockserve
from sockserve import (
    AdoptedTransport,
    CompositionError,
    Deadlines,
    ForkStrategy,
    Limits,
    ListenError,
    OptionError,
    OptionTypeError,
    SelectorStrategy,
    Server,
    ServerStateError,
    SockserveError,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

ADDRESS = ("127.0.0.1", 0)
Make = Callable[[], object]
A: Any = None  # anything: what a type checker would have refused

WRONG: list[tuple[Make, type[Exception], str]] = [
    # addresses
    (lambda: TcpTransport(("127.0.0.1", 70000)), OptionError, "70000.*|.*65535"),
    (lambda: TcpTransport(("127.0.0.1", -1)), OptionError, "-1"),
    (lambda: UdpTransport(("127.0.0.1", 65536)), OptionError, "65536"),
    (lambda: TcpTransport(("127.0.0.1", "80")), OptionTypeError, "'80'"),  # type: ignore[arg-type]
    (lambda: TcpTransport(("127.0.0.1", True)), OptionTypeError, "True"),
    (lambda: TcpTransport((b"127.0.0.1", 80)), OptionTypeError, "b'127.0.0.1'"),  # type: ignore[arg-type]
    (lambda: TcpTransport("127.0.0.1:80"), OptionTypeError, "pair"),  # type: ignore[arg-type]
    (lambda: TcpTransport(("127.0.0.1", 80, 0, 0)), OptionTypeError, "pair"),  # type: ignore[arg-type]
    (lambda: TcpTransport(("not a host", 80)), OptionError, "host name.*'not a host'"),
    (lambda: TcpTransport(("300.1.2.3", 80)), OptionError, "300.1.2.3"),
    (lambda: TcpTransport(("1.2.3", 80)), OptionError, "1.2.3"),
    (lambda: TcpTransport(("-dash.example", 80)), OptionError, "-dash"),
    (lambda: TcpTransport(("a" * 64 + ".example", 80)), OptionError, "aaa"),
    (lambda: TcpTransport((".".join(["a" * 60] * 5), 80)), OptionError, "aaa"),
    (lambda: TcpTransport(("[::1]", 80)), OptionError, r"\[::1\]"),
    # options of transports
    (lambda: TcpTransport(ADDRESS, backlog=-1), OptionError, "backlog.*-1"),
    (lambda: TcpTransport(ADDRESS, backlog=1.5), OptionTypeError, "backlog.*1.5"),  # type: ignore[arg-type]
    (lambda: TcpTransport(ADDRESS, nodelay=1), OptionTypeError, "nodelay.*True or False"),  # type: ignore[arg-type]
    (lambda: TcpTransport(ADDRESS, keepalive="no"), OptionTypeError, "keepalive"),  # type: ignore[arg-type]
    (lambda: TcpTransport(ADDRESS, reuse_address=None), OptionTypeError, "reuse_address"),  # type: ignore[arg-type]
    (lambda: TcpTransport(ADDRESS, configure=3), OptionTypeError, "configure.*3"),  # type: ignore[arg-type]
    (lambda: UdpTransport(ADDRESS, max_packet_size=0), OptionError, "max_packet_size.*0"),
    (lambda: UdpTransport(ADDRESS, max_packet_size=65536), OptionError, "65536"),
    # paths
    (lambda: UnixStreamTransport(""), OptionError, "path"),
    (lambda: UnixStreamTransport("\0"), OptionError, "path"),
    (lambda: UnixStreamTransport("a\0b"), OptionError, "NUL"),
    (lambda: UnixStreamTransport(b"bytes"), OptionTypeError, "bytes"),  # type: ignore[arg-type]
    (lambda: UnixDatagramTransport(3), OptionTypeError, "3"),  # type: ignore[arg-type]
    (lambda: UnixDatagramTransport(_BytesPath()), OptionTypeError, "bytes"),  # type: ignore[arg-type]
    (lambda: UnixStreamTransport("/tmp/" + "x" * 200), OptionError, "107 bytes.*205"),
    (lambda: UnixStreamTransport("/tmp/" + "é" * 60), OptionError, "107 bytes.*125"),
    (lambda: UnixStreamTransport("/tmp/s", mode=0o1777), OptionError, "0o1777"),
    (lambda: UnixStreamTransport("/tmp/s", mode="600"), OptionTypeError, "0o660"),  # type: ignore[arg-type]
    (lambda: UnixStreamTransport("\0name", mode=0o600), OptionError, "mode.*left out"),
    (lambda: UnixDatagramTransport("\0name", mode=0o600), OptionError, "mode.*left out"),
    # adopted
    (lambda: AdoptedTransport(0, configure=3), OptionTypeError, "configure.*3"),  # type: ignore[arg-type]
    (lambda: AdoptedTransport("fd"), OptionTypeError, "'fd'"),  # type: ignore[arg-type]
    (lambda: AdoptedTransport(True), OptionTypeError, "True"),
    (lambda: AdoptedTransport(987654), OptionError, "987654"),
    (lambda: AdoptedTransport(-1), OptionError, "-1"),
    # strategies
    (lambda: ThreadStrategy(daemon=1), OptionTypeError, "daemon"),  # type: ignore[arg-type]
    (lambda: ThreadStrategy(block_on_close="x"), OptionTypeError, "block_on_close"),  # type: ignore[arg-type]
    (lambda: ThreadPoolStrategy(workers=0), OptionError, "workers.*0"),
    (lambda: ThreadPoolStrategy(workers=A), OptionTypeError, "workers.*None"),
    (lambda: ForkStrategy(max_children=0), OptionError, "max_children.*0"),
    (lambda: ForkStrategy(max_children=True), OptionTypeError, "max_children"),
    (lambda: SelectorStrategy(slow=0), OptionError, "slow.*above 0, not 0"),
    (lambda: SelectorStrategy(slow=float("inf")), OptionError, "slow.*inf"),
    (lambda: SelectorStrategy(slow="long"), OptionTypeError, "slow.*'long'"),  # type: ignore[arg-type]
    (lambda: SelectorStrategy(slow=True), OptionTypeError, "slow.*True"),
]


class _BytesPath:
    def __fspath__(self) -> bytes:
        return b"bytes"


@pytest.mark.parametrize(("make", "error", "text"), WRONG)
def test_a_wrong_value_is_named(make: Make, error: type[Exception], text: str) -> None:
    """The error is of one tree, and a ValueError or TypeError as well."""
    with pytest.raises(error, match=f"(?s){text}") as caught:
        make()
    assert isinstance(caught.value, SockserveError)
    assert isinstance(caught.value, ValueError)


RIGHT: list[Make] = [
    lambda: TcpTransport(("", 0)),
    lambda: TcpTransport(("localhost", 65535)),
    lambda: TcpTransport(("my_host.example.org.", 1)),
    lambda: TcpTransport(("bücher.example", 1)),
    lambda: TcpTransport(("fe80::1%eth0", 1)),
    lambda: UdpTransport(ADDRESS, max_packet_size=1),
    lambda: UnixStreamTransport("/tmp/" + "x" * 102),
    lambda: UnixStreamTransport("\0" + "x" * 107),
    lambda: UnixStreamTransport(Path("/tmp/s"), mode=0),
    lambda: ThreadPoolStrategy(workers=1),
    lambda: SelectorStrategy(slow=1e-9),
]


@pytest.mark.parametrize("make", RIGHT)
def test_a_value_at_the_edge_is_taken(make: Make) -> None:
    """Composing opens nothing: these addresses need not exist."""
    made = make()
    assert made == make()
    assert hash(made) == hash(make())


def test_parts_are_frozen_values() -> None:
    """They compare, hash, evolve, and cannot be changed."""
    one = TcpTransport(ADDRESS)
    assert one == TcpTransport(ADDRESS) != attrs.evolve(one, backlog=5)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.backlog = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        ThreadStrategy(True)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        TcpTransport(ADDRESS, 5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="typo"):
        ThreadStrategy(typo=True)  # type: ignore[call-arg]
    assert 5 <= ThreadPoolStrategy().workers <= 32


def _echo(request: object, address: object, server: object) -> None:
    """A handler."""


class _Stream(sockserve.StreamRequestHandler):
    pass


class _Datagram(sockserve.DatagramRequestHandler):
    pass


TCP, UDP = TcpTransport(ADDRESS), UdpTransport(ADDRESS)
COMPOSITIONS: list[tuple[tuple[Any, Any, Any], str]] = [
    ((ThreadStrategy(), TCP, _echo), "transport must be something like"),
    ((TCP, _echo, ThreadStrategy()), "strategy must be something like"),
    ((TCP, ThreadStrategy, _echo), "strategy is the class ThreadStrategy; make one"),
    ((TcpTransport, ThreadStrategy(), _echo), "transport is the class TcpTransport"),
    ((TCP, SyncStrategy(), None), "handler must be callable.*None"),
    ((TCP, SyncStrategy(), TCP), "handler must be callable"),
    ((UDP, SyncStrategy(), _Stream), "_Stream serves connections, but UdpTransport brings datagrams"),
    ((TCP, SyncStrategy(), _Datagram), "_Datagram serves datagrams, but TcpTransport brings connections"),
]


@pytest.mark.parametrize(("parts", "text"), COMPOSITIONS)
def test_parts_that_do_not_fit(parts: tuple[Any, Any, Any], text: str) -> None:
    """Seen when composed; nothing is opened."""
    with pytest.raises(CompositionError, match=text):
        Server(*parts)


def test_handlers_that_do_not_fit_in_disguise() -> None:
    """Behind a partial, and of the standard library."""
    import functools
    import http.server
    import socketserver

    handlers: list[Any] = [
        functools.partial(functools.partial(_Stream)),
        socketserver.StreamRequestHandler,
        http.server.SimpleHTTPRequestHandler,
    ]
    for handler in handlers:
        with pytest.raises(CompositionError, match="serves connections"):
            Server(UDP, SyncStrategy(), handler)
    with pytest.raises(CompositionError, match="serves datagrams"):
        Server(TCP, SyncStrategy(), socketserver.DatagramRequestHandler)
    Server(UDP, SyncStrategy(), socketserver.BaseRequestHandler)  # serves either


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": -1}, "timeout.*-1"),
        ({"timeout": "5"}, "timeout.*'5'"),
        ({"timeout": float("nan")}, "timeout.*nan"),
        ({"timeout": float("inf")}, "timeout.*inf"),
        ({"verify": 1}, "verify.*1"),
        ({"service_actions": 1}, "service_actions.*1"),
        ({"observer": None}, "observer.*None"),
        ({"deadlines": None}, "deadlines.*None"),
        ({"limits": {"connections": 1}}, "limits.*connections"),
    ],
)
def test_options_of_a_server(options: dict[str, Any], text: str) -> None:
    """They too are seen when composed."""
    with pytest.raises(OptionError, match=text):
        Server(TCP, SyncStrategy(), _echo, **options)


@pytest.mark.parametrize("name", ["connections", "per_peer"])
def test_limits_are_counts_or_none(name: str) -> None:
    """From one on; what could not be kept is an error at once."""
    for right in (None, 1, 10_000):
        assert getattr(Limits(**{name: right}), name) == right  # type: ignore[arg-type]
    for wrong in (0, -1, 1.5, "1", True):
        with pytest.raises(OptionError, match=f"Limits: {name}"):
            Limits(**{name: wrong})  # type: ignore[arg-type]


def test_what_an_overload_comes_to_is_one_of_three() -> None:
    """A typo, and no bytes at all, are errors."""
    for right in ("wait", "close", b"busy"):
        assert Limits(overload=right).overload == right
    for wrong in ("Wait", "", b"", None, 1, bytearray(b"busy")):
        with pytest.raises(OptionError, match=r"Limits: overload.*before closing"):
            Limits(overload=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["handshake", "idle", "total"])
def test_deadlines_are_seconds_or_none(name: str) -> None:
    """Whatever could not be kept is an error at once."""
    for right in (None, 1, 0.5):
        assert getattr(Deadlines(**{name: right}), name) == right
    for wrong in (0, -1, float("nan"), float("inf"), "1", True):
        with pytest.raises(OptionError, match=f"Deadlines: {name}"):
            Deadlines(**{name: wrong})  # type: ignore[arg-type]


def test_numbers_of_calls() -> None:
    """poll_interval and grace are checked before anything is opened."""
    server = Server(TCP, SyncStrategy(), _echo)
    for wrong in (0, -1, float("nan"), "x", None):
        with pytest.raises(OptionError, match="poll_interval"):
            server.serve_forever(wrong)  # type: ignore[arg-type]
    for call in (server.request_stop, server.shutdown, server.running):
        with pytest.raises(OptionError, match="grace"):
            call(grace=-1)
    with pytest.raises(OptionError, match="at least one"):
        sockserve.serve()
    with pytest.raises(ServerStateError, match="does not listen yet"):
        server.fileno()


def test_an_address_in_use() -> None:
    """The error is an OSError with the system's number, names the address and says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = other.getsockname()
        with pytest.raises(ListenError, match="choose another address") as caught:
            TcpTransport(address).listen()
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.address == address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        with pytest.raises(ListenError, match="in use"):
            UdpTransport(datagram.getsockname()).listen()


@pytest.mark.parametrize("make", [TcpTransport, UdpTransport])
def test_addresses_that_this_machine_has_not(make: Callable[[tuple[str, int]], Any]) -> None:
    """An address of nobody, and a name that nobody knows (RFC 6761: .invalid never resolves)."""
    with pytest.raises(ListenError, match="no such address"):
        make(("192.0.2.1", 0)).listen()
    with pytest.raises(ListenError, match="check the host name"):
        make(("nobody.invalid", 0)).listen()


def test_a_system_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty host is IPv4 alone then; any other failure is not mistaken for it."""
    real = socket.socket
    numbers = iter(["EAFNOSUPPORT", "EMFILE"])

    def scarce(family: int = -1, *rest: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(getattr(errno, next(numbers)), "on purpose")
        return real(family, *rest, **more)

    monkeypatch.setattr("sockserve.transports._inet.socket.socket", scarce)
    listener = TcpTransport(("", 0)).listen()
    assert listener.address.host == "0.0.0.0"
    listener.close()
    with pytest.raises(ListenError, match="ulimit"):
        TcpTransport(("", 0)).listen()


def test_platforms_that_lack_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when composed, with what to do instead."""
    monkeypatch.delattr(os, "fork")
    with pytest.raises(CompositionError, match=r"no os\.fork; use ThreadStrategy"):
        ForkStrategy()
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    for make in (TcpTransport, UdpTransport):
        with pytest.raises(CompositionError, match="SO_REUSEPORT"):
            make(ADDRESS, reuse_port=True)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(CompositionError, match="Linux only"):
        UnixStreamTransport("\0name")


def test_listen_errors_say_what_the_system_said() -> None:
    """Also without advice."""
    assert "cannot listen at 'x': on purpose" in str(ListenError.from_os_error(OSError(12345, "on purpose"), "x"))
    assert str(ListenError.from_os_error(OSError(2, None), "x"))
