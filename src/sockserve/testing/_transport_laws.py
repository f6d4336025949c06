"""Laws of transports: what a listener and its arrivals owe to the loop, to handlers, and to their peers."""

import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable
from typing import Final, Protocol, cast

from ..abc import Strategy
from ..errors import PeerGoneError
from ..strategies import ForkStrategy, SelectorStrategy, SyncStrategy, ThreadStrategy
from . import _request_laws as requests
from ._clients import Connect
from ._kit import Kit
from ._listening import arrived, connect_for, listening, readable, stage_of
from ._recorder import FAILSAFE
from ._stage import AnyTransport, Stage, first, receive, reply, serving

__all__ = ("check_transport",)


#: Seconds within which what returns at once has returned, on a busy machine too.
AT_ONCE = 1.0


def it_opens_nothing_before_it_listens(transport: AnyTransport, connect: Connect | None = None) -> None:
    """It is a value: it hashes, and a listener is another object; two servers may have the same one."""
    before = hash(transport)
    with listening(transport) as listener:
        live: object = listener
        assert live is not transport, "listen() makes the live thing; the transport stays a value"
        assert listener.stream == transport.stream, "transport and listener disagree whether there are connections"
    assert hash(transport) == before, "listening has changed its hash"


def accept_returns_at_once(transport: AnyTransport, connect: Connect | None = None) -> None:
    """BlockingIOError where nothing has arrived; the descriptor is readable just when something has."""
    with listening(transport) as listener:
        assert not readable(listener, 0), "nothing has arrived, and its descriptor is readable"
        accepted: list[object] = []

        def accept() -> None:
            try:
                accepted.append(listener.accept())
            except BlockingIOError as error:
                accepted.append(error)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        thread.join(AT_ONCE)
        assert not thread.is_alive(), "accept() waits although nothing has arrived"
        assert isinstance(accepted[0], BlockingIOError), accepted


def clients_are_queued_from_the_first_moment(transport: AnyTransport, connect: Connect | None = None) -> None:
    """They connect before anybody accepts, and get their answers in the order in which they came."""
    stage = stage_of(transport, connect, SyncStrategy())

    def handler(request: object, address: object, server: object) -> None:
        reply(request, address, first(request))

    with stage.server(handler) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(stage.connect(server.address)) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        with serving(server.serve_forever):
            for number, client in enumerate(clients):
                assert client.recv(10) == b"%d\n" % number
            server.shutdown()


def each_client_has_an_address(transport: AnyTransport, connect: Connect | None = None) -> None:
    """It hashes, prints, and is never empty for a connection: code that logs its first part breaks at that."""
    with arrived(transport, connect) as (arrival, _):
        hash(arrival.client_address)
        assert str(arrival.client_address) or not arrival.stream, "the address of a connection is empty"
        assert repr(arrival.client_address)
        arrival.finish()


def handlers_get_blocking_sockets(transport: AnyTransport, connect: Connect | None = None) -> None:
    """A handler waits as long as it likes, whatever the listener's own socket does."""
    stage = stage_of(transport, connect, SyncStrategy())
    timeouts: list[float | None] = []

    def handler(request: object, address: object, server: object) -> None:
        sock = request[1] if isinstance(request, tuple) else request
        timeouts.append(cast("socket.socket", sock).gettimeout())
        reply(request, address, first(request))

    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(1.0)  # a program may have set it, for its own clients
    try:
        with stage.running(handler) as server, stage.connect(server.address) as client:
            client.sendall(b"x\n")
            client.recv(2)
    finally:
        socket.setdefaulttimeout(former)
    assert timeouts == [None], f"the handler's socket has the timeout {timeouts}"


def the_end_is_sent_whoever_has_a_copy(transport: AnyTransport, connect: Connect | None = None) -> None:
    """After the handler the client sees the end, although another process may still hold the descriptor."""
    copies: list[socket.socket] = []

    def handler(request: object, address: object, server: object) -> None:
        if not isinstance(request, tuple):
            sock = cast("socket.socket", request)
            copies.append(socket.socket(fileno=os.dup(sock.fileno())))
        reply(request, address, first(request))

    stage = stage_of(transport, connect, SyncStrategy())
    try:
        with stage.running(handler) as server, stage.connect(server.address) as client:
            client.sendall(b"goodbye\n")
            assert client.recv(100) == b"goodbye\n"
            if stage.stream:
                assert client.recv(100) == b"", "the client sees no end"
    finally:
        for copy in copies:
            copy.close()


def a_released_request_goes_on_elsewhere(transport: AnyTransport, connect: Connect | None = None) -> None:
    """Releasing closes this process's copy, and says nothing to the peer."""
    with arrived(transport, connect) as (arrival, client):
        if not arrival.stream:
            arrival.release()
            assert cast("tuple[bytes, socket.socket]", arrival.request)[1].fileno() >= 0, (
                "it has closed the listener"
            )
            return
        sock = cast("socket.socket", arrival.request)
        with socket.socket(fileno=os.dup(sock.fileno())) as copy:
            arrival.release()
            assert sock.fileno() < 0, "its own copy is still open"
            copy.settimeout(FAILSAFE)
            client.settimeout(0.0)
            with contextlib.suppress(BlockingIOError):
                assert client.recv(1) != b"", "the client sees an end that there is not"
            copy.shutdown(socket.SHUT_RDWR)


