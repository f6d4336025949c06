"""
What people complain of most about socketserver, tried on the standard library's and on sockserve.

``PYTHONPATH=tests python -m complaints`` prints one row for each: what happened there, and what happens here.
`test_complaints` holds us to the second column.
"""

import contextlib
import http.server
import io
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import attrs

import sockserve
from tls_kit import client_context, server_context

#: Seconds after which something is said never to happen.
PATIENCE = 3.0


@attrs.frozen
class Complaint:
    """
    One that is heard often.

    Args:
        words: What people say.
        unit: What the figures are.
        stdlib: Tries it there; a figure.
        ours: Tries it here.
        good: Whether a figure is what people wish for.
    """

    words: str
    unit: str
    stdlib: Callable[[], float]
    ours: Callable[[], float]
    good: Callable[[float], bool]


#: The complaints, in the order of how often they hurt.
COMPLAINTS: dict[str, Complaint] = {}

NEVER = float("inf")


class Echo(socketserver.StreamRequestHandler):
    """Answers lines; the same class is served by both."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


def connect(address: Any) -> socket.socket:
    """Connect, to wait for an answer no longer than is sensible."""
    return socket.create_connection(address[:2], timeout=PATIENCE)


def answered(client: socket.socket) -> float:
    """Say something; the seconds until the answer, or NEVER."""
    began = time.monotonic()
    try:
        client.sendall(b"x\n")
        return time.monotonic() - began if client.recv(2) else NEVER
    except OSError:
        return NEVER


@contextlib.contextmanager
def stdlib_server(base: type, handler: type = Echo, **attributes: Any) -> Iterator[Any]:
    """Serve by the standard library, in a thread that is given up where it does not end."""
    quiet = {"daemon_threads": True, "block_on_close": False, "handle_error": lambda *_: None}
    kind = type("Server", (base,), {**quiet, **attributes})
    server = kind(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stopping = threading.Thread(target=server.shutdown, daemon=True)
        stopping.start()
        thread.join(PATIENCE)
        stopping.join(PATIENCE)
        server.server_close()


def our_server(strategy: Any, handler: Any = Echo, **options: Any) -> contextlib.AbstractContextManager[Any]:
    """Serve by sockserve."""
    transport = options.pop("transport", sockserve.TcpTransport(("127.0.0.1", 0)))
    return sockserve.Server(transport, strategy, handler, observer=lambda _event: None, **options).running(grace=0)


def seconds(call: Callable[[], object]) -> float:
    """Call it in a thread that is given up; how long it took, or NEVER."""
    began = time.monotonic()
    ended: list[float] = []

    def run() -> None:
        call()
        ended.append(time.monotonic() - began)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return ended[0] if ended else NEVER


# 1. The handshake.


def _beside_a_silent_client(address: Any) -> float:
    with connect(address):  # and it says nothing
        began = time.monotonic()
        try:
            with client_context().wrap_socket(connect(address), server_hostname="server.example") as client:
                answered(client)
        except OSError:
            return NEVER
        return time.monotonic() - began


def _stdlib_tls() -> float:
    class Secured(socketserver.ThreadingTCPServer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.socket = server_context().wrap_socket(self.socket, server_side=True)  # as the tutorials have it

    server = Secured(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found = _beside_a_silent_client(server.server_address)
    thread_ends = threading.Thread(target=server.shutdown, daemon=True)
    thread_ends.start()
    thread.join(PATIENCE)
    server.server_close()
    return found


def _our_tls() -> float:
    transport = sockserve.TlsTransport(sockserve.TcpTransport(("127.0.0.1", 0)), server_context())
    with our_server(sockserve.ThreadStrategy(daemon=True), transport=transport) as server:
        return _beside_a_silent_client(server.address)


# 2. A stop by a handler.


def _stop_by_a_handler(
    serving: contextlib.AbstractContextManager[Any], took: list[float], done: threading.Event
) -> float:
    with serving as server, connect(getattr(server, "server_address", None) or server.address) as client:
        client.sendall(b"stop\n")
        return took[0] if done.wait(PATIENCE) else NEVER


def _stopping() -> tuple[type, list[float], threading.Event]:
    took: list[float] = []
    done = threading.Event()

    class Stop(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            began = time.monotonic()
            self.server.shutdown()
            took.append(time.monotonic() - began)
            done.set()

    return Stop, took, done


def _stdlib_stop_by_a_handler() -> float:
    handler, took, done = _stopping()
    return _stop_by_a_handler(stdlib_server(socketserver.TCPServer, handler), took, done)


def _our_stop_by_a_handler() -> float:
    handler, took, done = _stopping()
    return _stop_by_a_handler(our_server(sockserve.SyncStrategy(), handler), took, done)


# 3. How long a stop takes.


def _stdlib_stop() -> float:
    idle = threading.Event()

    class Server(socketserver.TCPServer):
        def service_actions(self) -> None:
            idle.set()

    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with connect(server.server_address) as client:
            answered(client)
            idle.clear()
        assert idle.wait(PATIENCE)  # the request is over, and the server polls again
        found = seconds(server.shutdown)
        thread.join()
        return found


def _our_stop() -> float:
    with our_server(sockserve.SyncStrategy()) as server:
        with connect(server.address) as client:
            answered(client)
        return seconds(server.shutdown)


# 4. Clients that keep their connection.


def _stdlib_kept() -> float:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with connect(server.server_address) as client:
        answered(client)
        server.shutdown()
        found = seconds(server.server_close)
    thread.join()
    return found


def _our_kept() -> float:
    with our_server(sockserve.ThreadStrategy()) as server, connect(server.address) as client:
        answered(client)

        def stop() -> None:
            server.shutdown(grace=0.5)
            server.server_close()

        return seconds(stop)


# 5. Address already in use.


def _rebound(make: Callable[[Any], Any], take: Callable[[Any], Any], address_of: Callable[[Any], Any]) -> float:
    """Let a server close a connection first, and bind again: 1 where that works."""
    with make(("127.0.0.1", 0)) as server:
        address = address_of(server)
        with connect(address) as client:
            take(server)
            while client.recv(100):
                pass  # the server's end comes first: it is the server's port that has to wait
    try:
        with make(address):
            return 1
    except OSError:
        return 0


class Hello(socketserver.BaseRequestHandler):
    """Says something, and closes."""

    def handle(self) -> None:
        self.request.sendall(b"hello")


def _stdlib_rebind() -> float:
    return _rebound(
        lambda address: socketserver.TCPServer(address, Hello),
        lambda server: server.handle_request(),
        lambda server: server.server_address,
    )


def _our_rebind() -> float:
    return _rebound(
        lambda address: sockserve.Server(sockserve.TcpTransport(address), sockserve.SyncStrategy(), Hello),
        lambda server: server.handle_request(),
        lambda server: server.address,
    )


# 6. Two servers on one port.


def _stdlib_second() -> float:
    """As CPython 3.14 had it for http.server, where allow_reuse_port is set: 1 where nobody says a word."""
    kind = type("Server", (socketserver.TCPServer,), {"allow_reuse_port": True})
    with kind(("127.0.0.1", 0), Hello) as first:
        try:
            with kind(first.server_address, Hello):
                return 1
        except OSError:
            return 0


def _our_second() -> float:
    with sockserve.Server(sockserve.TcpTransport(("127.0.0.1", 0)), sockserve.SyncStrategy(), Hello) as first:
        try:
            with sockserve.Server(sockserve.TcpTransport(first.address), sockserve.SyncStrategy(), Hello):
                return 1
        except sockserve.ListenError:
            return 0


# 7. A burst.


def _connected(address: Any) -> float:
    """How many of ten clients get through to a server that is busy with something else."""
    clients: list[socket.socket] = []
    try:
        for _ in range(10):
            client = socket.socket()
            clients.append(client)
            client.setblocking(False)
            client.connect_ex(address[:2])
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline and sum(map(_is_connected, clients)) < len(clients):
            pass
        return sum(map(_is_connected, clients))
    finally:
        for client in clients:
            client.close()


def _is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


def _stdlib_burst() -> float:
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        return _connected(server.server_address)


def _our_burst() -> float:
    with sockserve.Server(sockserve.TcpTransport(("127.0.0.1", 0)), sockserve.SyncStrategy(), Echo) as server:
        return _connected(server.address)


# 8. Threads.


def _threads_of(address: Any, clients: int) -> float:
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(connect(address)).sendall(b"x\n")
        with connect(address) as last:
            last.settimeout(0.3)  # where there is no room for it, it waits
            answered(last)
            return threading.active_count() - before


def _stdlib_threads() -> float:
    with stdlib_server(socketserver.ThreadingTCPServer) as server:
        return _threads_of(server.server_address, 100)


def _our_threads() -> float:
    with our_server(sockserve.ThreadPoolStrategy(workers=16)) as server:
        return _threads_of(server.address, 100)


# 9. Clients that go quiet in the middle.


def _still_held(address: Any) -> float:
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(50)]
        for client in clients:
            client.sendall(b"half a li")
            client.settimeout(0.6)
        with contextlib.suppress(OSError):
            clients[-1].recv(1)
            for client in clients:
                client.recv(1)
        deadline = time.monotonic() + 0.5
        while threading.active_count() > before and time.monotonic() < deadline:
            pass
        return threading.active_count() - before


def _stdlib_half_open() -> float:
    with stdlib_server(socketserver.ThreadingTCPServer) as server:
        return _still_held(server.server_address)


def _our_half_open() -> float:
    deadlines = sockserve.Deadlines(idle=0.1)
    with our_server(sockserve.ThreadStrategy(daemon=True), deadlines=deadlines) as server:
        return _still_held(server.address)


# 10. Names.


def _lookups(make: Callable[[], Any]) -> float:
    """How often starting a server asks for a host's name, which takes seconds where nobody answers."""
    with (
        mock.patch.object(socket, "getfqdn", side_effect=lambda name="": name) as full,
        mock.patch.object(socket, "gethostbyaddr", side_effect=OSError) as by_address,
        make(),
    ):
        return full.call_count + by_address.call_count


