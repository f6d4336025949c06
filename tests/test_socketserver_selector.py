"""The inheritable servers on the table: everything in the thread that serves, and its loop waits for all of it."""

import contextlib
import errno
import http.client
import http.server
import json
import os
import signal
import socket
import socketserver as stdlib
import sys
import threading
import wsgiref.simple_server
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import sockserve
from recorder import FAILSAFE
from shim_kit import ANYWHERE, ask, connect, serving, upper
from sockserve import SelectorStrategy
from sockserve import socketserver as ours
from sockserve._loop import pollers
from sockserve._table.sockets import CooperativeSocket
from sockserve.abc import Core, Job, Loop

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

#: Far beyond what a test may take: what only a poll would notice is not noticed.
NEVER = 1000
MANY = 40

BASES = pytest.mark.parametrize("base", [ours.TCPServer, stdlib.TCPServer], ids=["ours", "stdlib"])


def on_the_table(base: Any, **attributes: Any) -> Any:
    """Make a server class, with room for many clients that come at once."""
    return type("OnTheTable", (ours.SelectorMixIn, base), {"request_queue_size": 2 * MANY, **attributes})


def interval(base: Any) -> float:
    """Seconds for ``serve_forever``: ``shutdown`` of the standard library's servers is noticed by a look only."""
    return NEVER if issubclass(base, ours.BaseServer) else 0.02


# The servers of the standard library, as they are imported, with their own clients.


