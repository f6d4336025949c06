"""What has to type-check. Run by no one: read by mypy and pyright (test_typing.py)."""

import functools
import http.server
import ipaddress
import pathlib
import socket
import socketserver
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, assert_type

from sockserve import (
    Address,
    AdoptedTransport,
    BaseRequestHandler,
    Chunks,
    DatagramRequestHandler,
    Deadlines,
    Delimited,
    Event,
    ExecutorStrategy,
    ForkStrategy,
    InetAddress,
    LengthPrefixed,
    Limits,
    Lines,
    Lock,
    MessageHandler,
    Observer,
    ProxyProtocolTransport,
    Queue,
    RequestAborted,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    TlsTransport,
    UdpTransport,
    UnixAddress,
    UnixDatagramTransport,
    UnixStreamTransport,
    abc,
    alongside,
    cooperative,
    events,
    log_events,
    proxied,
    serve,
    sleep,
    start_tls,
)
from sockserve import socketserver as shim
from sockserve.messages import MessageClient

ADDRESS = ("127.0.0.1", 0)
Packet = tuple[bytes, socket.socket]


class Upper(StreamRequestHandler):
    """As in every tutorial: no parameter."""

    def handle(self) -> None:
        assert_type(self.request, socket.socket)
        for line in self.rfile:
            assert_type(line, bytes)
            self.wfile.write(line.upper())


class InetUpper(StreamRequestHandler[InetAddress]):
    """Says which addresses it expects, and knows them."""

    timeout: ClassVar[float | None] = 5

    def handle(self) -> None:
        assert_type(self.client_address, InetAddress)
        assert_type(self.server, Server[socket.socket, InetAddress])
        assert_type(self.server.address, InetAddress)
        assert_type(self.client_address.host, str)
        self.server.request_stop()


class UnixOnly(StreamRequestHandler[UnixAddress]):
    def handle(self) -> None:
        assert_type(self.client_address.uid, int | None)


class Packets(DatagramRequestHandler):
    def handle(self) -> None:
        assert_type(self.packet, bytes)
        assert_type(self.request, Packet)
        assert_type(self.socket, socket.socket)
        self.wfile.write(self.packet)


class Anything(BaseRequestHandler):
    """Both kinds: the request is not narrowed."""

    def handle(self) -> None:
        self.request.sendall(b"as documented")


class Raw(BaseRequestHandler[socket.socket, InetAddress]):
    def handle(self) -> None:
        assert_type(self.request, socket.socket)


def plain(request: socket.socket, address: InetAddress, server: Server[socket.socket, InetAddress]) -> None: ...
def either(request: socket.socket | Packet, address: object, server: object) -> int:
    return 0


def allowed(request: socket.socket, address: InetAddress) -> bool:
    return True


def tell(event: events.Event) -> None: ...


tcp = Server(TcpTransport(ADDRESS), ThreadStrategy(daemon=True), Upper)
assert_type(tcp, Server[socket.socket, InetAddress])
assert_type(tcp.address, InetAddress)
udp = Server(UdpTransport(ADDRESS), SyncStrategy(), Packets)
assert_type(udp, Server[Packet, InetAddress])
unix = Server(
    UnixStreamTransport("/tmp/s", mode=0o600, owner="root", group=0), ForkStrategy(max_children=5), Upper
)
assert_type(unix, Server[socket.socket, UnixAddress])
Server(UnixDatagramTransport(pathlib.Path("/tmp/s")), ThreadPoolStrategy(workers=4), Packets)
Server(AdoptedTransport(3), SyncStrategy(), Upper)
Server(AdoptedTransport(socket.socket()), SyncStrategy(), Packets)

behind = ProxyProtocolTransport(TcpTransport(ADDRESS), ["10.0.0.0/8"])
assert_type(Server(behind, ThreadStrategy(), InetUpper), Server[socket.socket, InetAddress])
local = ProxyProtocolTransport(UnixStreamTransport("s"), ("unix:",), untrusted="serve")
assert_type(Server(local, ThreadStrategy(), Upper), Server[socket.socket, UnixAddress | InetAddress])
Server(ProxyProtocolTransport(AdoptedTransport(3), [ipaddress.ip_network("::/0")]), ThreadStrategy(), Upper)
said = proxied()
assert_type(said.client if said else None, Address | None)

