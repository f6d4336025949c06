"""The axes of the matrix: transports with a client for each, strategies, and echo handlers of every form."""

import contextlib
import functools
import itertools
import multiprocessing
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

import proxy_kit
from recorder import FAILSAFE
from sockserve import (
    AdoptedTransport,
    BaseRequestHandler,
    DatagramRequestHandler,
    ExecutorStrategy,
    ForkStrategy,
    InetAddress,
    Lines,
    MessageHandler,
    PreforkStrategy,
    ProxyProtocolTransport,
    SelectorStrategy,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve.abc import Strategy, Transport
from tls_kit import relays, server_context

AF_UNIX: int = getattr(socket, "AF_UNIX", -1)  # Windows has none
_names = itertools.count()


@attrs.frozen
class Kind:
    """One transport: how to make it, and how a client speaks to it."""

    name: str
    stream: bool
    make: Callable[[Path, contextlib.ExitStack], Transport[Any, Any]]
    tls: bool = False
    #: What a client says first, before it is one.
    preface: bytes = b""

    @contextlib.contextmanager
    def transport(self, folder: Path) -> Iterator[Transport[Any, Any]]:
        """Make the transport; what it needs is released at the end of the block."""
        with contextlib.ExitStack() as stack:
            yield self.make(folder, stack)

    def client(self, address: Any, folder: Path) -> socket.socket:
        """Return a socket that is connected to the server at *address*.

        A forked handler has a copy of it, since the tests' clients live in the server's process: so the end of the
        connection is sent, not left to the last close.
        """
        family, target = self.target(address)
        sock = _Client(AF_UNIX if self.tls else family, socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM)
        if family == AF_UNIX and not self.stream:
            sock.bind(str(folder / f"client{next(_names)}"))
        sock.settimeout(FAILSAFE)
        if self.tls:
            relays[0].connect(sock, family, target)
        else:
            sock.connect(target)
        if self.preface:
            sock.sendall(self.preface)
        return sock

    def target(self, address: Any) -> tuple[int, Any]:
        """Return the family, and where a client connects to for a server at *address*."""
        if not isinstance(address, InetAddress):
            return int(AF_UNIX), str(address)
        host = {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(address.host, address.host)
        return int(socket.AF_INET6 if ":" in host else socket.AF_INET), (host, address.port)

    def ask(self, address: Any, folder: Path, *messages: bytes) -> list[bytes]:
        """Send messages one after the other over one socket; return what came back for each."""
        with self.client(address, folder) as sock:
            return [self._exchange(sock, message) for message in messages]

    def _exchange(self, sock: socket.socket, message: bytes) -> bytes:
        sock.sendall(message)
        return receive(sock, len(message)) if self.stream else sock.recv(65536)


class _Client(socket.socket):
    def close(self) -> None:
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was quicker
        super().close()


def give_way() -> None:
    """Let other threads go on, of this process and of others, whose doing a test waits for in a loop."""
    time.sleep(0)


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so: the loop is in another thread, and about to get there."""
    patience = threading.Event()
    for _ in range(int(FAILSAFE / 0.001)):
        if condition():
            return
        patience.wait(0.001)
    raise AssertionError("it has not become so")


def receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly *size* bytes, or what there is before the end."""
    found = b""
    while len(found) < size and (piece := sock.recv(size - len(found))):
        found += piece
    return found


def _adopted(bound: Callable[[Path], socket.socket]) -> Callable[[Path, contextlib.ExitStack], Any]:
    def make(folder: Path, stack: contextlib.ExitStack) -> AdoptedTransport:
        return AdoptedTransport(stack.enter_context(bound(folder)))

    return make


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def _path(folder: Path) -> str:
    return str(folder / f"server{next(_names)}")


def _abstract() -> str:
    return f"\0sockserve-test-{os.getpid()}-{next(_names)}"


def _tls(inner: Transport[socket.socket, Any]) -> TlsTransport[Any]:
    return TlsTransport(inner, server_context())


TRANSPORTS = (
    Kind("tcp", True, lambda folder, stack: TcpTransport(("127.0.0.1", 0))),
    Kind("tcp6", True, lambda folder, stack: TcpTransport(("::1", 0))),
    Kind("tcp-any", True, lambda folder, stack: TcpTransport(("", 0))),
    Kind("unix-stream", True, lambda folder, stack: UnixStreamTransport(_path(folder))),
    Kind("unix-abstract", True, lambda folder, stack: UnixStreamTransport(_abstract())),
    Kind("adopted-tcp", True, _adopted(lambda _: _bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)))),
    Kind("tls-tcp", True, lambda folder, stack: _tls(TcpTransport(("127.0.0.1", 0))), tls=True),
    Kind("tls-unix", True, lambda folder, stack: _tls(UnixStreamTransport(_path(folder))), tls=True),
    Kind("udp", False, lambda folder, stack: UdpTransport(("127.0.0.1", 0))),
    Kind("udp6", False, lambda folder, stack: UdpTransport(("::1", 0))),
    Kind("unix-datagram", False, lambda folder, stack: UnixDatagramTransport(_path(folder))),
    Kind(
        "adopted-unix-datagram",
        False,
        _adopted(lambda folder: _bound(AF_UNIX, socket.SOCK_DGRAM, _path(folder))),
    ),
)