class Talk(http.server.BaseHTTPRequestHandler):
    """Says in which thread it runs; keeps the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer with the thread and what was sent."""
        said = self.rfile.read(int(self.headers["Content-Length"]))
        if said == b"raise":
            raise LookupError("on purpose")
        body = json.dumps([threading.get_ident(), said.decode()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the documented name
        """Nothing."""


@contextlib.contextmanager
def clients(server: Any, number: int) -> Iterator[list[http.client.HTTPConnection]]:
    """Connect so many clients, which stay connected."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            client = http.client.HTTPConnection(
                server.server_address[0], server.server_address[1], timeout=FAILSAFE
            )
            stack.callback(client.close)
            client.connect()
            made.append(client)
        yield made


def begin(client: http.client.HTTPConnection, body: bytes) -> None:
    """Send a request but for the last byte."""
    client.putrequest("POST", "/")
    client.putheader("Content-Length", str(len(body)))
    client.putheader("Content-Type", "text/plain")
    client.endheaders(body[:-1])


def end(client: http.client.HTTPConnection, body: bytes) -> bytes:
    """Send the last byte, and return the answer."""
    client.send(body[-1:])
    with client.getresponse() as response:
        assert response.status == 200
        return response.read()


def test_http_server() -> None:
    """Kept connections, each in the middle of a request, in one thread; the last that began ends first."""
    with on_the_table(http.server.HTTPServer)(ANYWHERE, Talk) as server:
        with serving(server, 0.02), clients(server, MANY) as all_of_them:
            threads = set()
            for turn in range(3):
                said = [f"client {number}, turn {turn}".encode() for number in range(MANY)]
                for client, body in zip(all_of_them, said, strict=True):
                    begin(client, body)
                for client, body in reversed(list(zip(all_of_them, said, strict=True))):
                    thread, heard = json.loads(end(client, body))
                    assert heard == body.decode()
                    threads.add(thread)
            assert len(threads) == 1
            assert threads != {threading.get_ident()}


def test_http_server_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """A handler that raises loses its client, with a traceback, and no other."""
    with on_the_table(http.server.HTTPServer)(ANYWHERE, Talk) as server:
        with serving(server, 0.02), clients(server, 2) as (bad, good):
            begin(good, b"hello")
            begin(bad, b"raise")
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                end(bad, b"raise")
            assert json.loads(end(good, b"hello"))[1] == "hello"
    said = capsys.readouterr().err
    assert said.count("Exception occurred during processing of request") == 1
    assert "LookupError: on purpose" in said


def test_xmlrpc_server() -> None:
    """Clients that keep their connections, whose calls wait for each other."""
    waiting: set[int] = set()
    all_here = sockserve.Event()

    def meet(number: int) -> int:
        waiting.add(number)
        if len(waiting) == MANY:
            all_here.set()
        assert all_here.wait(FAILSAFE)
        return number * number

    keeps = type("Keeps", (xmlrpc.server.SimpleXMLRPCRequestHandler,), {"protocol_version": "HTTP/1.1"})
    with on_the_table(xmlrpc.server.SimpleXMLRPCServer)(ANYWHERE, keeps, logRequests=False) as server:
        server.register_function(meet, "meet")
        url = "http://{}:{}/".format(*server.server_address)
        found: dict[int, object] = {}

        def call(number: int) -> None:
            with xmlrpc.client.ServerProxy(url) as proxy:
                found[number] = proxy.meet(number)
                assert proxy.meet(number) == found[number]  # by the same connection

        with serving(server, 0.02):
            callers = [threading.Thread(target=call, args=(number,)) for number in range(MANY)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(FAILSAFE)
            with (
                xmlrpc.client.ServerProxy(url) as proxy,
                pytest.raises(xmlrpc.client.Fault, match="not supported"),
            ):
                proxy.nothing()
    assert found == {number: number * number for number in range(MANY)}


def test_wsgiref_server(capsys: pytest.CaptureFixture[str]) -> None:
    """An application that reads a body; one that raises."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        said = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        if said == b"raise":
            raise LookupError("on purpose")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d " % threading.get_ident(), said]

    quiet = type("Quiet", (wsgiref.simple_server.WSGIRequestHandler,), {"log_message": Talk.log_message})
    with on_the_table(wsgiref.simple_server.WSGIServer)(ANYWHERE, quiet) as server:
        server.set_app(application)
        with serving(server, 0.02), clients(server, MANY) as all_of_them:
            for number, client in enumerate(all_of_them):
                begin(client, b"client %d" % number)
            threads = set()
            for number, client in reversed(list(enumerate(all_of_them))):
                thread, said = end(client, b"client %d" % number).split(b" ", 1)
                assert said == b"client %d" % number
                threads.add(thread)
            assert len(threads) == 1
            with clients(server, 1) as (bad,):
                begin(bad, b"raise")
                bad.send(b"e")
                with bad.getresponse() as response:
                    assert response.status == 500
    assert "LookupError: on purpose" in capsys.readouterr().err


# Its life.


@BASES
def test_shutdown_ends_what_is_in_flight(base: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Before ``serve_forever`` returns: each waits no longer, and its goodbye is said. Nobody has failed."""
    ended: list[type[BaseException] | None] = []

    def handle(request: Any, _address: object, _server: object) -> None:
        request.sendall(b"?")
        try:
            request.recv(1)
        except BaseException as error:
            ended.append(type(error))
            raise

    with on_the_table(base)(ANYWHERE, handle) as server:
        for _ in range(2):
            with contextlib.ExitStack() as stack:
                with serving(server, interval(base)):
                    peers = [stack.enter_context(connect(server)) for _ in range(MANY)]
                    assert [peer.recv(1) for peer in peers] == [b"?"] * MANY
                assert ended == [sockserve.RequestAborted] * MANY
                assert [peer.recv(1) for peer in peers] == [b""] * MANY
            ended.clear()
    assert capsys.readouterr().err == ""


@BASES
def test_shutdown_by_a_handler(base: Any) -> None:
    """The thread that serves is its own: it asks, and does not wait for itself."""

    def handle(request: Any, _address: object, server: Any) -> None:
        server.shutdown()
        request.sendall(b"asked")

    with on_the_table(base)(ANYWHERE, handle) as server:
        thread = threading.Thread(target=server.serve_forever, args=(NEVER,))
        thread.start()
        with connect(server) as client:
            assert client.recv(10) == b"asked"
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_shutdown_while_a_handler_is_aborted() -> None:
    """Also then: the thread is still the one that serves."""

    def handle(request: Any, _address: object, server: Any) -> None:
        request.sendall(b"?")
        try:
            request.recv(1)
        finally:
            server.shutdown()

    with ours.SelectorTCPServer(ANYWHERE, handle) as server:
        with connect(server) as client, serving(server, NEVER):
            assert client.recv(1) == b"?"
        with connect(server) as client, serving(server, NEVER):  # what was asked has been done
            assert client.recv(1) == b"?"


@BASES
def test_closed_and_replaced_while_it_serves(base: Any) -> None:
    """``server_close`` lets go of the socket at once; what is in flight goes on; another socket may follow."""
    turned = threading.Semaphore(0)

    def handle(request: Any, _address: object, _server: object) -> None:
        while said := request.recv(10):
            request.sendall(said)

    with on_the_table(base, service_actions=lambda self: turned.release())(ANYWHERE, handle) as server:
        with serving(server, 0.02), connect(server) as client:
            client.sendall(b"one")
            assert client.recv(10) == b"one"
            number = server.fileno()
            server.server_close()
            client.sendall(b"two")
            assert client.recv(10) == b"two"
            server.socket = socket.create_server(ANYWHERE)
            assert server.fileno() == number
            server.server_address = server.socket.getsockname()
            assert ask(server, b"three") == b"three"
            server.socket.close()  # by hand: seen at the next look
            for _ in range(3):
                assert turned.acquire(timeout=FAILSAFE)
            server.socket = socket.create_server(ANYWHERE)
            server.server_address = server.socket.getsockname()
            assert ask(server, b"four") == b"four"


def test_the_number_of_a_socket_that_was_closed_by_hand() -> None:
    """It may be that of a socket that a request waits for: that goes on to be watched."""
    turned, waits = threading.Semaphore(0), threading.Event()
    pair: list[socket.socket] = []

    def handle(request: Any, _address: object, server: Any) -> None:
        number = server.fileno()
        server.socket.close()
        one, other = socket.socketpair()
        if one.fileno() != number:
            one, other = other, one
        assert one.fileno() == number
        pair.append(other)
        with sockserve.cooperative(one) as mine:
            waits.set()
            request.sendall(mine.recv(10))

    class Turns(ours.SelectorTCPServer):
        def service_actions(self) -> None:
            super().service_actions()
            turned.release()

    with Turns(ANYWHERE, handle) as server, serving(server, 0.02), connect(server) as client:
        assert waits.wait(FAILSAFE)
        for _ in range(4):
            assert turned.acquire(timeout=FAILSAFE)
        with pair[0] as other:
            other.sendall(b"said")
            assert client.recv(10) == b"said"


def test_the_flag_set_by_hand() -> None:
    """By a handler: seen at the next look. By what follows a request: at once."""

    def handle(_request: object, _address: object, server: Any) -> None:
        server._BaseServer__shutdown_request = True

    with ours.SelectorTCPServer(ANYWHERE, handle) as server:
        thread = threading.Thread(target=server.serve_forever, args=(NEVER,))
        thread.start()
        assert ask(server, b"") == b""
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_without_a_look_at_the_flag() -> None:
    """``serve_forever(None)`` hears ``shutdown``."""
    with ours.SelectorTCPServer(ANYWHERE, upper(ours)) as server, serving(server, None):
        assert ask(server) == b"PING\n"


@BASES
def test_handle_request(base: Any) -> None:
    """It returns when the request has ended; without one after `timeout`."""
    done = []

    def handle(request: Any, _address: object, _server: object) -> None:
        sockserve.sleep(0.001)
        request.sendall(request.recv(10))
        done.append(type(request))

    timed_out: list[object] = []
    made = on_the_table(base, timeout=0.01, handle_timeout=lambda self: timed_out.append(self))
    with made(ANYWHERE, handle) as server:
        server.handle_request()
        assert timed_out == [server]
        with connect(server) as client:
            client.sendall(b"one")
            server.timeout = None
            server.handle_request()
            assert done == [CooperativeSocket]
            assert client.recv(10) == b"one"
            assert client.recv(10) == b""


@BASES
def test_under_another_s_loop(base: Any) -> None:
    """Who serves by calling the step himself, gets each request answered before that returns."""
    with on_the_table(base)(ANYWHERE, upper(ours)) as server:
        for _ in range(2):
            with connect(server) as client:
                client.sendall(b"ping\n")
                client.shutdown(socket.SHUT_WR)
                server._handle_request_noblock()
                assert client.recv(10) == b"PING\n"
        with serving(server, 0.02):
            assert ask(server) == b"PING\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_not_meant_for_a_request_alone(error: type[BaseException], first: bool) -> None:
    """KeyboardInterrupt leaves the loop, SystemExit ends its request as in a thread. Each is shut once."""
    shut: list[object] = []

    class Counts(ours.SelectorTCPServer):
        def shutdown_request(self, request: Any) -> None:
            shut.append(request)
            super().shutdown_request(request)

    def handle(request: Any, _address: object, _server: object) -> None:
        if not first:
            request.recv(10)
        raise error

    with Counts(ANYWHERE, handle) as server:
        caught: list[BaseException] = []

        def serve() -> None:
            try:
                server.serve_forever(NEVER)
            except BaseException as found:  # noqa: BLE001 - looked at below
                caught.append(found)

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(server, b"") == b""
        if error is SystemExit:
            server.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()
        assert [type(each) for each in caught] == ([] if error is SystemExit else [error])
        assert len(shut) == 1
        with serving(server, NEVER):  # a loop that was left so can be entered again
            pass


def test_a_signal_ends_the_wait() -> None:
    """What its handler raises leaves ``serve_forever``, however long that would wait."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ours.SelectorTCPServer(ANYWHERE, upper(ours)) as server:
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever(NEVER)
        finally:
            signal.signal(signal.SIGALRM, before)


def test_a_process_forked_by_a_handler() -> None:
    """It ends where its request ends, and never enters the parent's loop."""
    ended = []

    def handle(request: Any, _address: object, _server: object) -> None:
        if pid := os.fork():
            ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            return
        request.sendall(request.recv(10))  # has to wait, as it can there
        raise SystemExit(3)

    with ours.SelectorTCPServer(ANYWHERE, handle) as server, serving(server, NEVER):
        for _ in range(2):
            assert ask(server, b"said") == b"said"
    assert ended == [3, 3]


# Requests.


@pytest.mark.parametrize("poller", ["best", "selectors"])
@pytest.mark.parametrize("kind", ["TCPServer", "UnixStreamServer"])
def test_a_request_parks(kind: str, poller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler gets a socket that does, with what ``get_request`` has set; also without epoll."""
    if poller == "selectors":
        monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
    seen: list[tuple[type, float | None]] = []

    class Timed(vars(ours)[f"Selector{kind}"]):  # type: ignore[misc]
        def get_request(self) -> Any:
            request, address = super().get_request()
            request.settimeout(FAILSAFE)
            return request, address

    class Handler(upper(ours)):  # type: ignore[misc]
        def setup(self) -> None:
            seen.append((type(self.request), self.request.gettimeout()))
            super().setup()

    where = ANYWHERE if kind == "TCPServer" else str(tmp_path / "socket")
    with Timed(where, Handler) as server, serving(server, NEVER), connect(server) as idle:
        idle.sendall(b"half a ")
        assert ask(server) == b"PING\n"
        idle.sendall(b"line\n")
        assert idle.recv(100) == b"HALF A LINE\n"
        assert seen == [(CooperativeSocket, FAILSAFE)] * 2


@pytest.mark.parametrize("kind", ["UDPServer", "UnixDatagramServer"])
def test_datagrams(kind: str, tmp_path: Path) -> None:
    """One waits, and the next is answered meanwhile."""
    gate = sockserve.Event()

    class Handler(ours.DatagramRequestHandler):
        def handle(self) -> None:
            if self.packet == b"wait":
                assert gate.wait(FAILSAFE)
            else:
                gate.set()
            self.wfile.write(self.packet)

    where = ANYWHERE if kind == "UDPServer" else str(tmp_path / "server")
    with vars(ours)[f"Selector{kind}"](where, Handler) as server, serving(server, NEVER):
        with socket.socket(server.address_family, socket.SOCK_DGRAM) as client:
            client.settimeout(FAILSAFE)
            if kind != "UDPServer":
                client.bind(str(tmp_path / "client"))
            client.connect(server.server_address)
            client.send(b"wait")
            client.send(b"go")
            assert {client.recv(10), client.recv(10)} == {b"wait", b"go"}


def test_verify_and_errors_take_the_documented_way() -> None:
    """Refused ones are shut, failed ones reported inside the except block, in the order of calls."""
    notes: list[str] = []

    class Noting(ours.SelectorTCPServer):
        def verify_request(self, request: Any, client_address: Any) -> bool:
            notes.append("verify")
            return len(notes) > 2

        def handle_error(self, request: Any, client_address: Any) -> None:
            notes.append(type(sys.exc_info()[1]).__name__)

        def shutdown_request(self, request: Any) -> None:
            notes.append("shutdown")
            super().shutdown_request(request)

    def handle(_request: object, _address: object, _server: object) -> None:
        raise LookupError

    with Noting(ANYWHERE, handle) as server, serving(server, NEVER):
        assert ask(server, b"") == b""
        assert ask(server, b"") == b""
    assert notes == ["verify", "shutdown", "verify", "LookupError", "shutdown"]


def test_a_handler_that_holds_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported, with its name: after `slow` seconds, which may be set while others are in flight."""

    def holds(request: Any, _address: object, _server: object) -> None:
        while said := request.recv(10):
            request.sendall(said)

    with ours.SelectorTCPServer(ANYWHERE, holds) as server:
        assert server.slow == SelectorStrategy().slow
        with serving(server, NEVER), connect(server) as before:
            before.sendall(b"1")
            assert before.recv(1) == b"1"
            server.slow = 1e-9
            with connect(server) as after:
                after.sendall(b"1")
                assert after.recv(1) == b"1"
            before.sendall(b"2")  # in flight since before the change: as it began
            assert before.recv(1) == b"2"
    assert {record.name for record in caplog.records} == {"sockserve"}
    assert "holds held all others for" in caplog.text


@pytest.mark.parametrize(("number", "tries"), [(errno.EMFILE, 1), (errno.ECONNABORTED, 17)])
def test_accept_errors_do_not_spin(number: int, tries: int) -> None:
    """For want of descriptors it looks away, and tries again; a client that has gone is nothing, once."""
    failed = threading.Semaphore(0)
    count = 0

    class Fails(ours.SelectorTCPServer):
        def get_request(self) -> Any:
            nonlocal count
            count += 1
            if count <= tries:
                failed.release()
                raise OSError(number, os.strerror(number))
            return super().get_request()

    with Fails(ANYWHERE, upper(ours)) as server, serving(server, NEVER):
        with connect(server) as client:
            for _ in range(tries):
                assert failed.acquire(timeout=FAILSAFE)
            client.sendall(b"ping\n")
            assert client.recv(10) == b"PING\n"
    assert count == tries + 1


def test_a_wrong_option() -> None:
    """It is an error of who serves, and names the option."""
    with on_the_table(ours.TCPServer, slow=0)(ANYWHERE, upper(ours)) as server:
        with pytest.raises(sockserve.OptionError, match="slow must be seconds, a finite number above 0, not 0"):
            server.serve_forever(NEVER)


# Strategies of one's own whose requests live in the loop.


@attrs.frozen(kw_only=True)
class OneByOne:
    """Runs one request at a time, later; is full meanwhile."""

    def start(self, loop: Loop, core: Core, /) -> "OneByOneRunner":
        return OneByOneRunner(loop)


@attrs.define(eq=False)
class OneByOneRunner:
    loop: Loop
    job: Job | None = None
    left: int = 0

    @property
    def full(self) -> bool:
        return self.job is not None

    def submit(self, job: Job, /) -> None:
        assert self.job is None
        self.job = job
        self.loop.call_soon(self.run)

    def run(self) -> None:
        job, self.job = self.job, None
        if job is not None:
            job.run()
            self.loop.resume()

    def leave(self) -> None:
        self.left += 1
        self.run()

    def move(self, loop: Loop, /) -> None:
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        assert self.left


@pytest.mark.parametrize(
    "make",
    [
        lambda: ours.mixin_for(OneByOne()),
        lambda: ours.mixin_for(SelectorStrategy(slow=5)),
    ],
    ids=["own", "table"],
)
@BASES
def test_a_mixin_from_a_strategy(make: Callable[[], Any], base: Any) -> None:
    """The loop is theirs too; a full one accepts nothing."""
    with type("Made", (make(), base), {})(ANYWHERE, upper(ours)) as server, serving(server, interval(base)):
        assert [ask(server) for _ in range(5)] == [b"PING\n"] * 5
        peers = [connect(server) for _ in range(5)]
        for peer in peers:
            peer.sendall(b"ping\n")
            peer.shutdown(socket.SHUT_WR)
        for peer in peers:
            assert peer.recv(10) == b"PING\n"
            peer.close()


def test_greenlet_is_loaded_when_a_table_serves() -> None:
    """Not with the module: a program that only has its threads needs none of it."""
    import subprocess

    program = "import sys; from sockserve import socketserver; assert 'greenlet' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
