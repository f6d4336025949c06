"""The command line: what it serves, how it stops, and what it says to a mistake."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from trustme import KeyType

import sockserve
from kinds import receive
from recorder import FAILSAFE
from sockserve import (
    Deadlines,
    Limits,
    PreforkStrategy,
    ProxyProtocolTransport,
    TcpTransport,
    ThreadPoolStrategy,
    UdpTransport,
    __version__,
    demo,
)
from sockserve._named.parts import argument_docs
from sockserve._serving import lifecycle
from sockserve.cli import _listeners, _options, _stopping, main
from systemd_kit import handed_over
from tls_kit import NAME, authority, client_context

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

HANDLERS = '''
import os, signal, threading
from sockserve import Server, StreamRequestHandler, SyncStrategy, TcpTransport

class Upper(StreamRequestHandler):
    """Answers each line; "stop" stops the server, the number of a signal sends it to the process."""

    def handle(self):
        for line in self.rfile:
            word = line.strip().decode()
            if word == "stop":
                self.server.request_stop(10.0)
            elif word == "fail":
                raise LookupError("on purpose")
            elif word == "forked":
                fork_and_signal()
            elif word.isdigit():
                signal.raise_signal(int(word))
            self.wfile.write(line.upper())

def fork_and_signal():
    child = os.fork()
    if child == 0:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM

def anything(request, client_address, server):
    if isinstance(request, tuple):
        request[1].sendto(request[0].upper(), client_address)
        server.request_stop()
    else:
        while data := request.recv(100):
            request.sendall(data.upper())
            server.request_stop(10.0)

let_go = threading.Event()

def holding(request, client_address, server):
    """Ignores the end of its connection."""
    request.sendall(b"here\\n")
    for _ in range(int(request.recv(1))):
        signal.raise_signal(signal.SIGTERM)
    assert let_go.wait(10)

def two(request, client_address): ...
def broken_actions(): raise LookupError("on purpose")
number = 3
server = Server(TcpTransport(("127.0.0.1", 0)), SyncStrategy(), Upper)
'''


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder has a module with handlers; logging and the path are put back afterwards."""
    (tmp_path / "handlers_of_cli.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.modules.pop("handlers_of_cli", None)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket whose descriptor the command line is given: its port is known, and clients queue already."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def tcp(listening: socket.socket) -> socket.socket:
    """A client of that socket."""
    sock = socket.create_connection(listening.getsockname())
    sock.settimeout(FAILSAFE)
    return sock


def fd(listening: socket.socket) -> list[str]:
    """The argument that hands a copy of the socket over."""
    return ["--fd", str(os.dup(listening.fileno()))]


def serve(*arguments: str, handler: str = "Upper", strategy: str = "sync") -> int:
    """Run the command in this thread."""
    return main(
        ["serve", f"handlers_of_cli:{handler}", "--strategy", strategy, "--log-format", "text", *arguments]
    )


def test_a_handler_of_the_current_folder_is_served(app: Path, listening: socket.socket) -> None:
    """Until it asks to stop: the status is 0, and what was in flight got its answer."""
    with tcp(listening) as client:
        client.sendall(b"hello\nstop\n")
        client.shutdown(socket.SHUT_WR)
        assert serve(*fd(listening)) == 0
        assert receive(client, 100) == b"HELLO\nSTOP\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(app: Path, listening: socket.socket, number: int, capsys: Any) -> None:
    """The request in flight goes on, the next stays in the queue; the program's own handlers come back."""
    former = signal.getsignal(number)
    with tcp(listening) as client, tcp(listening) as other:
        client.sendall(b"%d\nafter\n" % number)
        client.shutdown(socket.SHUT_WR)
        other.sendall(b"late\n")
        assert serve(*fd(listening), "--grace", "100") == 0
        assert receive(client, 100) == b"%d\nAFTER\n" % number
    assert signal.getsignal(number) is former
    said = capsys.readouterr().err
    assert f"{signal.Signals(number).name}: draining for at most 100 s; again to end at once" in said
    assert "drained, 0 requests were aborted" in said


def test_the_second_signal_ends_at_once(app: Path, listening: socket.socket) -> None:
    """A handler that waits for its client, in the loop's own thread, sees the end of its connection."""
    with tcp(listening) as client:
        client.sendall(b"%d\n%d\n" % (signal.SIGTERM, signal.SIGINT))
        assert serve(*fd(listening), "--grace", "1000") == 0
        assert receive(client, 4) == b"15\n2"


@pytest.mark.parametrize("signals", [1, 2])
def test_a_handler_that_never_ends_does_not_hold_the_process(
    app: Path, listening: socket.socket, signals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace, or the second signal, and a little: the process is left as it is, with status 0."""
    for module in (lifecycle, _stopping):
        monkeypatch.setattr(module, "LAST_WAIT", 0.01)
    left = []

    def leave(status: int) -> None:
        left.append(status)
        sys.modules["handlers_of_cli"].let_go.set()

    monkeypatch.setattr(os, "_exit", leave)
    with tcp(listening) as client:
        client.sendall(b"%d" % signals)
        grace = "100" if signals == 2 else "0.01"
        assert serve(*fd(listening), "--grace", grace, handler="holding") == 0
    assert left[0] == 0


def test_requests_that_are_abandoned_do_not_hold_the_process(
    app: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter would wait for their threads: it is not given the chance."""
    monkeypatch.setattr(lifecycle, "LAST_WAIT", 0.01)
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)

    def interrupt() -> None:
        with tcp(listening) as client:
            client.sendall(b"0")
            client.recv(10)
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert serve(*fd(listening), "--grace", "0", handler="holding", strategy="thread") == 0
    sys.modules["handlers_of_cli"].let_go.set()
    for each in threading.enumerate():
        if each is thread or each.name == "sockserve-request":
            each.join(FAILSAFE)
    assert left == [0]


def test_a_signal_before_there_is_a_server_is_kept(
    app: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the import and listening."""
    monkeypatch.setattr("sockserve.transports.AdoptedTransport.listen", _interrupted(listening))
    monkeypatch.setattr("_thread.start_new_thread", lambda *_: None)  # who insists might be in time
    monkeypatch.setattr(_stopping, "LAST_WAIT", 0.01)
    monkeypatch.setattr("sockserve.cli._serve.serve", _fail)
    assert serve(*fd(listening)) == 0


def _interrupted(listening: socket.socket) -> Callable[[Any], Any]:
    from sockserve import AdoptedTransport

    listen = AdoptedTransport.listen

    def interrupted(transport: AdoptedTransport) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return listen(transport)

    return interrupted


def test_ctrl_c_while_importing_is_status_130(app: Path) -> None:
    """No traceback."""
    (app / "slow_import_of_cli.py").write_text("raise KeyboardInterrupt")
    assert main(["serve", "slow_import_of_cli:X", "--tcp", "127.0.0.1:0"]) == 130


def test_an_ignored_signal_stays_ignored(app: Path, listening: socket.socket, capsys: Any) -> None:
    """What nohup, or a shell that starts it in the background, has set."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with tcp(listening) as client:
            client.sendall(b"%d\nstop\n" % signal.SIGINT)
            client.shutdown(socket.SHUT_WR)
            assert serve(*fd(listening)) == 0
            assert receive(client, 100) == b"2\nSTOP\n"
        assert "SIGINT" not in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGINT, former)


def test_a_signal_to_a_process_that_a_handler_has_forked_means_what_it_does(
    app: Path, listening: socket.socket
) -> None:
    """It ends that process, and not the server."""
    with tcp(listening) as client:
        client.sendall(b"forked\nstop\n")
        client.shutdown(socket.SHUT_WR)
        assert serve(*fd(listening)) == 0
        assert receive(client, 100) == b"FORKED\nSTOP\n"


def test_several_listeners_share_one_loop(
    app: Path, folder: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections and datagrams, one handler for all; the files of sockets are gone in the end."""

    def ask() -> None:
        with tcp(listening) as client:
            client.sendall(b"tcp")
            answers.append(client.recv(100))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/stream,1")
            client.sendall(b"unix")
            answers.append(client.recv(100))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind(f"{folder}/client")
            client.sendto(b"packet", f"{folder}/datagram")
            answers.append(client.recv(100))

    def serve_all(*servers: Any, beside: Any) -> None:
        modes.append((folder / "stream,1").stat().st_mode & 0o777)
        thread.start()
        sockserve.serve(*servers, beside=beside)

    answers: list[bytes] = []
    modes: list[int] = []
    thread = threading.Thread(target=ask)
    monkeypatch.setattr("sockserve.cli._serve.serve", serve_all)
    unix = ["--unix", f"{folder}/stream,,1,mode=600", "--unix-datagram", f"{folder}/datagram"]
    assert serve(*fd(listening), *unix, handler="anything", strategy="thread") == 0
    thread.join()
    assert answers == [b"TCP", b"UNIX", b"PACKET"]
    assert modes == [0o600]
    assert {each.name for each in folder.iterdir()} == {"client"}


def test_a_page_shows_what_is_served(
    app: Path, listening: socket.socket, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the last of it has been stopped."""

    def ask(page: Any) -> None:
        with tcp(listening) as client:
            with socket.create_connection(page.address, FAILSAFE) as viewer:
                viewer.sendall(b"GET /healthz HTTP/1.1\r\nHost: Page.Example\r\nConnection: close\r\n\r\n")
                answers.append(receive(viewer, 10_000))
            client.sendall(b"stop\n")
            answers.append(receive(client, 5))

    def serve_all(*servers: Any, beside: Any) -> None:
        thread = threading.Thread(target=ask, args=tuple(beside))
        thread.start()
        sockserve.serve(*servers, beside=beside)
        thread.join()

    answers: list[bytes] = []
    monkeypatch.setattr("sockserve.cli._serve.serve", serve_all)
    page = ["--status", "127.0.0.1:0", "--status-host", "page.example"]
    assert serve(*fd(listening), *page, strategy="thread") == 0
    assert answers[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers[0].endswith(b"\r\n\r\nok\n")
    assert answers[1] == b"STOP\n"
    assert re.search(r"status page: http://127\.0\.0\.1:\d+/\n", capsys.readouterr().err)


def test_a_failure_while_serving_is_status_1(app: Path, listening: socket.socket, capsys: Any) -> None:
    """With its traceback in the log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sockserve.cli._serve.serve", _fail)
        assert serve(*fd(listening)) == 1
    assert "serving failed\nTraceback" in capsys.readouterr().err


def _fail(*servers: object, beside: object) -> None:
    raise LookupError("on purpose")


def test_a_failing_handler_is_logged_and_the_next_is_served(
    app: Path, listening: socket.socket, capsys: Any
) -> None:
    """One request is one request."""
    with tcp(listening) as first, tcp(listening) as second:
        first.sendall(b"fail\n")
        second.sendall(b"stop\n")
        second.shutdown(socket.SHUT_WR)
        assert serve(*fd(listening), "--log-level", "error") == 0
        assert receive(second, 100) == b"STOP\n"
    said = capsys.readouterr().err
    assert said.count("\n") > 1
    assert "ERROR   handlers_of_cli.Upper failed for 127.0.0.1:" in said
    assert "LookupError: on purpose" in said
    assert "INFO" not in said


def composed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the servers that would be served, in place of serving them."""
    found: list[Any] = []

    def note(servers: Any, *_: object) -> int:
        found.extend(servers)
        return 0

    monkeypatch.setattr("sockserve.cli._serve._serve", note)
    return found


def test_workers_are_processes_under_the_strategy(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever that is."""
    servers = composed(monkeypatch)
    words = ["--tcp", "127.0.0.1:0", "--set", "workers=3", "--workers", "2"]
    assert serve(*words, strategy="thread-pool") == 0
    assert servers[0].strategy == PreforkStrategy(ThreadPoolStrategy(workers=3), workers=2)


def test_workers_serve_and_drain(app: Path, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches all of a terminal's processes, and the parent alone heeds it."""
    answers: list[bytes] = []

    def ask() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/s")
            client.sendall(b"hello\n")
            answers.append(receive(client, 6))
            os.kill(os.getpid(), signal.SIGINT)
            client.sendall(b"still here\n")
            answers.append(receive(client, 11))
            client.shutdown(socket.SHUT_RDWR)  # the worker has a copy of this socket

    def serve_all(*servers: Any, **more: Any) -> None:
        thread.start()
        sockserve.serve(*servers, **more)

    thread = threading.Thread(target=ask)
    monkeypatch.setattr("sockserve.cli._serve.serve", serve_all)
    assert serve("--unix", f"{folder}/s", "--workers", "1") == 0
    thread.join()
    assert answers == [b"HELLO\n", b"STILL HERE\n"]


def test_proxies_are_believed_on_listeners_of_connections(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But where one says otherwise; below TLS."""
    servers = composed(monkeypatch)
    words = ["--tcp", "127.0.0.1:0", "--tcp", "[::1]:0,proxy=false", "--udp", "127.0.0.1:0"]
    assert serve(*words, "--proxy-from", "10.0.0.0/8", "--proxy-from", "::1", handler="anything") == 0
    believing, plain, datagrams = (server.transport for server in servers)
    assert believing == ProxyProtocolTransport(TcpTransport(("127.0.0.1", 0)), ["10.0.0.0/8", "::1"])
    assert plain == TcpTransport(("::1", 0))
    assert datagrams == UdpTransport(("127.0.0.1", 0))


def test_limits_and_deadlines_are_those_of_the_classes(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is an option, and each server has them."""
    servers = composed(monkeypatch)
    bounds = ["--limit-connections", "7", "--limit-overload", r"busy\n", "--deadline-handshake", "none"]
    assert serve("--tcp", "127.0.0.1:0", "--tcp", "[::1]:0", *bounds) == 0
    assert [server.limits for server in servers] == [Limits(connections=7, overload=b"busy\n")] * 2
    assert [server.deadlines for server in servers] == [Deadlines(handshake=None)] * 2


# Mistakes: one line, status 2.

MISTAKES = [
    ([], "commands:"),
    (["serv"], "there is no command 'serv'; did you mean 'serve'?"),
    (["H:Upper", "T"], "there is no command 'handlers_of_cli:Upper'; did you mean serve handlers_of_cli:Upper?"),
    (["--versoin"], "there is no option --versoin; did you mean '--version'?"),
    (["serve"], "the following arguments are required: module:Handler"),
    (["serve", "H:Upper"], "nowhere to listen: add, for example, --tcp 127.0.0.1:9000"),
    (["serve", "H:Uper", "T"], "handlers_of_cli has no 'Uper'; did you mean 'Upper'?"),
    (["serve", "handlers_of_clu:Upper", "T"], "did you mean 'handlers_of_cli'?"),
    (["serve", "H:number", "T"], "handlers_of_cli:number is 3, and cannot be called"),
    (
        ["serve", "H:two", "T"],
        "handlers_of_cli:two(request, client_address) cannot be called with (request, client",
    ),
    (["serve", "H:server", "T"], "handlers_of_cli:server is a whole server"),
    (["serve", "H:Upper", "more", "T"], "'more' is one argument too many"),
    (["serve", "H:Upper", "T", "--stratgy", "fork"], "there is no option --stratgy; did you mean '--strategy'?"),
    (["serve", "H:Upper", "T", "--zzz"], "there is no option --zzz"),
    (
        ["serve", "H:Upper", "T", "--strategy", "frok"],
        "--strategy frok: there is no strategy 'frok'; did you mean",
    ),
    (["serve", "H:Upper", "T", "--set", "demon=true"], "has no option 'demon'; did you mean 'daemon'?"),
    (["serve", "H:Upper", "T", "--set", "daemon=perhaps"], "daemon must be true or false, not 'perhaps'"),
    (["serve", "H:Upper", "T", "--grace", "-1"], "--grace: seconds, not below 0, are meant, not '-1'"),
    (["serve", "H:Upper", "T", "--grace", "soon"], "--grace: seconds, not below 0, are meant, not 'soon'"),
    (["serve", "H:Upper", "T", "--log-format", "xml"], "--log-format: invalid choice: 'xml'"),
    (["serve", "H:Upper", "T", "--limit-per-peer", "x"], "--limit-per-peer x: per_peer must be none or a whole"),
    (["serve", "H:Upper", "T", "--deadline-handshake", "x"], "--deadline-handshake x: handshake must be"),
    (
        ["serve", "H:Upper", "T", "--deadline-handshake", "-1"],
        "--deadline-handshake -1: Deadlines: handshake must",
    ),
    (["serve", "H:Upper", "T", "--status", "8081"], "--status 8081: host:port, such as 127.0.0.1:9000"),
    (["serve", "H:Upper", "T", "--status", ":8081"], "use 127.0.0.1:8081, or add --status-remote"),
    (["serve", "H:Upper", "T", "--status", "127.0.0.1:99999"], "port must be"),
    (["serve", "H:Upper", "T", "--status-remote"], "are about a page: add --status 127.0.0.1:8081"),
    (["serve", "H:Upper", "--tcp", "9000"], "--tcp 9000: address must be host:port, such as 127.0.0.1:9000"),
    (["serve", "H:Upper", "--tcp", ":0,backlgo=1"], "has no option 'backlgo'; did you mean 'backlog'?"),
    (["serve", "H:Upper", "--tcp", "999.0.0.1:0"], "the host must be an IP address"),
    (["serve", "H:Upper", "--tcp", ":0,tls=maybe"], "tls must be true or false, not 'maybe'"),
    (["serve", "H:Upper", "--tcp", ":0,tls=true"], "tls=true needs --tls-cert"),
    (["serve", "H:Upper", "--udp", "127.0.0.1:0"], "handlers_of_cli.Upper serves connections, but UdpTransport"),
    (["serve", "H:Upper", "--unix", "no/folder"], "cannot listen at 'no/folder': No such file or directory"),
    (["serve", "H:Upper", "--unix", "s,mode=abc"], "mode must be permission bits in octal, such as 660"),
    (["serve", "H:Upper", "--fd", "99"], "--fd 99: AdoptedTransport: descriptor 99 is not an open socket"),
    (["serve", "H:Upper", "--systemd"], "--systemd: systemd has handed no socket to this process (LISTEN_PID)"),
    (["serve", "H:Upper", "T", "--workers", "many"], "--workers: a whole number is meant, not 'many'"),
    (
        ["serve", "H:Upper", "T", "--workers", "0"],
        "--strategy thread --workers 0: PreforkStrategy: workers must be",
    ),
    (["serve", "H:Upper", "T", "--strategy", "prefork", "--workers", "2"], "inner"),
    (
        ["serve", "H:Upper", "T", "--proxy-from", "nowhere"],
        "--tcp 127.0.0.1:0: trusted: each must be a network such as",
    ),
    (["serve", "H:Upper", "--tcp", ":0,proxy=true"], "proxy=true needs --proxy-from"),
    (
        ["serve", "H:anything", "--udp", ":0", "--proxy-from", "::1"],
        "--proxy-from is for connections, and no listener",
    ),
    (["serve", "H:Upper", "T", "--tls-key", "k"], "--tls-key needs the certificate, too"),
    (["serve", "H:Upper", "T", "--tls-cert", "c"], "--tls-cert c: No such file or directory"),
    (["serve", "H:Upper", "T", "--tls-cert", "."], "--tls-cert .: Is a directory"),
    (
        ["serve", "H:Upper", "T", "--tls-cert", "handlers_of_cli.py"],
        "does not hold a certificate and its key in PEM",
    ),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[said[:40] for _, said in MISTAKES])
def test_a_mistake_is_one_line_and_status_2(app: Path, capsys: Any, words: list[str], said: str) -> None:
    """What was wrong, with what value, and what to type; no traceback."""
    words = [word.replace("H:", "handlers_of_cli:") for word in words]
    words = [part for word in words for part in (["--tcp", "127.0.0.1:0"] if word == "T" else [word])]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    if words:
        assert re.fullmatch(r"sockserve: [^\n]+\n", err)


def test_a_port_in_use_is_a_mistake(app: Path, listening: socket.socket, capsys: Any) -> None:
    """And what was opened before it is closed."""
    port = listening.getsockname()[1]
    assert serve("--unix", "first", "--tcp", f"127.0.0.1:{port}") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"sockserve: cannot listen at 127.0.0.1:{port}: Address already in use; stop what listens"
    )
    assert not (app / "first").exists()


def test_help_and_version_are_answers(capsys: Any) -> None:
    """On stdout, with status 0; each option of a value is explained by the class that has it."""
    for words in (["--help"], ["serve", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"sockserve {__version__}" in out
    assert "--limit-per-peer N" in out
    assert "--limit-overload wait|close|TEXT" in out
    assert argument_docs(Limits)["per_peer"].split(". ")[0].split("; ")[0] in " ".join(out.split())


def test_the_list_has_every_part_with_its_options(capsys: Any) -> None:
    """By their names, with their defaults and what they mean; one that cannot be imported says why."""
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "  thread-pool\n" in out
    assert "      max_children = 40\n          The most processes at a time" in out
    assert "  --unix\n" in out
    assert "      mode = none\n" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_the_demo_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status is the command's."""
    monkeypatch.setattr(demo, "main", lambda: 7)
    assert main(["demo"]) == 7


# TLS.


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key, in one file and in two; a key of another; one with a password."""
    folder = tmp_path_factory.mktemp("tls")
    mine, other = (authority().issue_cert(NAME, key_type=KeyType.ECDSA) for _ in range(2))
    mine.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    mine.private_key_pem.write_to_path(str(folder / "key.pem"))
    mine.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    other.private_key_pem.write_to_path(str(folder / "other.pem"))
    (folder / "locked.pem").write_text(LOCKED)
    return folder


#: An elliptic key under the password "secret": openssl genpkey -algorithm EC -aes-128-cbc.
LOCKED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiSQ3jGuKObSwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEA2RJxmPua2ApI5ynj/RetMEgZBf
rv7Qm14YK74OG0KIf9EEP/XGlZnMsUdvzflFZ1M03PpfnwHnt3p5WHP/Qe1zegbI
UhRI3ThmVQnSLM8XEOz1a+nrJcYlgFCEoAL0YMEbO3/jcRst1hGTdttlcPoGnkp3
MtdnzTXYjAVB08NePsMBUulcVniN2bdohcAVaMpxaIMzPAX+JKb9UAtmqfUr0+0=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.mark.parametrize("names", [["--tls-cert", "both.pem"], ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]])
def test_tls(app: Path, files: Path, listening: socket.socket, names: list[str]) -> None:
    """On every listener of connections, but those that are left out."""
    words = [word if word.startswith("--") else str(files / word) for word in names]

    def ask() -> None:
        with tcp(listening) as plain, client_context().wrap_socket(plain, server_hostname=NAME) as client:
            client.sendall(b"hello\nstop\n")
            answers.append(client.recv(6))

    answers: list[bytes] = []
    thread = threading.Thread(target=ask)
    thread.start()
    assert serve(*fd(listening), *words) == 0
    thread.join()
    assert answers == [b"HELLO\n"]


def test_a_listener_without_tls_among_others(app: Path, files: Path, listening: socket.socket) -> None:
    """As it says itself."""
    with tcp(listening) as client:
        client.sendall(b"stop\n")
        client.shutdown(socket.SHUT_WR)
        (number,) = fd(listening)[1:]
        assert serve("--fd", f"{number},tls=false", "--tls-cert", str(files / "both.pem")) == 0
        assert receive(client, 5) == b"STOP\n"


TLS_MISTAKES = [
    (["--tls-cert", "cert.pem", "--tls-key", "other.pem"], "/other.pem is not that of the certificate /"),
    (["--tls-cert", "cert.pem"], "/cert.pem does not hold a certificate and its key in PEM"),
    (["--tls-cert", "key.pem", "--tls-key", "cert.pem"], "are not a certificate and a key in PEM"),
    (["--tls-cert", "cert.pem", "--tls-key", "absent.pem"], "/absent.pem: No such file or directory"),
    (
        ["--tls-cert", "cert.pem", "--tls-key", "locked.pem"],
        "/locked.pem has a password, and there is no terminal",
    ),
]


@pytest.mark.parametrize(("names", "said"), TLS_MISTAKES)
def test_files_of_tls_that_do_not_fit(app: Path, files: Path, capsys: Any, names: list[str], said: str) -> None:
    """The file is named, and what is wrong with it."""
    words = [word if word.startswith("--") else str(files / word) for word in names]
    assert serve("--tcp", "127.0.0.1:0", *words) == 2
    err = capsys.readouterr().err
    assert said in err.replace(str(files), "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("password", "said"), [("secret", "is not that of the certificate"), ("guess", "is wrong")]
)
def test_the_password_of_a_key_is_asked_for(
    app: Path, files: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, *, password: str, said: str
) -> None:
    """At a terminal."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: password)
    words = ["--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "locked.pem")]
    assert serve("--tcp", "127.0.0.1:0", *words) == 2
    assert said in capsys.readouterr().err


def test_tls_without_connections_is_a_mistake(app: Path, files: Path, capsys: Any) -> None:
    """There is nothing to secure."""
    words = ["--udp", "127.0.0.1:0", "--tls-cert", str(files / "both.pem")]
    assert serve(*words, handler="anything") == 2
    assert "--tls-cert is for connections, and no listener brings any" in capsys.readouterr().err


# Sockets of systemd.


@pytest.mark.parametrize(("name", "chosen"), [("", [0, 1, 2]), ("web", [0, 2]), ("ctl", [1])])
def test_the_sockets_of_systemd(monkeypatch: pytest.MonkeyPatch, name: str, chosen: list[int]) -> None:
    """All, or those of one name."""
    with handed_over(monkeypatch, "web:ctl:web", "inet", "datagram", "inet") as first:
        listen = _options.Listen("systemd", name)
        made = [transport.sock_or_fd for transport in _listeners.transports(listen, {})]  # type: ignore[attr-defined]
    assert made == [first + number for number in chosen]


def test_a_name_that_systemd_has_not_given(monkeypatch: pytest.MonkeyPatch, app: Path, capsys: Any) -> None:
    """The names are said; and an option of such a socket is systemd's."""
    with handed_over(monkeypatch, "web:ctl", "inet", "datagram"):
        assert serve("--systemd", "wbe") == 2
        assert serve("--systemd", "web,backlog=3") == 2
    said = capsys.readouterr().err
    assert "none of systemd's sockets has the name 'wbe'; there are web, ctl" in said
    assert "'backlog=3': options of these sockets belong into systemd's .socket unit" in said


# The page.

PAGE = (Path(__file__).parent.parent / "docs" / "cli.md").read_text()


def test_the_commands_of_the_page(app: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is understood, and each mistake answered as the page says."""
    (app / "app.py").write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    authority().issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path("cert.pem")
    Path("key.pem").write_bytes(Path("cert.pem").read_bytes())
    servers = composed(monkeypatch)
    monkeypatch.setattr("sockserve.cli._reload.supervise", lambda words, say: 0)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    sessions = [
        line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    commands = [number for number, line in enumerate(sessions) if line.startswith("$ sockserve ")]
    assert len(commands) >= 12
    for here, after in zip(commands, [*commands[1:], len(sessions)], strict=True):
        said = "\n".join(sessions[here + 1 : after])
        if "no/folder" in said:
            monkeypatch.undo()  # this one is a mistake that only opening shows
            monkeypatch.chdir(app)
        assert main(sessions[here].split()[2:]) == (2 if said else 0)
        assert capsys.readouterr().err.strip() == said
    assert len(servers) >= 6
    sys.modules.pop("app", None)


# As people type it.


def test_as_a_program(app: Path, folder: Path) -> None:
    """`python -m sockserve` finds modules of the current folder, logs JSON, drains at SIGTERM, leaves with 0."""
    path = f"{folder}/s"
    command = [sys.executable, "-m", "sockserve", "serve", "handlers_of_cli:Upper", "--unix", path]
    with subprocess.Popen([*command, "--log-format", "json"], stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        lines = []
        for line in program.stderr:
            lines.append(line)
            if '"message": "serving ' in line:
                break
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(FAILSAFE)
            client.connect(path)
            client.sendall(b"hello\n")
            assert receive(client, 6) == b"HELLO\n"
            program.send_signal(signal.SIGTERM)
            client.sendall(b"still here\n")
            assert receive(client, 11) == b"STILL HERE\n"
        lines += program.stderr
        assert program.wait(FAILSAFE) == 0
    assert '"event": "Listening"' in lines[0]
    assert '"event": "Drained"' in "".join(lines)
    assert not Path(path).exists()
