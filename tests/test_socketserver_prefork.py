"""Workers by inheritance: PreforkMixIn over this module's servers and the standard library's."""

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefork_kit import Broken, ask, insist
from recorder import FAILSAFE
from sockserve import OptionError, SelectorStrategy, ThreadStrategy, WorkerError, socketserver
from sockserve.abc import Strategy

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

# Imported by a name of its own, which is generated: type checkers of other platforms do not see it.
Prefork: Any = socketserver


class EchoPid(socketserver.StreamRequestHandler):
    """Puts the worker's process before each line."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"%d %s" % (os.getpid(), line))


class TellPid(socketserver.DatagramRequestHandler):
    """Answers with the worker's process."""

    def handle(self) -> None:
        self.wfile.write(b"%d" % os.getpid())


class Two(Prefork.PreforkTCPServer):  # type: ignore[misc]  # see Prefork
    """Two workers."""

    workers = 2


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Serve in a background thread."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(FAILSAFE)
        assert not thread.is_alive()


@contextlib.contextmanager
def client_of(server: Any) -> Iterator[socket.socket]:
    """A connection, whose end is sent: workers have copies of it."""
    with socket.socket(server.address_family) as sock:
        sock.settimeout(FAILSAFE)
        sock.connect(server.server_address)
        yield sock
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("name", ["PreforkTCPServer", "PreforkUnixStreamServer"])
def test_connections_are_answered_by_workers(name: str, folder: Path) -> None:
    """By both of them, of which none is this process."""
    address = ("127.0.0.1", 0) if "TCP" in name else str(folder / "s")
    server = getattr(Prefork, name)(address, EchoPid)
    server.workers = 2
    with serving(server):
        pids: set[int] = set()
        while len(pids) < 2:
            with client_of(server) as one, client_of(server) as other:
                pids |= {ask(one, b"x\n")[0], ask(other, b"x\n")[0]}
        assert os.getpid() not in pids


@pytest.mark.parametrize("name", ["PreforkUDPServer", "PreforkUnixDatagramServer"])
def test_datagrams_are_answered_by_workers(name: str, folder: Path) -> None:
    """Each by one of them."""
    inet = "UDP" in name
    server = getattr(Prefork, name)(("127.0.0.1", 0) if inet else str(folder / "s"), TellPid)
    server.workers = 2
    with serving(server), socket.socket(server.address_family, socket.SOCK_DGRAM) as client:
        if not inet:
            client.bind(str(folder / "c"))
        client.settimeout(FAILSAFE)
        for _ in range(4):
            client.sendto(b"who?", server.server_address)
            assert int(client.recv(100)) != os.getpid()


@pytest.mark.parametrize("inner", [SelectorStrategy(), ThreadStrategy()], ids=lambda it: type(it).__name__)
def test_the_inner_strategy_runs_the_requests(inner: Strategy) -> None:
    """Several connections at a time in one worker."""
    server = Prefork.PreforkTCPServer(("127.0.0.1", 0), EchoPid)
    server.workers, server.inner = 1, inner
    with serving(server), client_of(server) as one, client_of(server) as other:
        assert ask(one, b"x\n") == (ask(other, b"x\n")[0], b"x\n")


def test_a_worker_that_is_killed_is_replaced() -> None:
    """The next client is served by another."""
    with serving(Two(("127.0.0.1", 0), EchoPid)) as server:
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
            os.kill(pid, signal.SIGKILL)
            assert client.recv(1) == b""
        for _ in range(4):
            with client_of(server) as client:
                assert ask(client, b"x\n")[0] != pid


def test_a_worker_that_has_served_enough_is_replaced() -> None:
    """By one that goes on."""
    server = Prefork.PreforkTCPServer(("127.0.0.1", 0), EchoPid)
    server.workers, server.max_requests = 1, 2
    with serving(server):
        pids: list[int] = []
        while len(set(pids)) < 3:
            with client_of(server) as client:
                pids.append(ask(client, b"x\n")[0])
        assert min(pids.count(pid) for pid in pids[:-1]) >= 2


