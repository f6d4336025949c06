"""Laws that hold for every transport under every strategy, seen from the two ends of a request."""

import socket
import sys

from ..errors import CompositionError
from ..events import Accepted, Finished, HandlerFailed
from ..server import AnyServer, Server, serve
from ..strategies import SyncStrategy
from ._gate import Gate
from ._memory import MemoryTransport
from ._recorder import FAILSAFE, Recorder
from ._stage import Stage, echo, first, receive, reply, serving

__all__ = ("ALL", "AT_ONCE", "CONNECTIONS", "OUTLIVING")


def every_request_is_answered(stage: Stage) -> None:
    """Three words over each of two sockets, in order; and the counts agree."""
    with stage.running(echo) as server:
        words = [b"0\n", b"one\n", b"2" * 1000 + b"\n"]
        for _ in range(2):
            found = stage.ask(server, *words)
            assert found == words, f"asked {words!r}, got {found!r}"
    stats = server.stats
    assert (stats.failed, stats.active) == (0, 0), f"nothing has failed, nothing is left, but there are {stats}"
    assert stats.finished == (2 if stage.stream else 6), f"each request is finished once, but there are {stats}"


def a_handler_that_raises_ends_its_request_alone(stage: Stage) -> None:
    """The failure is reported with the handler's name; the client sees the end; the next request is served."""

    def handler(request: object, address: object, server: object) -> None:
        if first(request) == b"bad\n":
            raise ValueError("on purpose")
        reply(request, address, b"good\n")

    with Recorder() as recorder, stage.running(handler, recorder) as server:
        with stage.connect(server.address) as client:
            client.sendall(b"bad\n")
            failure = recorder.wait_for(HandlerFailed)
            assert failure["error"] == "ValueError('on purpose')", failure
            assert str(failure["handler"]).endswith("handler"), failure
            if stage.stream:
                assert client.recv(1) == b"", "the client sees the end of its connection"
        assert stage.ask(server, b"good\n") == [b"good\n"], "the next request is served"
    assert (server.stats.failed, server.stats.finished) == (1, 1), server.stats


def sys_exit_ends_its_request_alone(stage: Stage) -> None:
    """SystemExit is a failure of the handler, whatever its status, and not the end of the server."""

    def handler(request: object, address: object, server: object) -> None:
        word = first(request)
        if word != b"good\n":
            sys.exit(None if word == b"none\n" else 3)
        reply(request, address, b"good\n")

    with Recorder() as recorder, stage.running(handler, recorder) as server:
        for word in (b"none\n", b"exit\n"):
            with stage.connect(server.address) as client:
                client.sendall(word)
                assert str(recorder.wait_for(HandlerFailed)["error"]).startswith("SystemExit(")
        assert stage.ask(server, b"good\n") == [b"good\n"], "the next request is served"
    assert server.stats.failed == 2, server.stats


def events_of_a_request_come_in_order(stage: Stage) -> None:
    """Accepted, then Finished with its duration, of the same client."""
    with Recorder() as recorder, stage.running(echo, recorder) as server:
        stage.ask(server, b"x\n")
        accepted, finished = recorder.wait_for(Accepted), recorder.wait_for(Finished)
        assert accepted["client_address"] == finished["client_address"]
        assert finished["ok"] is True
        assert float(finished["duration"] or 0) >= 0


def a_handler_may_ask_to_stop(stage: Stage) -> None:
    """request_stop and shutdown return when a request calls them, and serve_forever leaves."""

    def handler(request: object, address: object, server: AnyServer) -> None:
        word = first(request)
        server.request_stop() if word == b"ask\n" else server.shutdown()
        reply(request, address, word)

    for word in (b"ask\n", b"now\n"):
        with stage.server(handler) as server, serving(server.serve_forever):
            assert stage.ask(server, word) == [word]


def a_request_in_flight_finishes_within_the_grace(stage: Stage) -> None:
    """shutdown(grace) lets the handler finish, and returns as soon as it has."""
    with Gate() as gate:

        def handler(request: object, address: object, server: object) -> None:
            word = first(request)
            gate.pass_through()
            reply(request, address, word)

        with (
            stage.server(handler) as server,
            serving(server.serve_forever),
            stage.connect(server.address) as client,
        ):
            client.sendall(b"x\n")
            gate.wait_until_reached()
            assert all(row.client_address is not None for row in server.rows())
            server.request_stop(grace=FAILSAFE)
            gate.open()
            assert client.recv(10) == b"x\n"
    assert (server.stats.finished, server.stats.active) == (1, 0), server.stats
    assert server.rows() == []


def handle_request_serves_exactly_one(stage: Stage) -> None:
    """Two wait, one is accepted, the other stays in the queue. Who accepts in other processes says so instead."""
    with (
        stage.server(echo) as server,
        stage.connect(server.address) as one,
        stage.connect(server.address) as other,
    ):
        for accepted, client in enumerate((one, other), 1):
            client.sendall(b"x\n")
            if stage.stream:
                socket.socket.shutdown(client, socket.SHUT_WR)
            try:
                assert server.handle_request() is True
            except CompositionError:
                return
            assert server.stats.accepted == accepted, "handle_request accepts one"
            assert client.recv(10) == b"x\n"
        server.timeout = 0.0
        assert server.handle_request() is False, "nobody waits any more"