Server(TcpTransport(ADDRESS), SyncStrategy(), InetUpper)
Server(UnixStreamTransport("s"), SyncStrategy(), UnixOnly)
Server(TcpTransport(ADDRESS), SyncStrategy(), Anything)
Server(UdpTransport(ADDRESS), SyncStrategy(), Anything)
Server(TcpTransport(ADDRESS), SyncStrategy(), Raw)
Server(TcpTransport(ADDRESS), SyncStrategy(), plain)
Server(TcpTransport(ADDRESS), SyncStrategy(), either)
Server(UdpTransport(ADDRESS), SyncStrategy(), either)
Server(TcpTransport(ADDRESS), SyncStrategy(), lambda request, address, server: None)
Server(TcpTransport(ADDRESS), SyncStrategy(), http.server.SimpleHTTPRequestHandler)
Server(
    TcpTransport(ADDRESS), SyncStrategy(), functools.partial(http.server.SimpleHTTPRequestHandler, directory="/")
)
Server(TcpTransport(ADDRESS), SyncStrategy(), socketserver.StreamRequestHandler)
Server(UdpTransport(ADDRESS), SyncStrategy(), socketserver.DatagramRequestHandler)
Server(
    TcpTransport(ADDRESS),
    SyncStrategy(),
    plain,
    verify=allowed,
    observer=tell,
    timeout=5,
    service_actions=lambda: None,
)
Server(TcpTransport(ADDRESS), SyncStrategy(), plain, observer=log_events)

with tcp as entered:
    assert_type(entered, Server[socket.socket, InetAddress])
with tcp.running(grace=1) as running:
    assert_type(running, Server[socket.socket, InetAddress])
serve(tcp, udp, unix)


# TLS.

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


class Secured(BaseRequestHandler[ssl.SSLSocket, InetAddress]):
    def handle(self) -> None:
        assert_type(self.request, ssl.SSLSocket)
        assert_type(self.request.version(), str | None)
        assert_type(self.client_address, InetAddress)


class Files(StreamRequestHandler[InetAddress]):
    """Files are the same; what TLS knows is at hand where the type is told."""

    def handle(self) -> None:
        assert isinstance(self.request, ssl.SSLSocket)
        assert_type(self.request.cipher(), tuple[str, str, int] | None)


class Starting(StreamRequestHandler[InetAddress]):
    def handle(self) -> None:
        assert_type(self.start_tls(context), ssl.SSLSocket)


def secured(request: ssl.SSLSocket, address: InetAddress, server: object) -> None:
    assert_type(request.getpeercert(True), bytes | None)


def starting(request: socket.socket, address: InetAddress, server: object) -> None:
    assert_type(start_tls(request, context), ssl.SSLSocket)


tls = Server(TlsTransport(TcpTransport(ADDRESS), context), ThreadStrategy(), Secured)
assert_type(tls, Server[ssl.SSLSocket, InetAddress])
assert_type(tls.address, InetAddress)
assert_type(tls.deadlines, Deadlines)
assert_type(tls.limits, Limits)
Server(TcpTransport(ADDRESS), SyncStrategy(), Files, limits=Limits(connections=10, per_peer=1, overload=b"busy"))
Limits(overload="close")
assert_type(TlsTransport(UnixStreamTransport("s"), context), TlsTransport[UnixAddress])
assert_type(TlsTransport(behind, context), TlsTransport[InetAddress])
Server(TlsTransport(TcpTransport(ADDRESS), context), SyncStrategy(), Files, deadlines=Deadlines(handshake=None))
Server(TlsTransport(TcpTransport(ADDRESS), lambda: context), SyncStrategy(), Upper)
Server(TlsTransport(TcpTransport(ADDRESS), context), SyncStrategy(), plain)
Server(TlsTransport(TcpTransport(ADDRESS), context), SyncStrategy(), secured)
Server(TlsTransport(AdoptedTransport(3), context), SyncStrategy(), Secured)
Server(TcpTransport(ADDRESS), SyncStrategy(), Starting)
Server(TcpTransport(ADDRESS), SyncStrategy(), starting)