def _stdlib_names() -> float:
    return _lookups(lambda: http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler))


def _our_names() -> float:
    return _lookups(
        lambda: sockserve.Server(
            sockserve.TcpTransport(("127.0.0.1", 0)),
            sockserve.SyncStrategy(),
            http.server.SimpleHTTPRequestHandler,
        )
    )


# 11. Both versions of IP.


def _reached(address: Any) -> bool:
    try:
        with connect(address):
            return True
    except OSError:
        return False


def _stdlib_families() -> float:
    found = 0
    for address in (("127.0.0.1", 0), ("::1", 0)):
        try:
            with socketserver.TCPServer(address, Hello) as server:
                found += _reached(server.server_address)
        except OSError:
            pass
    return found


def _our_families() -> float:
    transport = sockserve.TcpTransport(("", 0))
    with sockserve.Server(transport, sockserve.SyncStrategy(), Hello) as server:
        port = server.address[1]
        return sum(_reached((host, port)) for host in ("127.0.0.1", "::1"))


# 12. Clients that go away.


def _lines_of(serving: contextlib.AbstractContextManager[Any], ended: threading.Event) -> float:
    """How many lines a server prints about a client that was reset."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        with serving as server:
            with connect(getattr(server, "server_address", None) or server.address) as client:
                client.sendall(b"x\n")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ended.wait(PATIENCE)
        return len(text.getvalue().splitlines())


def _written_to() -> tuple[type, threading.Event]:
    ended = threading.Event()

    class Write(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                while True:
                    self.request.sendall(b"x" * 65536)
            finally:
                ended.set()

    return Write, ended


def _stdlib_reset() -> float:
    handler, ended = _written_to()
    loud = {"handle_error": socketserver.BaseServer.handle_error}
    return _lines_of(stdlib_server(socketserver.TCPServer, handler, **loud), ended)


def _our_reset() -> float:
    handler, ended = _written_to()
    transport = sockserve.TcpTransport(("127.0.0.1", 0))
    # With the observer that is there unless one says otherwise.
    return _lines_of(sockserve.Server(transport, sockserve.SyncStrategy(), handler).running(), ended)


def _at_all(figure: float) -> bool:
    """How soon is what the table says, and other tests; a busy machine is no defect."""
    return figure < PATIENCE


def _row(name: str, *fields: Any) -> None:
    COMPLAINTS[name] = Complaint(*fields)


_row(
    "silent tls",
    "One silent client freezes a TLS server",
    "s until another client's answer",
    _stdlib_tls,
    _our_tls,
    _at_all,
)
_row(
    "stop by a handler",
    "shutdown() in a handler deadlocks",
    "s",
    _stdlib_stop_by_a_handler,
    _our_stop_by_a_handler,
    _at_all,
)
_row("slow stop", "A stop takes up to half a second", "s", _stdlib_stop, _our_stop, _at_all)
_row(
    "kept connections",
    "Closing hangs on clients that keep their connection",
    "s, with half a second of grace",
    _stdlib_kept,
    _our_kept,
    _at_all,
)
_row("rebind", "Address already in use", "servers that start again at once", _stdlib_rebind, _our_rebind, bool)
_row(
    "shared port",
    "Two servers take one port, and nobody says a word",
    "second servers that start",
    _stdlib_second,
    _our_second,
    lambda figure: not figure,
)
_row(
    "burst",
    "A backlog of 5 drops bursts",
    "of 10 clients get through at once",
    _stdlib_burst,
    _our_burst,
    lambda figure: figure == 10,
)
_row(
    "threads",
    "Threads without a limit",
    "threads for 101 clients",
    _stdlib_threads,
    _our_threads,
    lambda figure: figure <= 16,
)
_row(
    "half-open",
    "No timeouts: clients that go quiet hold their threads",
    "of 50 threads held after the deadline",
    _stdlib_half_open,
    _our_half_open,
    lambda figure: figure == 0,
)
_row(
    "names",
    "HTTPServer looks its own name up when it binds",
    "lookups that can take seconds",
    _stdlib_names,
    _our_names,
    lambda figure: figure == 0,
)
_row(
    "families",
    "IPv6 needs hacks",
    "of 2 families reached",
    _stdlib_families,
    _our_families,
    lambda figure: figure == 2,
)
_row(
    "tracebacks",
    "Tracebacks for clients that just went away",
    "lines on stderr",
    _stdlib_reset,
    _our_reset,
    lambda figure: figure == 0,
)


def _shown(figure: float, unit: str) -> str:
    if figure == NEVER:
        return f"never (given up after {PATIENCE:.0f})"
    return f"{figure:.3f}" if unit.startswith("s") and unit[1:2] in {"", " ", ","} else f"{figure:.0f}"


def main() -> None:
    """Try all of them, and print a table."""
    print("| complaint | unit | socketserver | sockserve |\n|---|---|---|---|")
    for each in COMPLAINTS.values():
        row = (each.words, each.unit, _shown(each.stdlib(), each.unit), _shown(each.ours(), each.unit))
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
