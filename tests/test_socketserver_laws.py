"""What holds for the standard library's socketserver and for sockserve's alike, rule by rule."""

import inspect
import io
import os
import re
import signal
import socket
import socketserver as stdlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Self

import pytest

from recorder import FAILSAFE
from shim_kit import ANYWHERE, MODULES, Log, ask, connect, serving, upper
from sockserve import socketserver as ours

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


@pytest.fixture(params=list(MODULES))
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Each of the two modules."""
    return MODULES[request.param]


@pytest.fixture
def log() -> Iterator[Log]:
    """Notes that children write too."""
    with Log() as made:
        yield made


def fields(kind: type) -> dict[str, object]:
    """Return what a class itself defines, functions by their parameters."""
    found: dict[str, object] = {}
    for name, value in vars(kind).items():
        if inspect.isfunction(value):
            found[name] = [(each.name, each.kind) for each in inspect.signature(value).parameters.values()]
        elif not name.startswith("__") and not name.endswith("__shut_down"):
            found[name] = value if isinstance(value, int | float | None) else type(value).__name__
    return found


@pytest.mark.parametrize("name", sorted({*stdlib.__all__, "ForkingUnixStreamServer", "ForkingUnixDatagramServer"}))
def test_the_documented_classes(name: str) -> None:
    """The same bases in the same order; attributes and methods where programs replace them, on the same class."""
    if not hasattr(stdlib, name):
        assert [each.__name__ for each in vars(ours)[name].__bases__] == [
            "ForkingMixIn",
            name.removeprefix("Forking"),
        ]
        return
    theirs, mine = getattr(stdlib, name), getattr(ours, name)
    assert [each.__name__ for each in mine.__mro__] == [each.__name__ for each in theirs.__mro__]
    expected, found = fields(theirs), fields(mine)
    assert {key: found.get(key) for key in expected if key != "__exit__"} == {
        key: value for key, value in expected.items() if key != "__exit__"
    }
    added = {key for key in found.keys() - expected.keys() if not key.startswith("_")}
    assert added == set()


@pytest.mark.parametrize(
    "name",
    [
        "socket",
        "selectors",
        "os",
        "sys",
        "threading",
        "_SocketWriter",
        "_ServerSelector",
        "_Threads",
        "_NoThreads",
    ],
)
def test_names_that_programs_reach_for(name: str) -> None:
    """The modules are the modules, the private names are there."""
    found, theirs = getattr(ours, name), getattr(stdlib, name)
    assert found is theirs if inspect.ismodule(theirs) or name == "_ServerSelector" else isinstance(found, type)


CHAIN = (
    "get_request", "verify_request", "process_request", "process_request_thread", "finish_request",
    "handle_error", "shutdown_request", "close_request", "service_actions", "handle_timeout", "server_bind",
    "server_activate", "server_close",
)  # fmt: skip


def noting(kind: Any, log: Log) -> Any:
    """Make a class that notes each call of a documented method, and then does what it should."""

    def wrap(name: str) -> Any:
        inherited = getattr(kind, name)

        def method(self: Any, *arguments: object) -> object:
            log(name if os.getpid() == parent else f"child:{name}")
            return inherited(self, *arguments)

        return method

    parent = os.getpid()
    return type("Noting", (kind,), {name: wrap(name) for name in CHAIN if hasattr(kind, name)})


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_order_of_calls(module: ModuleType, name: str, fails: bool, log: Log) -> None:
    """Each step once, where it belongs; the parent of a fork only closes its copy."""

    def handler(_request: object, _address: object, _server: object) -> None:
        if fails:
            raise ValueError("on purpose")

    kind = noting(getattr(module, name), log)
    kind.handle_error = lambda self, _request, _address: log("handle_error")
    with kind(ANYWHERE, handler) as server:
        with connect(server) as client:
            server.handle_request()
            assert client.recv(1) == b""
    noted = log.notes()
    failure = ["handle_error"] if fails else []
    thread = ["process_request_thread"] if name == "ThreadingTCPServer" else []
    begin = ["server_bind", "server_activate", "get_request", "verify_request", "process_request"]
    assert noted[:5] == begin
    rest = [each for each in noted[5:] if each != "server_close"]
    assert noted.count("server_close") == 1
    if name == "ForkingTCPServer":
        mine = [each for each in rest if each.startswith("child:") or each == "handle_error"]
        assert mine == ["child:finish_request", *failure, "child:shutdown_request", "child:close_request"]
        assert [each for each in rest if each not in mine] == ["close_request"]
    else:
        assert rest == [*thread, "finish_request", *failure, "shutdown_request", "close_request"]


@pytest.mark.parametrize("name", ["UDPServer", "ThreadingUDPServer", "ForkingUDPServer"])
def test_datagrams(module: ModuleType, name: str) -> None:
    """The handler answers through the server's socket, which stays open; an empty answer is sent, too."""
    with getattr(module, name)(ANYWHERE, upper(module, "DatagramRequestHandler")) as server:
        with serving(server, 0.01):
            assert ask(server, b"packet") == b"PACKET"
            assert ask(server, b"") == b""
        assert server.fileno() >= 0