transports: list[abc.Transport[Any, Any]] = [TcpTransport(ADDRESS), UnixStreamTransport("s"), AdoptedTransport(3)]
strategies: list[abc.Strategy] = [
    SyncStrategy(),
    ThreadStrategy(),
    ThreadPoolStrategy(),
    ForkStrategy(),
    SelectorStrategy(slow=0.5),
    ExecutorStrategy(ThreadPoolExecutor(), outstanding=8),
]
covariant: abc.Transport[object, object] = TcpTransport(ADDRESS)
listener: abc.Listener[socket.socket, InetAddress] = TcpTransport(ADDRESS).listen()
arrival: abc.Arrival[Packet, InetAddress] = UdpTransport(ADDRESS).listen().accept()
observer: Observer = log_events


def _loop_and_core(server: Server[socket.socket, InetAddress]) -> tuple[abc.Loop, abc.Core, abc.Runner]:
    loop: abc.Loop = server._life.loop
    core: abc.Core = server._core
    return loop, core, ThreadStrategy().start(loop, core)


# Handlers of messages: one class for connections and datagrams.


class Echo(MessageHandler):
    framing = Lines()

    def respond(self, message: bytes) -> bytes:
        return message


class Lazy(MessageHandler[InetAddress]):
    framing: ClassVar[abc.Framing | None] = LengthPrefixed("!H", max_length=100)

    def __init__(
        self,
        request: socket.socket | Packet,
        client_address: InetAddress,
        server: Server[Any, InetAddress],
        *,
        word: bytes = b"",
    ) -> None:
        super().__init__(request, client_address, server)
        self.word = word

    def connected(self) -> None:
        assert_type(self.client_address, InetAddress)
        assert_type(self.server, Server[Any, InetAddress])
        assert_type(self.send(b"hello"), bool)
        self.close()

    def respond(self, message: bytes) -> Iterator[bytes] | None:
        return iter([message, self.word])


class Any3(MessageHandler):
    framing = Delimited(b"\0", max_length=5)

    def respond(self, message: bytes) -> abc.Reply:
        return [message, message] if message else None


Server(TcpTransport(ADDRESS), SyncStrategy(), Echo)
Server(UnixStreamTransport("s"), SelectorStrategy(), Echo)
Server(UdpTransport(ADDRESS), ThreadStrategy(), Echo)
Server(UnixDatagramTransport("s"), ForkStrategy(), Echo)
Server(TcpTransport(ADDRESS), SyncStrategy(), Lazy)
Server(UdpTransport(ADDRESS), SyncStrategy(), functools.partial(Lazy, word=b"x"))
Server(AdoptedTransport(3), SyncStrategy(), Any3)
assert_type(Echo.test_client().send(b"x\n"), bytes)
assert_type(MessageClient(functools.partial(Lazy, word=b"x")).end(), bytes)
framings: list[abc.Framing] = [Lines(), Delimited(b"-"), LengthPrefixed(), Chunks()]


class Words:
    """A framing of one's own."""

    def decoder(self) -> "WordDecoder":
        return WordDecoder()

    def encode(self, message: bytes, /) -> bytes:
        return message + b" "


class WordDecoder:
    held = b""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        *words, self.held = (self.held + data).split(b" ")
        yield from words

    def eof(self) -> tuple[bytes, ...]:
        return (self.held,)


class Upside(MessageHandler):
    framing = Words()

    def respond(self, message: bytes) -> bytes:
        return message[::-1]


def _drive(job: abc.Job) -> None:
    conversation = job.conversation()
    if conversation is not None:
        conversation.connect(lambda data: True)
        assert_type(conversation.receive(b"x"), bytes)
        assert_type(conversation.reply(conversation.respond(b"x")), bytes)
        assert_type(job.conclude(None), bool)


# What handlers wait with: as the things of the standard library that they stand for.


def relay(source: socket.socket, said: bytes) -> None: ...


class Proxy(StreamRequestHandler[InetAddress]):
    lock = Lock()
    stopped = Event()
    waiting: Queue[bytes] = Queue(10)

    def handle(self) -> None:
        assert_type(cooperative(socket.socket()), socket.socket)
        with alongside(relay, self.request, b"said"):
            pass
        with self.lock as held:
            assert_type(held, bool)
        assert_type(self.lock.acquire(timeout=0.5), bool)
        assert_type(self.stopped.wait(1), bool)
        assert_type(self.waiting.get(timeout=1), bytes)
        try:
            sleep(0.5)
        except RequestAborted as error:
            gone: ConnectionAbortedError = error
            raise gone from None


Server(TcpTransport(ADDRESS), SelectorStrategy(), Proxy)