def a_stop_before_serving_is_kept(stage: Stage) -> None:
    """The next serve_forever leaves at once, the one after that serves."""
    with stage.server(echo) as server:
        server.shutdown()
        server.serve_forever()
        with serving(server.serve_forever):
            assert stage.ask(server, b"x\n") == [b"x\n"]
            server.shutdown()


def a_server_serves_again(stage: Stage) -> None:
    """serve_forever after shutdown, on the loop of before and on another; who came in between is served."""
    with stage.server(echo) as server, _another() as beside:
        for serve_all in (server.serve_forever, lambda: serve(server, beside), server.serve_forever):
            with stage.connect(server.address) as client:
                client.sendall(b"x\n")
                if stage.stream:
                    socket.socket.shutdown(client, socket.SHUT_WR)
                with serving(serve_all):
                    assert client.recv(10) == b"x\n"
                    beside.shutdown()
                    server.shutdown()


def at_the_end_of_the_grace_connections_are_shut(stage: Stage) -> None:
    """A handler that waits for its client is woken by the end of its connection; nothing hangs."""
    with (
        Recorder() as recorder,
        stage.server(echo, recorder) as server,
        serving(server.serve_forever),
        stage.connect(server.address) as client,
    ):
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        server.shutdown(grace=0.01)
        server.server_close()
        assert client.recv(10) == b"", "the client sees the end"
        assert recorder.wait_for(Finished)["ok"] is True, "the handler has not failed by that"


def a_client_that_connects_and_leaves_is_no_failure(stage: Stage) -> None:
    """Without a word, or in the middle of one; and one that has sent its end still gets its answer."""
    with stage.running(echo) as server:
        for last_words in (b"", b"half a li"):
            with stage.connect(server.address) as client:
                client.sendall(last_words)
        with stage.connect(server.address) as client:
            client.sendall(b"over\n")
            socket.socket.shutdown(client, socket.SHUT_WR)
            assert receive(client, 100) == b"over\n"
    assert (server.stats.finished, server.stats.failed) == (3, 0), server.stats


def an_upstreams_error_is_the_handlers_own(stage: Stage) -> None:
    """A refused connection to somebody else is not mistaken for a client that went away."""

    def handler(request: object, address: object, server: object) -> None:
        raise ConnectionRefusedError("upstream")

    with (
        Recorder() as recorder,
        stage.running(handler, recorder) as server,
        stage.connect(server.address),
    ):
        assert "upstream" in str(recorder.wait_for(HandlerFailed)["error"])
    assert server.stats.failed == 1, server.stats


def server_close_ends_the_input_of_kept_connections(stage: Stage) -> None:
    """A request goes on when serve_forever has left; a client that keeps its connection holds nobody."""
    with (
        stage.server(echo) as server,
        serving(server.serve_forever) as thread,
        stage.connect(server.address) as client,
    ):
        client.sendall(b"x\n")
        assert receive(client, 2) == b"x\n"
        server.shutdown()
        thread.join(FAILSAFE)
        client.sendall(b"after\n")
        assert receive(client, 6) == b"after\n", "what is in flight belongs to server_close"
        server.server_close()
        assert client.recv(10) == b"", "the client sees the end"


def requests_run_at_the_same_time(stage: Stage) -> None:
    """Three requests meet: none could answer before the others have come."""
    with Gate() as gate:

        def handler(request: object, address: object, server: object) -> None:
            word = first(request)
            gate.pass_through()
            reply(request, address, word)

        with stage.running(handler) as server:
            clients = [stage.connect(server.address) for _ in range(3)]
            for client in clients:
                client.sendall(b"x\n")
            gate.wait_until_reached(3)
            gate.open(3)
            for client in clients:
                assert client.recv(10) == b"x\n"
                client.close()


def _another() -> AnyServer:
    """A server that takes no part but that of another on the same loop."""
    return Server(MemoryTransport(), SyncStrategy(), echo)


#: Of every transport, under every strategy.
ALL = (
    every_request_is_answered,
    a_handler_that_raises_ends_its_request_alone,
    sys_exit_ends_its_request_alone,
    events_of_a_request_come_in_order,
    a_handler_may_ask_to_stop,
    a_request_in_flight_finishes_within_the_grace,
    handle_request_serves_exactly_one,
    a_stop_before_serving_is_kept,
    a_server_serves_again,
)
#: Of transports of connections.
CONNECTIONS = (
    at_the_end_of_the_grace_connections_are_shut,
    a_client_that_connects_and_leaves_is_no_failure,
    an_upstreams_error_is_the_handlers_own,
)
#: Of strategies whose requests go on when serve_forever has left, over connections.
OUTLIVING = (server_close_ends_the_input_of_kept_connections,)
#: Of strategies that serve several requests at a time.
AT_ONCE = (requests_run_at_the_same_time,)
