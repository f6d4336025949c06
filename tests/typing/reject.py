"""What must not type-check: each marked line has exactly the errors named behind it (test_typing.py)."""

import socket
import ssl

from sockserve import (
    BaseRequestHandler,
    Chunks,
    DatagramRequestHandler,
    Deadlines,
    Delimited,
    InetAddress,
    LengthPrefixed,
    Limits,
    Lines,
    Lock,
    MessageHandler,
    ProxyProtocolTransport,
    Queue,
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
    UnixStreamTransport,
    alongside,
    cooperative,
    log_events,
    serve,
    sleep,
    start_tls,
)
from sockserve import socketserver as shim

ADDRESS = ("127.0.0.1", 0)


class Stream(StreamRequestHandler): ...


class InetStream(StreamRequestHandler[InetAddress]): ...


class Packets(DatagramRequestHandler): ...


def unix_only(request: socket.socket, address: UnixAddress, server: object) -> None: ...
def verify_unix(request: socket.socket, address: UnixAddress) -> bool:
    return True


def two(request: socket.socket, address: InetAddress) -> None: ...


tcp, sync = TcpTransport(ADDRESS), SyncStrategy()

Server(UdpTransport(ADDRESS), sync, Stream)  # E: arg-type
Server(tcp, sync, Packets)  # E: arg-type
Server(UnixStreamTransport("s"), sync, InetStream)  # E: arg-type
Server(tcp, sync, unix_only)  # E: arg-type
Server(tcp, sync, two)  # E: arg-type
Server(sync, tcp, Stream)  # E: arg-type  # E: arg-type
Server(tcp, Stream, sync)  # E: arg-type  # E: arg-type
Server(tcp, ThreadStrategy, Stream)  # E: arg-type
Server(tcp, sync)  # E: call-arg
Server(tcp, sync, Stream, log_events)  # E: call-arg  # E: arg-type
Server(tcp, sync, Stream, verify=verify_unix)  # E: arg-type
Server(tcp, sync, Stream, deadlines=None)  # E: arg-type
Server(tcp, sync, Stream, deadlines=10.0)  # E: arg-type
Server(tcp, sync, Stream, limits=100)  # E: arg-type
Limits(100)  # E: call-arg
Limits(connections="100")  # E: arg-type
Limits(overload="reset")  # E: arg-type
Limits().connections = 5  # E: misc
Deadlines(10.0)  # E: call-arg
Deadlines(handshake="10")  # E: arg-type
Deadlines(handshakes=10.0)  # E: call-arg
Server(tcp, sync, Stream, timeout="5")  # E: arg-type
Server(tcp, sync, Stream, observer=3)  # E: arg-type
ThreadStrategy(True)  # E: call-arg
ThreadStrategy(demon=True)  # E: call-arg
ThreadPoolStrategy(workers="4")  # E: arg-type
SelectorStrategy(0.1)  # E: call-arg
SelectorStrategy(slow="long")  # E: arg-type
cooperative(5)  # E: arg-type
alongside(5)  # E: arg-type
alongside(sleep, "long")  # E: arg-type
alongside(sleep)  # E: arg-type
sleep("long")  # E: arg-type
Lock(1)  # E: call-arg
Queue[bytes]().put("text")  # E: arg-type
ThreadStrategy().daemon = True  # E: misc
TcpTransport("127.0.0.1:80")  # E: arg-type
TcpTransport(("127.0.0.1", "80"))  # E: arg-type
TcpTransport(ADDRESS, 5)  # E: call-arg
UnixStreamTransport(3)  # E: arg-type
Server(tcp, sync, Stream).address.path  # E: attr-defined
serve(tcp)  # E: arg-type


class Wrong(StreamRequestHandler[InetAddress]):
    def handle(self) -> None:
        self.client_address.uid  # E: attr-defined
        self.wfile.write("text")  # E: arg-type


# TLS.

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


class Secured(BaseRequestHandler[ssl.SSLSocket, InetAddress]):
    def handle(self) -> None:
        self.request.getpeercerts()  # E: attr-defined


def packets(request: tuple[bytes, socket.socket], address: InetAddress, server: object) -> None: ...


Server(tcp, sync, Secured)  # E: arg-type
Server(TlsTransport(UnixStreamTransport("s"), context), sync, Secured)  # E: arg-type
Server(TlsTransport(tcp, context), sync, Packets)  # E: arg-type
Server(TlsTransport(tcp, context), sync, packets)  # E: arg-type
TlsTransport(UdpTransport(ADDRESS), context)  # E: arg-type
TlsTransport(tcp)  # E: call-arg
TlsTransport(tcp, None)  # E: arg-type
TlsTransport(tcp, "chain.pem")  # E: arg-type
TlsTransport(context, tcp)  # E: arg-type  # E: arg-type
TlsTransport(tcp, lambda: "chain.pem")  # E: arg-type  # E: return-value
start_tls(5, context)  # E: arg-type
start_tls(socket.socket(), "chain.pem")  # E: arg-type


# The inheritable servers.


class ByLine(shim.StreamRequestHandler): ...


shim.TCPServer("/tmp/s", ByLine)  # E: arg-type
shim.TCPServer(ByLine, ADDRESS)  # E: arg-type  # E: arg-type
shim.UnixStreamServer(ADDRESS, ByLine)  # E: arg-type
shim.ThreadingTCPServer(ADDRESS, ByLine).workers  # E: attr-defined
shim.ThreadPoolTCPServer(ADDRESS, ByLine).daemon  # E: attr-defined
shim.TCPServer(ADDRESS, ByLine).alow_reuse_address = True  # E: attr-defined
shim.ThreadingTCPServer(ADDRESS, ByLine).daemon_threads = "no"  # E: assignment
shim.SelectorTCPServer(ADDRESS, ByLine).workers  # E: attr-defined
shim.mixin_for(ThreadPoolStrategy)  # E: arg-type
shim.mixin_for(SyncStrategy(), nam="Mine")  # E: call-arg


class Late(shim.ThreadingMixIn, shim.TCPServer):
    timeout = "soon"  # E: assignment

    def process_request(self, request: int, client_address: object) -> None: ...  # E: override  # E: override


class Text(MessageHandler):
    framing = Lines  # E: assignment

    def respond(self, message: bytes) -> str:  # E: override
        return "text"


class Numbers(MessageHandler):
    framing = b"\n"  # E: assignment

    def respond(self, message: str) -> list[int]:  # E: override  # E: override
        return [self.send("text")]  # E: arg-type


class InetMessages(MessageHandler[InetAddress]):
    def respond(self, message: bytes) -> bytes:
        return message


Server(UnixStreamTransport("s"), sync, InetMessages)  # E: arg-type
Lines(5)  # E: call-arg
Lines(max_length="5")  # E: arg-type
Delimited()  # E: call-arg
Delimited("-")  # E: arg-type
LengthPrefixed("!I", 5)  # E: call-arg
Chunks(max_length=5)  # E: call-arg
Lines().max_length = 5  # E: misc
ProxyProtocolTransport(tcp, ["::1"], untrusted="drop")  # E: arg-type
Server(ProxyProtocolTransport(UnixStreamTransport("s"), ["unix:"]), sync, InetStream)  # E: arg-type
ProxyProtocolTransport(UdpTransport(ADDRESS), ["::1"])  # E: arg-type
ProxyProtocolTransport(tcp)  # E: call-arg