#: Transports that only a few laws are run for, those that they could break: the rest is that of what they wrap.
WRAPPERS = (
    Kind(
        "proxy-tcp",
        True,
        lambda folder, stack: ProxyProtocolTransport(TcpTransport(("127.0.0.1", 0)), ["127.0.0.0/8"]),
        preface=proxy_kit.line(),
    ),
)

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "sync": SyncStrategy,
    "thread": ThreadStrategy,
    "thread-daemon": lambda: ThreadStrategy(daemon=True),
    "pool": lambda: ThreadPoolStrategy(workers=4),
    "fork": ForkStrategy,
    "selector": SelectorStrategy,
    "selector-level": SelectorStrategy,
}

#: Those that run another in processes of their own. What the others' tests have shown is not shown again: only the
#: laws that processes could break, over what they share in ways of its own.
SUPERVISED: dict[str, Callable[[], Strategy]] = {
    "prefork-sync": lambda: PreforkStrategy(workers=2),
    "prefork-selector": lambda: PreforkStrategy(SelectorStrategy(), workers=1),
    "prefork-thread": lambda: PreforkStrategy(ThreadStrategy(), workers=2),
}
#: The transports that they are tested with.
SHARED = ("tcp", "unix-stream", "udp", "unix-datagram")
#: Those that serve handlers of messages only. What they own is released at the end of the stack.
MESSAGE_STRATEGIES: dict[str, Callable[[contextlib.ExitStack], Strategy]] = {
    "executor-threads": lambda stack: ExecutorStrategy(stack.enter_context(ThreadPoolExecutor(4))),
    "executor-processes": lambda stack: ExecutorStrategy(
        stack.enter_context(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")))
    ),
}

#: Those that are run with the portable, level-triggered poller.
LEVEL = ("selector-level",)
#: Those whose requests live in the loop's thread, and end with it.
IN_LOOP = ("selector", "selector-level")


# Echo handlers: a connection gives back each line, a datagram is given back whole.


class EchoLines(StreamRequestHandler):
    """Through files."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class BufferedEchoLines(EchoLines):
    """With a buffer that is flushed for every line."""

    wbufsize = 4096

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)
            self.wfile.flush()


class EchoPacket(DatagramRequestHandler):
    """Through files."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


class EchoAnything(BaseRequestHandler):
    """Both kinds of request, by hand."""

    def handle(self) -> None:
        echo(self.request, self.client_address, self.server)


def echo(request: Any, client_address: Any, server: Any) -> None:
    """A plain function."""
    if isinstance(request, tuple):
        packet, sock = request
        sock.sendto(packet, client_address)
        return
    while data := request.recv(4096):
        request.sendall(data)


class StdlibEchoLines(socketserver.StreamRequestHandler):
    """A handler of the standard library."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class StdlibEchoPacket(socketserver.DatagramRequestHandler):
    """A handler of the standard library."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


class EchoMessages(MessageHandler):
    """Neither reads nor writes: one class for connections and datagrams."""

    framing = Lines()

    def respond(self, message: bytes) -> bytes:
        return message


class _Owner:
    def method(self, request: Any, client_address: Any, server: Any) -> None:
        echo(request, client_address, server)


ECHO: dict[bool, dict[str, Callable[[Any, Any, Any], object]]] = {
    True: {"class": EchoLines, "buffered": BufferedEchoLines, "stdlib": StdlibEchoLines},
    False: {"class": EchoPacket, "stdlib": StdlibEchoPacket},
}
for forms in ECHO.values():
    forms |= {
        "base": EchoAnything,
        "function": echo,
        "partial": functools.partial(forms["class"]),
        "method": _Owner().method,
        "messages": EchoMessages,
        "partial messages": functools.partial(EchoMessages),
    }
