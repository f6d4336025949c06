"""The handler classes: order of calls, files, replies, and what they let go of."""

import io
import socket
import socketserver
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from recorder import FAILSAFE, Recorder
from sockserve import (
    BaseRequestHandler,
    DatagramRequestHandler,
    InetAddress,
    PeerGoneError,
    Server,
    StreamRequestHandler,
    SyncStrategy,
    TcpTransport,
    UdpTransport,
    UnixAddress,
    UnixDatagramTransport,
)
from sockserve.events import HandlerFailed, PeerGone
from sockserve.handlers import handler_name, send_reply, serves_streams, unwrap

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

SERVER: Any = object()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and a request."""
    client, request = socket.socketpair()
    client.settimeout(FAILSAFE)
    with client, request:
        yield client, request


Pair = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("failing", ["", "setup", "handle", "finish"])
def test_the_order_of_calls(failing: str) -> None:
    """finish() follows whenever setup() returned, and never when it did not."""
    calls = []

    class Noted(BaseRequestHandler):
        def setup(self) -> None:
            self.note("setup")

        def handle(self) -> None:
            self.note("handle")

        def finish(self) -> None:
            self.note("finish")

        def note(self, name: str) -> None:
            calls.append(name)
            if name == failing:
                raise LookupError

    if failing:
        with pytest.raises(LookupError):
            Noted("request", "address", SERVER)  # type: ignore[arg-type]
    else:
        Noted("request", "address", SERVER)  # type: ignore[arg-type]
    assert calls == (["setup"] if failing == "setup" else ["setup", "handle", "finish"])


def test_what_the_base_class_does_by_itself() -> None:
    """Nothing; and it keeps its three arguments."""
    handler = BaseRequestHandler("request", "address", SERVER)
    assert (handler.request, handler.client_address, handler.server) == ("request", "address", SERVER)


def test_files_of_a_stream(pair: Pair) -> None:
    """rfile reads by lines, wfile sends at once and whole, and says how many bytes."""
    client, request = pair

    class Seen(StreamRequestHandler):
        def handle(self) -> None:
            assert self.connection is self.request
            assert self.rfile.readline() == b"ask\n"
            assert self.wfile.writable()
            assert self.wfile.fileno() == request.fileno()
            assert self.wfile.write(memoryview(bytearray(8)).cast("I")) == 8
            assert client.recv(10) == bytes(8)  # before the end

    client.sendall(b"ask\n")
    handler = Seen(request, UnixAddress("x"), SERVER)
    assert handler.wfile.closed
    assert handler.rfile.closed


def test_large_writes_are_sent_whole(pair: Pair) -> None:
    """A write beyond the socket's buffer waits for the reader (a partial send is not the end)."""
    client, request = pair
    size = 5_000_000

    class Large(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"x" * size)

    import threading

    thread = threading.Thread(target=Large, args=(request, UnixAddress("x"), SERVER))
    thread.start()
    received = 0
    while received < size:
        received += len(client.recv(65536))
    thread.join(FAILSAFE)
    assert received == size