def who_waits_for_a_client_can_be_told_its_end(transport: AnyTransport, connect: Connect | None = None) -> None:
    """end_input ends a read that waits, and the answer can still be sent; abort ends the rest; neither raises."""
    with arrived(transport, connect) as (arrival, _):
        sock = cast("socket.socket", arrival.request)
        if arrival.stream:
            assert receive(sock, 1)
        read: list[bytes] = []

        def wait() -> None:
            while data := sock.recv(100):
                read.append(data)

        if arrival.stream:
            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            arrival.end_input()
            thread.join(FAILSAFE)
            assert not thread.is_alive(), "end_input() does not end a read that waits"
            sock.sendall(b"still there\n")
        else:
            arrival.end_input()
        arrival.abort()
        arrival.end_input()
        if arrival.stream:
            assert sock.recv(1) == b"", "after abort() a read returns the end"
        arrival.finish()
        arrival.abort()
        arrival.end_input()


def an_unrelated_error_is_not_the_peers(transport: AnyTransport, connect: Connect | None = None) -> None:
    """While the client is there, no error of the handler means that it is gone."""
    with arrived(transport, connect) as (arrival, _):
        for error in (ValueError("x"), ConnectionResetError("upstream"), TimeoutError("upstream")):
            assert not arrival.peer_gone(error), f"{error!r} is taken for a client that went away"
        arrival.finish()


def a_peer_that_is_gone_is_told_from_a_failure(transport: AnyTransport, connect: Connect | None = None) -> None:
    """Writing to a client that has gone raises, and that is no failure of the handler."""
    with arrived(transport, connect) as (arrival, client):
        client.close()
        if not arrival.stream:
            assert arrival.peer_gone(PeerGoneError("nobody")), (
                "PeerGoneError is not taken for a peer that has gone"
            )
            arrival.finish()
            return
        sock = cast("socket.socket", arrival.request)
        error = _write_until_it_fails(sock)
        assert arrival.peer_gone(error), f"{error!r} of a lost client is taken for a failure of the handler"
        arrival.finish()


def _write_until_it_fails(sock: socket.socket) -> OSError:
    while True:
        try:
            sock.sendall(b"x" * 65536)
        except OSError as error:
            return error


def a_closed_listener_is_gone(transport: AnyTransport, connect: Connect | None = None) -> None:
    """Nothing connects any more, and the transport can listen again at once. Closing twice has no effect."""
    for _ in range(2):
        with listening(transport) as listener:
            address = listener.address
            assert listener.fileno() >= 0
        listener.close()
        assert listener.fileno() < 0, "its descriptor is still open"
        if transport.stream:
            try:
                sock = connect_for(transport, connect)(address)
            except OSError:
                continue
            sock.close()
            raise AssertionError(f"{address!r} still takes connections")


def nothing_is_left_behind(transport: AnyTransport, connect: Connect | None = None) -> None:
    """No descriptor, once the listener and the requests are closed."""
    with arrived(transport, connect) as (arrival, _):
        arrival.finish()
    before = _descriptors()
    with arrived(transport, connect) as (arrival, _):
        arrival.finish()
    assert _descriptors() <= before, f"{_descriptors() - before} descriptors are left"


def _descriptors() -> int:
    return sum(len(os.listdir(folder)) for folder in ("/proc/self/fd",) if os.path.isdir(folder))


def a_copy_is_closed_alone(transport: AnyTransport, connect: Connect | None = None) -> None:
    """What a forked child closes is its own descriptor: clients can connect as before."""
    if not hasattr(os, "fork"):
        return
    stage = stage_of(transport, connect, ForkStrategy())

    def handler(request: object, address: object, server: object) -> None:
        reply(request, address, first(request))

    with stage.running(handler) as server:
        for _ in range(2):  # the second finds what the child of the first has left
            assert stage.ask(server, b"x\n") == [b"x\n"]


#: Those whose ways with a request differ: in the loop's thread, in another, in another process, in the table.
_STRATEGIES: tuple[Callable[[], Strategy], ...] = (
    SyncStrategy,
    ThreadStrategy,
    *((ForkStrategy,) if hasattr(os, "fork") else ()),
    SelectorStrategy,
)


class _TransportLaw(Protocol):
    def __call__(self, transport: AnyTransport, connect: Connect | None = None) -> None: ...


def _under_each_strategy(law: Callable[[Stage], None], *, streams: bool) -> _TransportLaw:
    """Make a law of a transport: under each strategy, where it brings such requests."""

    @functools.wraps(law)
    def check(transport: AnyTransport, connect: Connect | None = None) -> None:
        if streams and not transport.stream:
            return
        for strategy in _STRATEGIES:
            law(stage_of(transport, connect, strategy()))

    return check


#: What every transport does. Called, or parametrized, with the transport, and with what connects a client to it
#: where its addresses are of a kind of their own.
check_transport: Final = Kit(
    it_opens_nothing_before_it_listens,
    accept_returns_at_once,
    clients_are_queued_from_the_first_moment,
    each_client_has_an_address,
    handlers_get_blocking_sockets,
    the_end_is_sent_whoever_has_a_copy,
    a_released_request_goes_on_elsewhere,
    who_waits_for_a_client_can_be_told_its_end,
    an_unrelated_error_is_not_the_peers,
    a_peer_that_is_gone_is_told_from_a_failure,
    a_closed_listener_is_gone,
    nothing_is_left_behind,
    a_copy_is_closed_alone,
    *(_under_each_strategy(law, streams=False) for law in requests.ALL),
    *(_under_each_strategy(law, streams=True) for law in requests.CONNECTIONS),
)
