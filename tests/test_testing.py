"""The pytest plugin, its fixture, and its clients."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import sockserve
from kinds import EchoLines, EchoPacket, echo
from recorder import FAILSAFE
from sockserve import (
    CompositionError,
    InetAddress,
    Limits,
    OptionError,
    SelectorStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    TlsTransport,
    UnixAddress,
    testing,
)
from sockserve._serving import background, lifecycle
from sockserve.events import Accepted, Finished
from sockserve.testing import MemoryTransport, ServeFailed, Serving, _clients, connect
from tls_kit import client_context, new_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

pytest_plugins = ["pytester"]


def failing(request: Any, address: Any, server: Any) -> None:
    """Breaks on each request that says so."""
    word = request[0] if isinstance(request, tuple) else request.recv(100)
    if word == b"bad\n":
        raise LookupError("on purpose")
    echo(request, address, server) if isinstance(request, tuple) else request.sendall(word)


# The fixture.


def test_three_lines_test_a_server(serve: Serving) -> None:
    """A handler of connections is served over TCP, in threads."""
    served = serve(EchoLines)
    assert served.ask(b"hello\n") == b"hello\n"
    assert isinstance(served.address, InetAddress)
    assert isinstance(served.server.strategy, sockserve.ThreadStrategy)


def test_a_handler_of_datagrams_gets_datagrams(serve: Serving) -> None:
    """Without being told."""
    served = serve(EchoPacket)
    assert served.ask(b"hello") == b"hello"
    assert isinstance(served.server.transport, sockserve.UdpTransport)


@pytest.mark.parametrize("transport", ["tcp", "udp", "unix", "unix-datagram", "memory"])
@pytest.mark.parametrize("strategy", ["sync", "selector"])
def test_parts_by_name(serve: Serving, transport: str, strategy: str) -> None:
    """As on the command line, and the one in memory; what a Unix socket needs is gone in the end."""
    served = serve(echo, transport=transport, strategy=strategy)
    assert served.ask(b"hello\n") == b"hello\n"
    address = served.address
    if isinstance(address, UnixAddress):
        served.stop()
        assert not Path(address).parent.exists()


def test_parts_as_values(serve: Serving) -> None:
    """And the server's other options."""
    seen: list[object] = []
    served = serve(
        echo,
        transport=TcpTransport(("::1", 0)),
        strategy=SelectorStrategy(),
        limits=Limits(connections=3),
        verify=lambda request, address: True,
        observer=seen.append,
    )
    assert served.ask(b"hello\n") == b"hello\n"
    assert served.server.limits == Limits(connections=3)
    served.stop()
    assert {Accepted, Finished} <= {type(event) for event in seen}