def test_options_of_a_stream_handler() -> None:
    """Buffers, time-out and Nagle's algorithm as documented."""

    class Tuned(StreamRequestHandler):
        rbufsize: ClassVar[int] = 0
        wbufsize: ClassVar[int] = 100
        timeout: ClassVar[float | None] = 0.001
        disable_nagle_algorithm: ClassVar[bool] = True
        seen: ClassVar[list[Any]] = []

        def handle(self) -> None:
            type(self).seen += [
                self.connection.gettimeout(),
                bool(self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
                isinstance(self.rfile, socket.SocketIO),
                isinstance(self.wfile, io.BufferedWriter),
            ]
            self.wfile.write(b"kept until the end")
            self.rfile.read(1)

    with (
        Server(TcpTransport(("127.0.0.1", 0), nodelay=False), SyncStrategy(), Tuned, observer=_ignore) as server,
        socket.create_connection(server.address, timeout=FAILSAFE) as client,
    ):
        server.handle_request()
        assert Tuned.seen == [0.001, True, True, True]
        assert client.recv(100) == b"kept until the end"
    assert server.stats.failed == 1  # nothing came within the time-out


def _ignore(event: object) -> None:
    """An observer."""


def test_a_peer_that_is_gone_at_the_end_is_no_error(pair: Pair) -> None:
    """What cannot be flushed is dropped, and both files are closed."""
    client, request = pair

    class Late(StreamRequestHandler):
        wbufsize = 100

        def handle(self) -> None:
            self.wfile.write(b"too late")
            client.close()
            request.shutdown(socket.SHUT_WR)

    handler = Late(request, UnixAddress("x"), SERVER)
    assert handler.wfile.closed
    assert handler.rfile.closed


def test_a_handler_may_close_its_files(pair: Pair) -> None:
    """finish() does not mind, nor a second finish()."""
    client, request = pair

    class Closes(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.close()
            self.rfile.close()

    Closes(request, UnixAddress("x"), SERVER).finish()
    request.close()
    assert client.recv(1) == b""


def test_a_setup_that_fails_leaves_no_file_open(pair: Pair) -> None:
    """Else the descriptor lived on in rfile: the connection would not end when it is closed."""
    client, request = pair

    class Fails(StreamRequestHandler):
        def setup(self) -> None:
            super().setup()
            raise LookupError

    with pytest.raises(LookupError) as caught:  # keeps the handler alive, as an observer may
        Fails(request, UnixAddress("x"), SERVER)
    request.close()
    assert client.recv(1) == b""
    assert caught.value.__traceback__ is not None


def test_a_subclass_may_do_without_setup(pair: Pair) -> None:
    """A setup() that does not call super() has no files to release."""

    class Bare(StreamRequestHandler):
        def setup(self) -> None:
            raise LookupError

    with pytest.raises(LookupError):
        Bare(pair[1], UnixAddress("x"), SERVER)


def test_a_datagram_and_its_reply() -> None:
    """packet, rfile, wfile and socket; the reply is one datagram, sent though handle() raises."""

    class Parts(DatagramRequestHandler):
        def handle(self) -> None:
            assert self.rfile.read() == self.packet == b"ask"
            assert self.socket is self.request[1]
            self.wfile.write(b"one ")
            self.wfile.write(b"datagram")
            raise LookupError

    for host in ("127.0.0.1", "::1"):
        with (
            Server(UdpTransport((host, 0)), SyncStrategy(), Parts, observer=_ignore) as server,
            socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            client.settimeout(FAILSAFE)
            client.sendto(b"ask", server.address)
            server.handle_request()
            assert client.recv(100) == b"one datagram"


def test_a_reply_to_a_scoped_address() -> None:
    """The scope that the host carries reaches the kernel, which would lose the two-part form's."""
    lo = socket.if_nametoindex("lo")

    class Noted(socket.socket):
        sent: ClassVar[list[Any]] = []

        def sendto(self, *args: Any) -> int:
            self.sent.append(args)
            return 0

    with Noted(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        send_reply(sock, b"x", InetAddress("fe80::1%lo", 9))
    with Noted(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        send_reply(sock, b"x", InetAddress("127.0.0.1", 9))
        send_reply(sock, b"x", "a transport of one's own")
    assert [args[1] for args in Noted.sent] == [
        ("fe80::1", 9, 0, lo),
        ("127.0.0.1", 9),
        "a transport of one's own",
    ]


def test_clients_that_cannot_be_answered(folder: Path, recorder: Recorder) -> None:
    """No name, or a name that is gone: told as PeerGone, no failure of the handler."""

    class Answers(DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"x")

    with Server(UnixDatagramTransport(folder / "s"), SyncStrategy(), Answers, observer=recorder) as server:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:
            unnamed.sendto(b"x", server.address)
            server.handle_request()
        assert "no address to reply to" in recorder.wait_for(PeerGone)["error"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as brief:
            brief.bind(str(folder / "c"))
            brief.sendto(b"x", server.address)
        server.handle_request()
        assert "nothing is bound" in recorder.wait_for(PeerGone)["error"]
    assert (server.stats.failed, server.stats.finished) == (0, 2)


def test_a_datagram_too_long_to_send_is_the_handlers_error(recorder: Recorder) -> None:
    """EMSGSIZE is nobody's departure."""

    class TooMuch(DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"x" * 70_000)

    with (
        Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), TooMuch, observer=recorder) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.sendto(b"x", server.address)
        server.handle_request()
        assert "Message too long" in recorder.wait_for(HandlerFailed)["error"]
    assert issubclass(PeerGoneError, ConnectionError)


def test_names_of_handlers() -> None:
    """Of classes, functions, partials of partials, objects."""
    assert handler_name(StreamRequestHandler) == "sockserve.handlers.StreamRequestHandler"
    assert handler_name(partial(partial(StreamRequestHandler))) == "sockserve.handlers.StreamRequestHandler"
    assert handler_name(_ignore) == "test_handlers._ignore"
    assert "object" in handler_name(SERVER)
    assert unwrap(partial(_ignore)) is _ignore


def test_what_a_handler_serves() -> None:
    """Known of classes, told by their bases; unknown of functions."""
    assert serves_streams(socketserver.StreamRequestHandler) is True
    assert serves_streams(partial(socketserver.DatagramRequestHandler)) is False
    assert serves_streams(socketserver.BaseRequestHandler) is None
    assert serves_streams(BaseRequestHandler) is None
    assert serves_streams(DatagramRequestHandler) is False
    assert serves_streams(_ignore) is None