def test_what_verify_request_refuses(module: ModuleType, log: Log) -> None:
    """It is shut down and closed, and nothing else happens to it."""
    kind = noting(module.TCPServer, log)
    kind.verify_request = lambda self, _request, _address: False
    with kind(ANYWHERE, upper(module)) as server, connect(server) as client:
        server.handle_request()
        assert client.recv(1) == b""
        assert log.notes()[2:] == ["get_request", "shutdown_request", "close_request"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_errors_of_process_request(module: ModuleType, error: type[BaseException], log: Log) -> None:
    """An Exception is handled and the request shut; another is raised, after the request was shut."""

    def fail(self: object, _request: object, _address: object) -> None:
        raise error

    kind = noting(module.TCPServer, log)
    kind.process_request = fail
    kind.handle_error = lambda self, _request, _address: log(f"handle_error:{sys.exc_info()[0].__name__}")  # type: ignore[union-attr]
    with kind(ANYWHERE, upper(module)) as server, connect(server):
        if error is ValueError:
            server.handle_request()
            assert log.notes()[4:] == ["handle_error:ValueError", "shutdown_request", "close_request"]
        else:
            with pytest.raises(error):
                server.handle_request()
            assert log.notes()[4:] == ["shutdown_request", "close_request"]


def test_errors_of_get_request(module: ModuleType) -> None:
    """OSErrors of any kind lose that request alone; anything else leaves the loop."""
    errors: list[BaseException] = [TimeoutError(), OSError(5, "that"), ConnectionResetError(), KeyError("this")]

    class Failing(module.TCPServer):  # type: ignore[name-defined,misc]
        def get_request(self) -> object:
            raise errors.pop(0)

    with Failing(ANYWHERE, upper(module)) as server, connect(server):
        with pytest.raises(KeyError):
            server.serve_forever(0.01)
        assert errors == []
        assert server._BaseServer__is_shut_down.is_set()


def test_whatever_get_request_returns(module: ModuleType) -> None:
    """Handlers are given the address that it made up, and whatever it calls a request."""
    seen: list[object] = []

    class Odd(module.TCPServer):  # type: ignore[name-defined,misc]
        def get_request(self) -> object:
            sock, address = super().get_request()
            return sock, (address, sock)

    with Odd(ANYWHERE, lambda *arguments: seen.extend(arguments)) as server, connect(server) as client:
        server.handle_request()
        assert seen == [seen[0], (client.getsockname(), seen[0]), server]


def test_the_handlers(module: ModuleType, log: Log) -> None:
    """setup, handle, finish; finish also where handle raised, and not where setup did."""
    for failing, expected in [
        (None, "setup handle finish"),
        ("handle", "setup handle finish"),
        ("setup", "setup"),
    ]:

        def step(name: str, failing: str | None = failing) -> Any:
            def method(_self: object) -> None:
                log(name)
                if name == failing:
                    raise ValueError("on purpose")

            return method

        kind = type("Steps", (module.BaseRequestHandler,), {each: step(each) for each in expected.split()})
        if failing:
            with pytest.raises(ValueError, match="on purpose"):
                kind(None, None, None)
        else:
            kind(None, None, None)
        assert log.notes() == expected.split()


def test_stream_handlers_need_little(module: ModuleType) -> None:
    """A stand-in with makefile and sendall will do; wfile's flush may fail, and what is closed stays closed."""
    sent: list[bytes] = []

    class StandIn:
        def makefile(self, mode: str, buffering: int) -> io.BytesIO:
            assert (mode, buffering) == ("rb", -1)
            return io.BytesIO(b"one\ntwo\n")

        def sendall(self, data: bytes) -> None:
            sent.append(bytes(data))

    handler = upper(module)(StandIn(), "address", None)
    assert sent == [b"ONE\n", b"TWO\n"]
    assert isinstance(handler.wfile, io.BufferedIOBase)
    assert module._SocketWriter(StandIn()).write(memoryview(b"12345678").cast("I")) == 8
    handler.finish()

    class Gone(module._SocketWriter):  # type: ignore[name-defined,misc]
        def flush(self) -> None:
            raise BrokenPipeError

    handler.wfile = Gone(StandIn())
    with pytest.raises(BrokenPipeError):
        handler.finish()  # the one of flush() is ignored, close() flushes again


def test_patches_take_effect(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the module and attributes of its classes are looked up when they are used."""
    made: list[object] = []

    class Writer(io.BytesIO):
        def __init__(self, connection: object) -> None:
            super().__init__()
            made.append(connection)

    monkeypatch.setattr(module, "_SocketWriter", Writer)
    monkeypatch.setattr(module.BaseServer, "handle_error", lambda *arguments: made.append("error"))
    monkeypatch.setattr(module.TCPServer, "allow_reuse_address", 1)
    monkeypatch.setattr(module.TCPServer, "request_queue_size", 3)
    monkeypatch.setattr(module.StreamRequestHandler, "finish", lambda self: made.append("finish"))
    with module.ThreadingTCPServer(ANYWHERE, upper(module)) as server:
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with connect(server) as client:
            client.shutdown(socket.SHUT_WR)
            server.handle_request()
            assert client.recv(1) == b""
    assert made[1:] == ["finish"]


def test_attributes_of_the_instance(module: ModuleType) -> None:
    """Those that are set before __init__ win, and so does what is set after it, until it is used."""

    class Early(module.ThreadingTCPServer):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.address_family = socket.AF_INET6
            self.daemon_threads = True
            super().__init__(("::1", 0), upper(module), bind_and_activate=False)

    with Early() as server:
        assert server.socket.family == socket.AF_INET6
        server.allow_reuse_address = True
        server.server_bind()
        server.server_activate()
        assert len(server.server_address) == 4
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert server.server_address == server.socket.getsockname()
        with serving(server, 0.01):
            assert ask(server) == b"PING\n"
    for thread in threading.enumerate():
        if thread.daemon:  # that of the request: nobody has waited for it, by its definition
            thread.join(FAILSAFE)


def test_a_socket_of_ones_own(module: ModuleType) -> None:
    """It may replace the server's before it serves, and BaseServer does without any."""
    with module.TCPServer(ANYWHERE, upper(module), False) as server:
        server.socket.close()
        server.socket = socket.create_server(ANYWHERE)
        server.server_address = server.socket.getsockname()
        with serving(server, 0.01):
            assert ask(server) == b"PING\n"
    bare = module.BaseServer("nowhere", lambda *arguments: seen.append(arguments))
    seen: list[object] = []
    bare.finish_request("request", "address")
    bare.server_close()
    assert seen == [("request", "address", bare)]
    assert not hasattr(bare, "fileno")
    assert not hasattr(bare, "get_request")


def test_unbound_calls_and_a_thread_as_a_base(module: ModuleType) -> None:
    """Methods are called by the class's name, and a server is a thread, too."""

    class Both(module.ThreadingMixIn, module.TCPServer, threading.Thread):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            module.TCPServer.__init__(self, ANYWHERE, upper(module))
            threading.Thread.__init__(self, name="both", daemon=True)
            self.queue = self.stats = self.pool = self.state = self.workers = "mine"

        def run(self) -> None:
            module.TCPServer.serve_forever(self, 0.01)

    server = Both()
    server.start()
    assert ask(server) == b"PING\n"
    module.TCPServer.shutdown(server)
    server.join(FAILSAFE)
    server.server_close()
    assert (server.queue, server.name) == ("mine", "both")


@pytest.mark.parametrize("where", ["server", "socket", "both"])
def test_handle_request_honours_time_outs(module: ModuleType, where: str) -> None:
    """The shorter of the server's and its socket's; then handle_timeout is called, and its result is not ours."""
    called: list[str] = []
    with module.TCPServer(ANYWHERE, upper(module)) as server:
        server.handle_timeout = lambda: called.append("timeout")
        if where != "socket":
            server.timeout = 0 if where == "server" else 1000
        if where != "server":
            server.socket.settimeout(0.001)
        server.handle_request()
        assert called == ["timeout"]
        with connect(server) as client:
            client.sendall(b"x\n")
            client.shutdown(socket.SHUT_WR)
            server.timeout = FAILSAFE
            server.socket.settimeout(None)
            server.handle_request()
            assert client.recv(10) == b"X\n"
        assert called == ["timeout"]


def test_the_report_of_an_error(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, as it is documented, and the server goes on."""

    def fail(*_arguments: object) -> None:
        raise ValueError("on purpose")

    with module.TCPServer(ANYWHERE, fail) as server:
        for _ in range(2):
            with connect(server) as client:
                server.handle_request()
                assert client.recv(1) == b""
    text = re.sub(r"  File .*\n(    .*\n)*", "", capsys.readouterr().err)
    text = re.sub(r"\('127.0.0.1', \d+\)", "CLIENT", text)
    rule = "-" * 40
    assert text == 2 * (
        f"{rule}\nException occurred during processing of request from CLIENT\n"
        f"Traceback (most recent call last):\nValueError: on purpose\n{rule}\n"
    )


def test_threads(module: ModuleType, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    """A plain thread for each request, made as documented, counted before it starts, waited for at the end."""
    release = threading.Barrier(3)
    made: list[dict[str, Any]] = []
    plain = threading.Thread

    class Spy(plain):  # type: ignore[misc,valid-type]
        def __init__(self, **options: Any) -> None:
            made.append(options)
            super().__init__(**options)

        def start(self) -> None:
            log(f"counted:{self in server._threads}")
            super().start()

    monkeypatch.setattr(module.threading, "Thread", Spy)
    with module.ThreadingTCPServer(ANYWHERE, lambda *_: release.wait(FAILSAFE)) as server:
        assert isinstance(server._threads, module._NoThreads)
        assert "_threads" not in vars(server)
        with connect(server), connect(server):
            server.handle_request()
            server.handle_request()
            assert isinstance(server._threads, list)
            assert [each.daemon for each in server._threads] == [False, False]
            assert len(server._threads) == 2
            release.wait(FAILSAFE)  # both handlers run at the same time as this
    assert [(set(each), each["target"]) for each in made] == [
        ({"target", "args"}, server.process_request_thread)
    ] * 2
    assert log.notes() == ["counted:True"] * 2
    assert list(server._threads) == []


@pytest.mark.parametrize("option", ["daemon_threads", "block_on_close"])
def test_threads_that_nobody_waits_for(module: ModuleType, option: str) -> None:
    """Daemonic ones and, without block_on_close, all others outlive server_close."""
    release, ended = threading.Event(), threading.Event()
    daemonic: list[bool] = []

    def wait(*_arguments: object) -> None:
        daemonic.append(threading.current_thread().daemon)
        release.wait(FAILSAFE)
        ended.set()

    with module.ThreadingTCPServer(ANYWHERE, wait) as server:
        setattr(server, option, int(option == "daemon_threads"))  # 0 and 1 are in use
        with connect(server):
            server.handle_request()
        running = [each for each in threading.enumerate() if each is not threading.current_thread()]
    assert not ended.is_set()
    assert daemonic == [option == "daemon_threads"]
    release.set()
    for thread in running:
        thread.join(FAILSAFE)


def test_a_thread_that_cannot_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    """The request is reported and shut."""

    def refuse(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    kind = noting(module.ThreadingTCPServer, log)
    kind.handle_error = lambda self, _request, _address: log("handle_error")
    server = kind(ANYWHERE, upper(module))
    with connect(server) as client, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        server.handle_request()
        assert client.recv(1) == b""
    assert log.notes()[4:] == ["process_request", "handle_error", "shutdown_request", "close_request"]
    if module is ours:
        server.server_close()
    else:
        with pytest.raises(RuntimeError):  # "cannot join thread before it is started"
            server.server_close()
        server.socket.close()


@pytest.mark.parametrize("error", [None, ValueError, SystemExit])
def test_children(module: ModuleType, error: type[BaseException] | None, log: Log) -> None:
    """They are counted by their ids; the exit status says whether the handler failed; no exit handler runs."""

    def handler(request: socket.socket, *_others: object) -> None:
        request.sendall(str(os.getpid()).encode())
        if error is not None:
            raise error("on purpose")

    kind = noting(module.ForkingTCPServer, log)
    kind.handle_error = lambda self, _request, _address: log("handle_error")
    assert kind.active_children is None
    server = kind(ANYWHERE, handler)
    with connect(server) as client:
        server.handle_request()
        pid = int(b"".join(iter(lambda: client.recv(100), b"")))
    assert type(server.active_children) is set
    assert server.active_children == {pid}
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (1 if error else 0)
    server.collect_children()  # somebody has reaped it
    assert server.active_children == set()
    server.server_close()
    assert ("handle_error" in log.notes()) == (error is ValueError)


def test_a_child_is_ended_by_signals(module: ModuleType) -> None:
    """By SIGTERM, as any process: it does not live on without its client."""

    def wait(request: socket.socket, *_others: object) -> None:
        request.sendall(b"!")
        request.recv(1)

    with module.ForkingTCPServer(ANYWHERE, wait) as server, connect(server) as client:
        server.handle_request()
        assert client.recv(1) == b"!"
        (pid,) = server.active_children
        os.kill(pid, signal.SIGTERM)
        try:
            assert client.recv(1) == b""
        finally:
            client.shutdown(socket.SHUT_WR)  # ends one that lives on; it holds a copy of this socket
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        server.collect_children(blocking=True)  # somebody has reaped it
        assert server.active_children == set()


def test_a_child_has_the_signals_of_the_server(module: ModuleType) -> None:
    """The program's own handlers, and those signals blocked that it has blocked, in both processes."""
    handled, blocked = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT), {signal.SIGQUIT, signal.SIGUSR1}

    def tell(request: socket.socket, *_others: object) -> None:
        own = [signal.getsignal(each) is program_s for each in handled]
        request.sendall(repr((own, signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked)).encode())

    def program_s(_number: int, _frame: object) -> None:
        """Nothing comes."""

    before = [signal.signal(each, program_s) for each in handled]
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        with module.ForkingTCPServer(ANYWHERE, tell) as server, connect(server) as client:
            server.handle_request()
            found = b"".join(iter(lambda: client.recv(100), b"")).decode()
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
    assert found == repr(([True] * 3, True))


def test_children_that_a_program_counts_itself(module: ModuleType) -> None:
    """What it puts into active_children is reaped with the others."""
    server = module.ForkingTCPServer(ANYWHERE, upper(module))
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    server.active_children = {pid}
    server.server_close()
    assert server.active_children == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_shut_down_by_the_private_flag(module: ModuleType) -> None:
    """The loop looks at it every poll_interval, and at the event that says whether it has ended."""
    with module.TCPServer(ANYWHERE, upper(module)) as server:
        ended = vars(server)["_BaseServer__is_shut_down"]
        assert isinstance(ended, threading.Event)
        assert not ended.is_set()
        assert vars(server)["_BaseServer__shutdown_request"] is False
        with serving(server, 0.001):
            assert ask(server) == b"PING\n"
            assert not ended.is_set()
        assert ended.is_set()
        assert server._BaseServer__shutdown_request is False
        server.shutdown()  # after the loop: returns, and is kept
        server.serve_forever(1000)
        with serving(server, 0.01):  # again
            assert ask(server) == b"PING\n"


def test_service_actions(module: ModuleType) -> None:
    """After each request and after each poll_interval without one; what they raise leaves the loop."""
    calls: list[int] = []
    served: list[int] = []

    class Server(module.TCPServer):  # type: ignore[name-defined,misc]
        def service_actions(self) -> None:
            calls.append(len(served))
            if len(calls) == 5:
                raise LookupError

    with Server(ANYWHERE, lambda *_: served.append(1)) as server, connect(server), connect(server):
        with pytest.raises(LookupError):
            server.serve_forever(0.001)
    assert calls == [1, 2, 2, 2, 2]


def test_ctrl_c(module: ModuleType) -> None:
    """Leaves a long wait at once, and the loop is over."""
    with module.TCPServer(ANYWHERE, upper(module)) as server:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever(1000)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert server._BaseServer__is_shut_down.is_set()


class Fake:
    """A selector of a program's own, which knows what the loop uses and no more."""

    made: "list[Fake]"
    answers: list[object]

    def __init__(self) -> None:
        self.made.append(self)
        self.waited: list[object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True

    def register(self, watched: object, events: int) -> None:
        self.watched, self.events = watched, events

    def select(self, timeout: float | None) -> object:
        self.waited.append(timeout)
        answer = self.answers.pop(0)
        if callable(answer):
            answer()
        return answer


def test_a_selector_of_ones_own(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It drives the loop: whatever is true means that something has arrived."""
    monkeypatch.setattr(Fake, "made", [], raising=False)
    monkeypatch.setattr(module, "_ServerSelector", Fake)
    handled: list[str] = []
    with module.TCPServer(ANYWHERE, upper(module)) as server:
        server._handle_request_noblock = lambda: handled.append("noblock")

        def stop() -> None:
            server._BaseServer__shutdown_request = True

        monkeypatch.setattr(Fake, "answers", [[], ["x"], True, None, stop], raising=False)
        server.serve_forever(7)
        assert handled == ["noblock"] * 2
        (used,) = Fake.made
        assert (used.watched, used.waited, used.closed) == (server, [7] * 5, True)
        monkeypatch.setattr(Fake, "answers", [["x"]], raising=False)
        server.handle_request()
        assert handled == ["noblock"] * 3


def test_a_patched_select(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with the real selector's method replaced."""
    answers: list[object] = [[], ["x"], [None], ()]
    waited: list[object] = []
    handled: list[str] = []

    def select(_self: object, timeout: float | None = None) -> object:
        waited.append(timeout)
        if len(answers) == 1:
            server._BaseServer__shutdown_request = True
        return answers.pop(0)

    monkeypatch.setattr(module._ServerSelector, "select", select)
    with module.TCPServer(ANYWHERE, upper(module)) as server:
        server._handle_request_noblock = lambda: handled.append("noblock")
        server.serve_forever(7)
    assert (waited, handled) == ([7] * 4, ["noblock"] * 2)


def test_select_patched_while_it_serves(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the next wait on it is asked."""
    waited: list[object] = []

    def select(_self: object, timeout: float | None = None) -> list[object]:
        waited.append(timeout)
        server._BaseServer__shutdown_request = True
        return []

    with module.TCPServer(ANYWHERE, upper(module)) as server:
        server.service_actions = lambda: monkeypatch.setattr(module._ServerSelector, "select", select)
        server.serve_forever(0.001)
    assert waited == [0.001]


@pytest.mark.parametrize("poll_interval", [0, -1, 0.0001])
def test_polls_that_do_not_wait(module: ModuleType, poll_interval: float) -> None:
    """What is not more than nothing is nothing: the loop goes round, and serves what has arrived."""
    rounds: list[None] = []

    def count() -> None:
        rounds.append(None)
        if len(rounds) == 3:
            client.connect(server.server_address)
        elif handled:
            server._BaseServer__shutdown_request = True

    handled: list[None] = []
    with module.TCPServer(ANYWHERE, lambda *_: handled.append(None)) as server, socket.socket() as client:
        server.service_actions = count
        server.serve_forever(poll_interval)
    assert len(handled) == 1


def test_a_loop_of_ones_own(module: ModuleType) -> None:
    """A copy of serve_forever that sets and clears the event itself is waited for by shutdown."""
    begun = threading.Event()

    class Own(module.TCPServer):  # type: ignore[name-defined,misc]
        def serve_forever(self, poll_interval: float = 0.001) -> None:
            ended, flag = self._BaseServer__is_shut_down, "_BaseServer__shutdown_request"
            ended.clear()
            begun.set()
            while not getattr(self, flag):
                with module._ServerSelector() as selector:
                    selector.register(self, module.selectors.EVENT_READ)
                    if selector.select(poll_interval):
                        self._handle_request_noblock()
            left.append(True)
            setattr(self, flag, False)
            ended.set()

    left: list[bool] = []
    with Own(ANYWHERE, upper(module)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        begun.wait(FAILSAFE)
        assert ask(server) == b"PING\n"
        server.shutdown()
        assert left == [True]
        thread.join(FAILSAFE)


def test_a_pool_of_ones_own(module: ModuleType, log: Log) -> None:
    """process_request may hand process_request_thread to other threads."""
    done = threading.Event()

    class Pooled(module.ThreadingMixIn, module.TCPServer):  # type: ignore[name-defined,misc]
        def process_request(self, request: object, client_address: object) -> None:
            worker = threading.Thread(target=self.process_request_thread, args=(request, client_address))
            worker.start()
            done.wait(0)
            worker.join(FAILSAFE)

    with noting(Pooled, log)(ANYWHERE, upper(module)) as server, connect(server) as client:
        client.sendall(b"x\n")
        client.shutdown(socket.SHUT_WR)
        server.handle_request()
        assert client.recv(10) == b"X\n"
    assert log.notes()[4:8] == ["process_request", "process_request_thread", "finish_request", "shutdown_request"]


def test_servers_made_before_a_fork(module: ModuleType) -> None:
    """Several children serve from one server, and the parent afterwards: nothing of a loop is shared."""
    with module.ThreadingTCPServer(
        ANYWHERE, lambda request, *_: request.sendall(str(os.getpid()).encode())
    ) as server:
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                server.handle_request()
                server.server_close()
                os._exit(0)
            pids.append(pid)
        assert {int(ask(server, b"")) for _ in pids} == set(pids)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]
        with serving(server, 0.01):
            assert int(ask(server, b"")) == os.getpid()


def test_the_other_module_s_parts(module: ModuleType, log: Log) -> None:
    """Mix-ins of the one over servers of the other."""
    other = ours if module is stdlib else stdlib
    for name in ("ThreadingMixIn", "ForkingMixIn"):
        mixed = type("Mixed", (getattr(module, name), other.TCPServer), {})
        with mixed(ANYWHERE, upper(other)) as server, serving(server, 0.01):
            assert ask(server) == b"PING\n"
        assert not getattr(server, "active_children", None)


@pytest.mark.parametrize("name", ["UnixStreamServer", "UnixDatagramServer"])
def test_unix_sockets(module: ModuleType, name: str, folder: Any) -> None:
    """The kernel's addresses, and a file that nobody removes."""
    path = str(folder / "s")
    kind = "DatagramRequestHandler" if "Datagram" in name else "StreamRequestHandler"
    with getattr(module, name)(path, upper(module, kind)) as server:
        assert server.server_address == path
        assert server.socket.getblocking()
        if kind == "StreamRequestHandler":
            with serving(server, 0.01):
                assert ask(server) == b"PING\n"
    assert os.path.exists(path)