def test_an_observer_that_wants_little_gets_little(serve: Serving) -> None:
    """The fixture's own wishes do not reach it."""

    class Picky:
        def __init__(self) -> None:
            self.seen: list[object] = []

        def wants(self, kind: type) -> bool:
            return kind is Finished

        def __call__(self, event: object) -> None:
            self.seen.append(event)

    picky = Picky()
    served = serve(echo, observer=picky)
    served.ask(b"hello\n")
    served.stop()
    assert {type(event) for event in picky.seen} == {Finished}


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"strategy": "tread"}, OptionError, "did you mean 'thread'"),
        ({"transport": "tpc"}, OptionError, "there is no transport 'tpc'"),
        ({"transport": "udp"}, CompositionError, "EchoLines serves connections"),
    ],
)
def test_what_cannot_be_served_says_so(
    serve: Serving, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    """Nothing is left open."""
    with pytest.raises(error, match=said):
        serve(EchoLines, **arguments)


def test_clients_that_stay_connected_do_not_hold_the_end(serve: Serving) -> None:
    """Handlers see the end of their input: the grace is not waited for."""
    for strategy in ("thread", "selector", "fork"):
        served = serve(EchoLines, strategy=strategy, grace=60.0)
        raw = connect(served.address)
        raw.sendall(b"x\n")
        assert raw.recv(10) == b"x\n"
        served.client.send(b"y\n")
        assert served.client.readline() == b"y\n"
        assert served.client is served.client
        served.stop()
        assert raw.recv(10) == b""
        raw.close()
        assert served.server.stats.failed == 0


def test_a_failure_that_is_expected_is_told(serve: Serving) -> None:
    """A client sees its end only after the failure is known."""
    served = serve(failing, fail=False)
    assert served.failures == []
    assert served.ask(b"bad\n") == b""
    (failure,) = served.failures
    assert failure.event == "HandlerFailed"
    assert "LookupError('on purpose')" in failure.text
    assert isinstance(failure.error, LookupError)
    assert failure.traceback.endswith("LookupError: on purpose\n")


@pytest.mark.parametrize("strategy", ["thread", "fork"])
def test_a_failure_that_is_not_expected_is_raised(strategy: str) -> None:
    """Without pytest, by finish(): with the error of the first, or its traceback, where another process had it."""
    serving = Serving()
    served = serving(failing, strategy=strategy)
    for _ in range(2):
        assert served.ask(b"bad\n") == b""
    with pytest.raises(ServeFailed, match=r"on purpose'\) \(and 1 more\)") as caught:
        serving.finish()
    assert [failure.event for failure in caught.value.failures] == ["HandlerFailed"] * 2
    if strategy == "thread":
        assert isinstance(caught.value.__cause__, LookupError)
    else:
        assert "Traceback" in str(caught.value)
    serving.finish()


def test_a_handler_that_never_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace, and a little."""
    for module in (lifecycle, background):
        monkeypatch.setattr(module, "LAST_WAIT", 0.01)
    over = threading.Event()
    serving = Serving()

    def holding(request: Any, address: Any, server: Any) -> None:
        request.sendall(b"here")
        over.wait(10)

    serving(holding, grace=0.01, strategy=sockserve.ThreadStrategy(daemon=True)).client.receive(4)
    with pytest.raises(ServeFailed, match="still active after their grace"):
        serving.finish()
    over.set()


def test_who_holds_the_loop_is_told_while_he_does() -> None:
    """With the stack, and each time anew; a handler that parks holds nobody."""
    serving = Serving()
    let_go = threading.Event()

    def holding(request: Any, address: Any, server: Any) -> None:
        if request.recv(10) == b"hold\n":
            let_go.wait(FAILSAFE)

    served = serving(holding, strategy="selector", watchdog=0.2)
    parked = served.connect()
    for _ in range(2):  # each time is told once
        let_go.clear()
        count = len(served.failures)
        served.connect().send(b"hold\n")
        while len(served.failures) == count:
            let_go.wait(0.01)
        let_go.set()
        served.connect().ask(b"more\n")
    parked.send(b"no\n")
    assert parked.read() == b""
    with pytest.raises(ServeFailed, match=r"has been held for 0\.2 s") as caught:
        serving.finish()
    assert {failure.event for failure in caught.value.failures} == {"LoopHeld"}
    assert "let_go.wait(FAILSAFE)" in "".join(failure.traceback for failure in caught.value.failures)


def test_what_serve_forever_raises_is_raised(serve: Serving) -> None:
    """And every server is stopped all the same."""
    serving = Serving()
    one, other = serving(echo), serving(echo)

    def broken() -> None:
        raise OSError("on purpose")

    one.server._life.loop.call_soon_threadsafe(broken)
    with pytest.raises(OSError, match="on purpose"):
        serving.finish()
    assert one.server.state == other.server.state == "closed"


# Clients.


def test_what_a_client_can_say_and_hear(serve: Serving) -> None:
    """Lines, sizes, all; before and after it has sent its end."""
    served = serve(EchoLines)
    with served.connect() as client:
        client.send(b"one\ntwo;three\nfour\n")
        client.end()
        assert client.readline() == b"one\n"
        assert client.readline(b";") == b"two;"
        assert client.receive(3) == b"thr"
        assert client.read() == b"ee\nfour\n"
        assert client.readline() == client.receive(3) == client.read() == b""
    client.close()


def test_a_client_of_datagrams(serve: Serving) -> None:
    """One is one, whichever way it is read; there is no end to send."""
    client = serve(echo, transport="udp").client
    for read in (client.receive, client.readline, client.read):
        client.send(b"packet\nand more")
        client.end()
        assert read() == b"packet\nand more"


@pytest.mark.parametrize("trusting", [True, False])
def test_clients_of_tls(serve: Serving, trusting: bool) -> None:
    """By a context, or one that trusts everybody; they can send their end."""
    context = client_context() if trusting else None
    transport = TlsTransport(TcpTransport(("127.0.0.1", 0)), new_context("localhost"))
    served = serve(EchoLines, transport=transport, client_context=context)
    assert served.ask(b"hello\n") == b"hello\n"


def test_a_handshake_that_fails_is_the_clients(serve: Serving) -> None:
    """It is raised where it connects, and no handler has failed."""
    transport = TlsTransport(TcpTransport(("127.0.0.1", 0)), new_context("elsewhere"))
    served = serve(EchoLines, transport=transport, client_context=client_context())
    with pytest.raises(OSError, match="localhost"):
        served.connect()


def test_connect_knows_every_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours; any other needs a connect() of one's own. Only in memory a client can choose its address."""
    with pytest.raises(ValueError, match=r"give a connect\(\) of your own"):
        connect(("127.0.0.1", 1))
    with pytest.raises(ValueError, match="cannot choose"):
        connect(InetAddress("127.0.0.1", 1), client_address=InetAddress("192.0.2.1", 1))
    with pytest.raises(ConnectionRefusedError):
        connect(InetAddress("memory.test", 0))
    with Server(TcpTransport(("", 0)), SyncStrategy(), echo) as server:
        connect(server.address).close()


def test_clients_of_unix_datagrams_where_names_are_files(serve: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: bound in a folder of their own, which is gone in the end."""
    monkeypatch.setattr(_clients, "_bind", _clients._bind_file)
    served = serve(echo, transport="unix-datagram")
    client = served.connect()
    folder = Path(client.sock.getsockname()).parent
    assert client.ask(b"hello") == b"hello"
    client.close()
    assert not folder.exists()


# In memory.


def test_a_client_in_memory_has_the_address_that_a_test_gives_it(serve: Serving) -> None:
    """Else one that no other has."""

    def tell(request: Any, address: Any, server: Any) -> None:
        request.sendall(str(address).encode())

    served = serve(tell, transport="memory")
    with connect(served.address, client_address=InetAddress("192.0.2.7", 4711)) as sock:
        assert sock.recv(100) == b"192.0.2.7:4711"
    others = {served.ask(b"") for _ in range(3)}
    assert len(others) == 3
    assert all(other.startswith(b"memory.test:") for other in others)


def test_limits_of_one_peer_can_be_tested_in_memory(serve: Serving) -> None:
    """By clients that say who they are."""
    served = serve(EchoLines, transport=MemoryTransport(), limits=Limits(per_peer=1))
    one, other = InetAddress("192.0.2.1", 1), InetAddress("192.0.2.2", 1)
    with (
        connect(served.address, client_address=one) as first,
        connect(served.address, client_address=one) as second,
    ):
        first.sendall(b"x\n")
        assert first.recv(10) == b"x\n"
        assert second.recv(10) == b""
        with connect(served.address, client_address=other) as third:
            third.sendall(b"x\n")
            assert third.recv(10) == b"x\n"


def test_the_want_of_descriptors_in_memory_is_that_of_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel drops what there is no room for; it is an error that pauses accepting."""
    listener = MemoryTransport().listen()
    client = connect(listener.address)
    monkeypatch.setattr(socket, "recv_fds", lambda *_: _received(listener))
    with pytest.raises(OSError, match="Too many open files"):
        listener.accept()
    client.close()
    listener.close()


def _received(listener: Any) -> tuple[bytes, list[int], int, None]:
    return listener._receiver.recv(100), [], socket.MSG_CTRUNC, None


def test_memory_can_be_configured_and_fails_as_others() -> None:
    """What configure() raises goes through, and nothing is left."""

    def refuse(sock: socket.socket) -> None:
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        MemoryTransport(configure=refuse).listen()
    called: list[socket.socket] = []
    MemoryTransport(configure=called.append).listen().close()
    assert len(called) == 1


# The plugin.

CONFTEST = """
import functools
from sockserve import StreamRequestHandler

class Upper(StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            if line == b"bad\\n":
                raise LookupError("on purpose")
            self.wfile.write(line.upper())
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """Another project, whose tests use the fixture."""
    pytester.makepyfile(handlers=CONFTEST)
    pytester.syspathinsert()
    return pytester


def test_a_test_fails_by_its_handler(inner: pytest.Pytester) -> None:
    """The test, not its end; the handler's traceback is shown. A test that fails by itself is told of it too."""
    inner.makepyfile(
        """
        from handlers import Upper

        def test_good(serve):
            assert serve(Upper).ask(b"good\\n") == b"GOOD\\n"

        def test_bad(serve):
            serve(Upper).ask(b"bad\\n")

        def test_both(serve):
            assert serve(Upper).ask(b"bad\\n") == b"BAD\\n"

        def test_expected(serve):
            served = serve(Upper, fail=False)
            assert served.ask(b"bad\\n") == b""
            assert len(served.failures) == 1

        def test_only_itself(serve):
            serve(Upper).ask(b"good\\n")
            assert False, "mine"
        """
    )
    done = inner.runpytest_inprocess("-q", "-p", "no:hypothesispytest")
    done.assert_outcomes(passed=2, failed=3)
    done.stdout.fnmatch_lines(
        [
            "*_ test_bad _*",
            '*raise LookupError("on purpose")*',
            "*ServeFailed: handlers.Upper failed for 127.0.0.1:*: LookupError('on purpose')",
            "*_ test_both _*",
            "*AssertionError*",
            "*In the server: handlers.Upper failed for 127.0.0.1:*: LookupError('on purpose')",
            "*sockserve*",
            "*LookupError: on purpose*",
        ]
    )


def test_the_end_of_a_test_is_looked_at_too(inner: pytest.Pytester) -> None:
    """Where another fixture serves, or asks, after the test."""
    inner.makepyfile(
        """
        import pytest
        from handlers import Upper

        @pytest.fixture
        def late(serve):
            yield
            serve(Upper).ask(b"bad\\n")

        def test_late(late):
            pass
        """
    )
    inner.runpytest_inprocess("-q", "-p", "no:hypothesispytest").assert_outcomes(passed=1, errors=1)


def test_a_kit_is_parametrized(inner: pytest.Pytester) -> None:
    """Each law is a case with its name; a bug turns its law red, and no other."""
    inner.makepyfile(
        """
        import pytest
        from outside import Bounded, NoValue
        from sockserve.testing import check_strategy

        @pytest.mark.parametrize("law", check_strategy)
        def test_mine(law):
            law(NoValue())
        """
    )
    done = inner.runpytest_inprocess("-q", "-p", "no:hypothesispytest")
    done.assert_outcomes(passed=len(testing.check_strategy) - 1, failed=1)
    done.stdout.fnmatch_lines(["FAILED *::test_mine[[]it_is_a_value[]] - TypeError: u*"])


def test_the_page(inner: pytest.Pytester) -> None:
    """Every test on it passes."""
    page = (Path(__file__).parent.parent / "docs" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    inner.makepyfile(p="\n".join(blocks))
    count = 3 + 9 + 1 + len(testing.check_strategy) + len(testing.check_concurrency) + len(testing.check_transport)
    inner.makeini("[pytest]\nfilterwarnings = error")
    with tempfile.TemporaryDirectory() as short:  # a Unix socket's path has 107 bytes at most
        options = ("-q", "-p", "no:hypothesispytest", "--basetemp", f"{short}/t", "p.py")
        inner.runpytest_inprocess(*options).assert_outcomes(passed=count)


def test_the_plugin_loads_little() -> None:
    """Who has sockserve installed and does not test it: no kit, no ssl, no greenlet."""
    program = (
        "import sys, sockserve.pytest_plugin\n"
        "unwanted = {'ssl', 'greenlet', 'sockserve.testing', 'socketserver', 'asyncio'} & set(sys.modules)\n"
        "assert not unwanted, unwanted"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    subprocess.run([sys.executable, "-c", program], check=True, env=plain)