# The inheritable servers: each name with its real type, as the standard library's annotations have it.


class ByLine(shim.StreamRequestHandler):
    timeout: ClassVar[float | None] = 5

    def handle(self) -> None:
        for line in self.rfile:
            assert_type(line, bytes)
            self.wfile.write(line)


class Datagrams(shim.DatagramRequestHandler):
    def handle(self) -> None:
        assert_type(self.packet, bytes)
        assert_type(self.socket, socket.socket)


class Mine(shim.ThreadingMixIn, shim.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    timeout: float | None = 5
    extra: int = 3

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        sock.settimeout(5)
        return sock, address

    def process_request(self, request: socket.socket | Packet, client_address: Any) -> None:
        super().process_request(request, client_address)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        super().serve_forever(poll_interval)

    def server_close(self) -> None:
        super().server_close()


with Mine(ADDRESS, ByLine) as mine:
    assert_type(mine, Mine)
    assert_type(mine.extra, int)
    assert_type(mine.socket, socket.socket)
    assert_type(mine.fileno(), int)
    mine.serve_forever()

shim.ThreadingTCPServer(ADDRESS, Echo)
assert_type(shim.TCPServer(("", 0), http.server.SimpleHTTPRequestHandler), shim.TCPServer)
shim.TCPServer(ADDRESS, functools.partial(http.server.SimpleHTTPRequestHandler, directory="/tmp"))
shim.TCPServer(ADDRESS, lambda request, address, server: None, bind_and_activate=False)


class PooledHttp(shim.ThreadPoolMixIn, http.server.HTTPServer):
    workers = 5


class OnTheTable(shim.SelectorMixIn, http.server.HTTPServer):
    slow = 0.5
    request_queue_size = 1000


class Mixed(shim.ThreadingMixIn, socketserver.UDPServer): ...


class MixedTheOtherWay(socketserver.ThreadingMixIn, shim.TCPServer): ...


class Bounded(shim.StrategyMixIn, strategy=ThreadPoolStrategy(workers=3), names={"daemon": "daemon_threads"}):
    workers: int


class BoundedServer(Bounded, shim.TCPServer):
    workers = 7


assert_type(shim.mixin_for(SyncStrategy()), type[shim.StrategyMixIn])
assert_type(BoundedServer(ADDRESS, ByLine).workers, int)
assert_type(shim.ThreadingTCPServer(ADDRESS, ByLine).daemon_threads, bool)
assert_type(shim.ThreadingUDPServer(ADDRESS, Datagrams).max_packet_size, int)
assert_type(shim.ThreadPoolTCPServer(ADDRESS, ByLine).workers, int)
assert_type(shim.ThreadPoolUDPServer(ADDRESS, Datagrams).daemon_threads, bool)
assert_type(shim.SelectorTCPServer(ADDRESS, ByLine).slow, float)
assert_type(shim.SelectorUDPServer(ADDRESS, Datagrams).shutdown(), None)
assert_type(shim.UDPServer(ADDRESS, Datagrams).get_request(), tuple[Packet, Any])

if sys.platform != "win32":
    assert_type(shim.UnixStreamServer("/tmp/s", ByLine).address_family, int)
    assert_type(shim.UnixDatagramServer(b"/tmp/s", Datagrams).get_request(), tuple[Packet, Any])
    assert_type(shim.ThreadingUnixStreamServer("/tmp/s", ByLine).block_on_close, bool)
    assert_type(shim.ThreadingUnixDatagramServer("/tmp/s", Datagrams).daemon_threads, bool)
    assert_type(shim.ThreadPoolUnixStreamServer("/tmp/s", ByLine).workers, int)
    assert_type(shim.ThreadPoolUnixDatagramServer("/tmp/s", Datagrams).workers, int)
    assert_type(shim.SelectorUnixStreamServer("/tmp/s", ByLine).slow, float)
    assert_type(shim.SelectorUnixDatagramServer("/tmp/s", Datagrams).slow, float)
    assert_type(shim.ForkingTCPServer(ADDRESS, ByLine).active_children, set[int] | None)
    assert_type(shim.ForkingUDPServer(ADDRESS, Datagrams).max_children, int)
    assert_type(shim.ForkingUnixStreamServer("/tmp/s", ByLine).collect_children(), None)
    assert_type(shim.ForkingUnixDatagramServer("/tmp/s", Datagrams).timeout, float | None)