def test_a_handler_stops_the_whole_server() -> None:
    """It asks the process that supervises, and does not wait."""

    class Stop(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.server.shutdown()
            self.request.sendall(b"asked")

    with Two(("127.0.0.1", 0), Stop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with client_of(server) as client:
            assert client.recv(100) == b"asked"
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_the_private_flag_is_looked_at() -> None:
    """Set by hand, as programs do, it ends the loop within the interval."""
    with Two(("127.0.0.1", 0), EchoPid) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with client_of(server) as client:
            ask(client, b"x\n")
        server._BaseServer__shutdown_request = True
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_the_close_waits_for_workers_no_longer_than_the_grace() -> None:
    """A client that keeps its connection does not hold it."""
    with Two(("127.0.0.1", 0), EchoPid) as server:
        server.grace = 0.01
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with client_of(server) as client:
            ask(client, b"x\n")
            server.shutdown()
            thread.join(FAILSAFE)
            assert ask(client, b"still\n")[1] == b"still\n"
            server.server_close()
            assert client.recv(1) == b""


def test_serving_again() -> None:
    """By other workers, when those of the time before have ended."""
    with Two(("127.0.0.1", 0), EchoPid) as server:
        for _ in range(2):
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with client_of(server) as client:
                assert ask(client, b"x\n")[1] == b"x\n"
            server.shutdown()
            thread.join(FAILSAFE)
            assert not thread.is_alive()


def test_signals_of_the_supervising_process() -> None:
    """SIGHUP replaces the workers, SIGTERM stops, where the program handles neither."""
    with Two(("127.0.0.1", 0), EchoPid) as server:

        def clients() -> None:
            with client_of(server) as client:
                first, _ = ask(client, b"x\n")
            os.kill(os.getpid(), signal.SIGHUP)
            pids = {first}
            while first in pids:
                pids = set()
                for _ in range(4):
                    with client_of(server) as client:
                        pids.add(ask(client, b"x\n")[0])
            os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=clients)
        thread.start()
        server.serve_forever()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        thread.join(FAILSAFE)
        assert not thread.is_alive()


def test_signals_of_a_worker() -> None:
    """SIGTERM lets it end after what it has in hand, SIGQUIT at once; another takes its place."""
    with serving(Two(("127.0.0.1", 0), EchoPid)) as server:
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            assert ask(client, b"still\n") == (pid, b"still\n")
        with client_of(server) as client:
            pid, _ = ask(client, b"x\n")
            insist(pid, signal.SIGQUIT, client)
            assert client.recv(1) == b""
        with client_of(server) as client:
            assert ask(client, b"x\n")[1] == b"x\n"


def test_over_the_standard_librarys_http_server() -> None:
    """Kept connections, parked in two tables."""

    class Pid(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b"%d" % os.getpid()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Nothing."""

    class Server(Prefork.PreforkMixIn, http.server.HTTPServer):  # type: ignore[misc]  # see Prefork
        workers = 2
        inner = SelectorStrategy()

    with serving(Server(("127.0.0.1", 0), Pid)) as server:
        host, port = server.server_address
        for _ in range(4):
            with urllib.request.urlopen(f"http://{host}:{port}/", timeout=FAILSAFE) as reply:
                assert int(reply.read()) != os.getpid()


def test_handle_request_answers_here() -> None:
    """Without a worker, by the inner strategy."""
    server = Prefork.PreforkTCPServer(("127.0.0.1", 0), EchoPid)
    with server, client_of(server) as client:
        client.sendall(b"x\n")
        client.shutdown(socket.SHUT_WR)
        server.handle_request()
        assert client.recv(100) == b"%d x\n" % os.getpid()


def test_a_socket_for_each_worker_is_not_to_be_had() -> None:
    """The server has bound one: said when it is to serve."""
    with Two(("127.0.0.1", 0), EchoPid) as server:
        server.reuse_port = True
        with pytest.raises(OptionError, match="leave it False"):
            server.serve_forever()


def test_workers_that_cannot_start_end_the_serving(caplog: pytest.LogCaptureFixture) -> None:
    """With what the last of them said."""
    with Two(("127.0.0.1", 0), EchoPid) as server:
        server.workers, server.inner = 5, Broken()
        with pytest.raises(WorkerError, match="on purpose"):
            server.serve_forever()
    assert caplog.text.count("did not start") == 5


_ORPHANS = """
from sockserve import socketserver
import os
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d %s" % (os.getpid(), line))
class Server(socketserver.PreforkTCPServer):
    workers, grace, allow_reuse_address = 1, 0.01, True
with Server(("127.0.0.1", 0), Echo) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


def test_workers_leave_when_their_parent_is_killed() -> None:
    """The address is free at once, and who keeps a connection is cut off at the end of the grace."""
    with subprocess.Popen([sys.executable, "-c", _ORPHANS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=FAILSAFE) as client:
            ask(client, b"x\n")
            process.kill()
            assert client.recv(1) == b""
        until = time.monotonic() + FAILSAFE
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_server(("127.0.0.1", port)).close()
                break
        else:
            raise TimeoutError("the address is still in use")
