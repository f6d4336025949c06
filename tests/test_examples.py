"""Each example as a process, under every strategy that fits, with the clients that people use."""

import csv
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from example_clients import FOLDER, NAMES, STRATEGIES, Example, ask, load, serving, strategy_options
from recorder import FAILSAFE
from tls_kit import NAME, authority

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

pytestmark = pytest.mark.timeout(30)

SHARED_MEMORY = [name for name in STRATEGIES if name != "fork"]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)

#: What makes each example serve: where it listens, and its own arguments.
ARGUMENTS = {
    "activated": ["--port", "0"],
    "behind_haproxy": ["--tcp", "127.0.0.1:0", "--agent", "127.0.0.1:0"],
    "bounded_threads": ["--tcp", "127.0.0.1:0", str(FOLDER)],
    "chat": ["--tcp", "127.0.0.1:0"],
    "control_socket": ["--unix", "{folder}/control"],
    "dns_hosts": ["--udp", "127.0.0.1:0", "{folder}/hosts"],
    "http_files": ["--tcp", "127.0.0.1:0", str(FOLDER)],
    "http_messages": ["--tcp", "127.0.0.1:0"],
    "http_workers": ["--port", "0", "--workers", "1", str(FOLDER)],
    "primes_messages": ["--tcp", "127.0.0.1:0"],
    "resp_messages": ["--tcp", "127.0.0.1:0"],
    "resp_store": ["--tcp", "127.0.0.1:0"],
    "statsd_sink": ["--udp", "127.0.0.1:0"],
    "syslog_sink": ["--udp", "127.0.0.1:0"],
    "tcp_proxy": ["--tcp", "127.0.0.1:0", "127.0.0.1:9"],
    "tftp_files": ["--udp", "127.0.0.1:0", str(FOLDER)],
    "tls_echo": ["--tcp", "127.0.0.1:0", "--certificate", "{folder}/chain.pem"],
}

HOSTS = """\
127.0.0.1  localhost        # as everywhere
192.0.2.7  www.example www2.example
192.0.2.8  www.example

2001:db8::7  www.example
"""


@pytest.fixture
def hosts(folder: Path) -> Path:
    """A hosts file."""
    path = folder / "hosts"
    path.write_text(HOSTS)
    return path


@pytest.fixture
def certificate(folder: Path) -> Path:
    """A certificate with its key."""
    path = folder / "chain.pem"
    authority().issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


@pytest.fixture
def no_shell() -> Iterator[None]:
    """Let Ctrl-C be heard also where a shell has started the tests in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def connect(example: Example) -> socket.socket:
    host, port = example.endpoint()
    return socket.create_connection((host, int(port)), FAILSAFE)


# All.


def test_every_example_is_tested() -> None:
    """A new example needs a row here."""
    assert list(ARGUMENTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("no_shell", "hosts", "certificate")
def test_interrupted(name: str, folder: Path) -> None:
    """Ctrl-C ends an example with the status that shells expect, and no traceback."""
    with serving(name, *(argument.format(folder=folder) for argument in ARGUMENTS[name])) as example:
        example.send(signal.SIGINT)
        assert example.wait() == 130


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "sync"])
def test_terminated_with_a_client(strategy: str) -> None:
    """SIGTERM gives a client that stays some time; then it sees the end, and the exit status is 0."""
    options = ["--tcp", "127.0.0.1:0", "--grace", "0.1", *strategy_options(strategy)]
    with serving("resp_store", *options) as store, connect(store) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
        store.send(signal.SIGTERM)
        assert client.recv(100) == b""
        assert store.wait() == 0


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in {"activated", "bounded_threads", "http_workers"}]
)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help shows the docstring, and which strategy has which options."""
    module = load(name)
    with pytest.raises(SystemExit, match="0"):
        module.main(["--help"])
    shown = capsys.readouterr().out
    assert module.__doc__.strip() in shown
    assert "pool --workers --daemon" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say where to listen"),
        (["--tcp", "nowhere"], "'nowhere' is not HOST:PORT"),
        (["--tcp", "127.0.0.1:65536"], "from 0 to 65535"),
        (["--tcp", "127.0.0.1:0", "--strategy", "sync", "--workers", "3"], "sync has no --workers"),
        (["--tcp", "127.0.0.1:0", "--strategy", "pool", "--workers", "0"], "workers must be"),
        (["--udp", "127.0.0.1:0"], "unrecognized arguments: --udp"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line is explained, and nothing is opened."""
    with pytest.raises(SystemExit, match="2"):
        load("resp_store").main(arguments)
    assert says in capsys.readouterr().err


def test_address_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that cannot be had is an error message, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit, match="1"):
        load("resp_store").main(["--tcp", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert "cannot listen at" in capsys.readouterr().err


# resp_store.

#: What redis-cli is told, and the lines that it prints; behind an error it leaves one empty.
CONVERSATION = [
    ("PING", ["PONG"]),
    ("SET key value EX 100", ["OK"]),
    ("GET key", ["value"]),
    ("TTL key", ["100"]),
    ("INCR number", ["1"]),
    ("INCRBY number 41", ["42"]),
    ("MGET key nothing number", ["value", "", "42"]),
    ("INCR key", ["ERR value is not an integer or out of range", ""]),
    ("NONSENSE", ["ERR unknown command 'NONSENSE'", ""]),
    ("DEL key number nothing", ["2"]),
    ("EXISTS key number", ["0"]),
    ("SET left 1", ["OK"]),
]


#: The store, written in two ways.
stores = pytest.mark.parametrize("name", ["resp_store", "resp_messages"])


@stores
@every_strategy
def test_redis_clients(strategy: str, name: str, folder: Path) -> None:
    """redis-cli and redis-benchmark take it for a Redis, by TCP and by a Unix socket at the same time."""
    options = ["--tcp", "127.0.0.1:0", "--unix", str(folder / "redis"), *strategy_options(strategy)]
    with serving(name, *options, listens=2) as store:
        _, port = store.endpoint()
        said = "\n".join(command for command, _ in CONVERSATION)
        answers = [line for _, lines in CONVERSATION for line in lines]
        assert ask("redis-cli", "-p", port, said=said).splitlines() == answers

        # What one client has set another sees, unless each has a process.
        assert ask("redis-cli", "-s", store.addresses[1], "GET", "left") == ("\n" if strategy == "fork" else "1\n")

        clients = "1" if strategy == "sync" else "4"
        measure = ["-t", "ping_inline,ping_mbulk,set,get,incr", "-n", "2000", "-P", "16", "-c", clients, "--csv"]
        rows = list(csv.DictReader(ask("redis-benchmark", "-p", port, *measure).splitlines()))
        assert [row["test"] for row in rows] == ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"]
        assert all(float(row["rps"]) > 0 for row in rows)


@stores
def test_netcat(name: str) -> None:
    """Commands can be typed by hand."""
    with serving(name, "--tcp", "127.0.0.1:0") as store:
        said = 'ping\r\necho "two words"\r\nquit\r\n'
        assert ask("nc", *store.endpoint(), said=said) == "+PONG\n$9\ntwo words\n+OK\n"


@stores
def test_redis_3_falls_back(name: str) -> None:
    """A client that asks for RESP3 hears that there is none, and goes on."""
    with serving(name, "--tcp", "127.0.0.1:0") as store:
        assert "unknown command 'hello'" in ask("redis-cli", "-p", store.endpoint()[1], "hello", "3")


# dns_hosts.


@every_strategy
def test_dig_and_dnsperf(strategy: str, hosts: Path) -> None:
    """Resolvers get the addresses, the names, and the difference between no name and no address."""
    with serving("dns_hosts", "--udp", "127.0.0.1:0", *strategy_options(strategy), str(hosts)) as server:
        _, port = server.endpoint()
        dig = ["dig", "@127.0.0.1", "-p", port, "+tries=1", "+timeout=10"]
        assert ask(*dig, "+short", "WWW.Example", "A").split() == ["192.0.2.7", "192.0.2.8"]
        assert ask(*dig, "+short", "www.example", "AAAA").split() == ["2001:db8::7"]
        assert ask(*dig, "+short", "-x", "192.0.2.7").split() == ["www.example."]
        assert ask(*dig, "+short", "-x", "2001:db8::7").split() == ["www.example."]
        missing, empty = ask(*dig, "no.example", "A"), ask(*dig, "+noedns", "localhost", "AAAA")
        assert "status: NXDOMAIN" in missing
        assert "EDNS: version: 0, flags:; udp: 1232" in missing
        assert "status: NOERROR" in empty
        assert "flags: qr aa rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0" in empty

        queries = hosts.with_name("queries")
        queries.write_text("www.example A\nlocalhost A\nno.example A\n")
        report = ask("dnsperf", "-s", "127.0.0.1", "-p", port, "-d", str(queries), "-n", "30", "-q", "10")
        assert "Queries completed:    90 (100.00%)" in report
        assert "NOERROR 60 (66.67%), NXDOMAIN 30 (33.33%)" in report


# syslog_sink.


@every_strategy
def test_logger(strategy: str, folder: Path) -> None:
    """logger's messages arrive, of both formats, by UDP and by a Unix socket at the same time."""
    path = str(folder / "log")
    options = ["--udp", "127.0.0.1:0", "--unix-datagram", path, *strategy_options(strategy)]
    with serving("syslog_sink", *options, listens=2) as sink:
        host, port = sink.endpoint()
        udp = ["logger", "-n", host, "-P", port, "--udp", "-t", "app"]
        ask(*udp, "--rfc5424", "-p", "mail.err", "--id=7", "the new format")
        assert sink.line().endswith(" mail.err app[7]: the new format")
        ask(*udp, "--rfc3164", "-p", "local7.debug", "--id=8", "the old format")
        assert sink.line().endswith(" local7.debug app[8]: the old format")
        ask("logger", "-u", path, "-t", "app", "this machine's\tformat")
        assert sink.line().endswith(r" user.notice app: this machine's\tformat")


# control_socket.


@pytest.mark.parametrize("strategy", SHARED_MEMORY)
def test_socat_and_netcat(strategy: str, folder: Path) -> None:
    """The owner, and nobody else, can look at the daemon, change it and stop it."""
    path = str(folder / "control")
    with serving("control_socket", "--unix", path, *strategy_options(strategy)) as daemon:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        shown = ask("socat", "-", f"UNIX-CONNECT:{path}", said="set name some value\nget name\nget\nnonsense\n")
        assert shown.splitlines() == [
            "ok",
            "some value",
            "usage: get KEY",
            "error: no command 'nonsense'; try help",
        ]
        lines = ask("nc", "-U", path, said="get name\nstatus\nhelp\nwhoami\nstop\nget name\n").splitlines()
        assert lines[0] == "some value"
        assert lines[1].startswith(f"pid {daemon.process.pid}, up ")
        assert lines[-2].endswith(f"uid {os.getuid()} gid {os.getgid()}")
        assert lines[-1] == "stopping"
        assert daemon.wait() == 0
    assert not os.path.exists(path)


# tcp_proxy.


@every_strategy
def test_a_proxy(strategy: str, folder: Path) -> None:
    """curl and redis-cli speak to other servers through it, which it reaches by TCP and by a Unix socket."""
    through = ["--tcp", "127.0.0.1:0", "--grace", "0", *strategy_options(strategy)]
    path, front = str(folder / "redis"), str(folder / "front")
    with (
        serving("resp_store", "--unix", path),
        serving("http_files", "--tcp", "127.0.0.1:0", str(FOLDER)) as files,
        serving("tcp_proxy", *through, "--unix", front, path, listens=2) as to_store,
        serving("tcp_proxy", *through, files.addresses[0]) as to_files,
    ):
        assert ask("redis-cli", "-p", to_store.endpoint()[1], "SET", "key", "value") == "OK\n"
        assert ask("redis-cli", "-s", front, said="GET key\nPING there\n") == "value\nthere\n"
        curl = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"]
        expected = (FOLDER / "http_files.py").read_text()
        assert ask(*curl, f"http://{to_files.addresses[0]}/http_files.py") == expected
        clients = "1" if strategy == "sync" else "8"
        measure = ["-t", "set,get", "-n", "1000", "-P", "16", "-d", "1000", "-c", clients, "--csv"]
        rows = list(csv.DictReader(ask("redis-benchmark", "-s", front, *measure).splitlines()))
        assert [row["test"] for row in rows] == ["SET", "GET"]


@every_strategy
def test_a_proxy_passes_on_the_end_of_each_way(strategy: str) -> None:
    """socat sends much, then the end of it, which the other side hears; only then that answers, with as much."""
    said = "".join(f"line {number}\n" for number in range(200_000))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(FAILSAFE)

        def answer() -> None:
            peer, _ = listener.accept()
            with peer, peer.makefile("rb") as lines:
                heard.append(sum(1 for _ in lines))
                peer.sendall(said.upper().encode())

        heard: list[int] = []
        other = threading.Thread(target=answer)
        other.start()
        upstream = "{}:{}".format(*listener.getsockname())
        with serving("tcp_proxy", "--tcp", "127.0.0.1:0", *strategy_options(strategy), upstream) as proxy:
            socat = ["socat", "-t", str(FAILSAFE), "-", f"TCP:{proxy.addresses[0]}"]
            try:
                assert ask(*socat, said=said) == said.upper()
            finally:
                listener.close()
                other.join(FAILSAFE)
        assert heard == [200_000]


def test_a_proxy_without_its_server(folder: Path) -> None:
    """The client sees the end, and the proxy says why."""
    with serving("tcp_proxy", "--tcp", "127.0.0.1:0", str(folder / "nobody")) as proxy:
        with connect(proxy) as client:
            assert client.recv(10) == b""
        assert "nobody cannot be reached" in proxy.line()


# http_files and bounded_threads.


@every_strategy
def test_curl(strategy: str, folder: Path) -> None:
    """curl gets files by TCP and by a Unix socket."""
    path = str(folder / "http")
    options = ["--tcp", "127.0.0.1:0", "--unix", path, *strategy_options(strategy), str(FOLDER)]
    with serving("http_files", *options, listens=2) as server:
        expected = (FOLDER / "http_files.py").read_text()
        curl = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"]
        assert ask(*curl, f"http://{server.addresses[0]}/http_files.py") == expected
        assert ask(*curl, "--unix-socket", path, "http://localhost/http_files.py") == expected
    by_tcp, by_unix = server.errors.splitlines()
    assert by_tcp.startswith("127.0.0.1 - - [")
    assert by_unix.startswith("unix: - - [")


def test_bounded_by_itself() -> None:
    """The strategy's file can be run too."""
    with serving("bounded_threads", "--tcp", "127.0.0.1:0", "--workers", "1", str(FOLDER)) as server:
        curl = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"]
        assert "bounded_threads.py" in ask(*curl, f"http://{server.addresses[0]}/")


# http_messages.


@every_strategy
def test_curl_and_h11(strategy: str, folder: Path) -> None:
    """Kept connections, chunked bodies, 100-continue, and what is no HTTP."""
    body = folder / "body"
    body.write_bytes(b"0123456789" * 10_000)
    with serving("http_messages", "--tcp", "127.0.0.1:0", *strategy_options(strategy)) as server:
        url = "http://" + ":".join(server.endpoint())
        curl = ["curl", "--silent", "--show-error", "--max-time", "10"]
        assert ask(*curl, f"{url}/a", f"{url}/b") == "you have asked for /a\nyou have asked for /b\n"
        connects = ask(*curl, "-o", os.devnull, "-w", "%{num_connects} ", f"{url}/a", "-o", os.devnull, f"{url}/b")
        assert connects == "1 0 "
        for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            assert ask(*curl, *more, "--data-binary", f"@{body}", url) == body.read_text()
        assert ask(*curl, "-X", "DELETE", "-w", "%{http_code}", url).endswith("405")
        with connect(server) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


# http_workers.


def test_files_are_served_by_workers_that_are_replaced() -> None:
    """curl is answered by each; kill -9, SIGHUP and SIGTERM do what is written there."""
    with serving("http_workers", "--port", "0", "--workers", "2", str(FOLDER)) as server:
        words = [server.line().split() for _ in range(2)]
        pids = {int(pid) for _, _, _, pid, _ in words}
        url = f"http://{server.addresses[0]}"
        assert "http_workers.py" in ask("curl", "-sS", url)
        pid = int(ask("curl", "-sS", f"{url}/-/workers").split()[1])
        assert pid in pids
        os.kill(pid, signal.SIGKILL)
        assert "serves" in server.line()
        assert f"has replaced {pid}" in server.line()
        server.send(signal.SIGHUP)
        lines = [server.line() for _ in range(6)]
        assert sum("has replaced" in line for line in lines) == 2
        assert ask("curl", "-sS", f"{url}/-/workers").endswith("with 3 connections so far\n")


# primes_messages.


def test_primes_are_computed_by_processes() -> None:
    """Over TCP and UDP, in the workers; what is no number says so."""
    arguments = ("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--workers", "1")
    with serving("primes_messages", *arguments, listens=2) as server, connect(server) as client:
        client.sendall(b"1001\n1\n2\n0\nseven\n1000000000000000001\n")
        with client.makefile("rb") as lines:
            assert [next(lines) for _ in range(3)] == [b"1001: 7 11 13\n", b"1: \n", b"2: 2\n"]
            assert [next(lines) for _ in range(3)] == [b"? a whole number from 1 to 1000000000000000000\n"] * 3
        host, port = server.endpoint(1)
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.settimeout(FAILSAFE)
            peer.connect((host, int(port)))
            peer.send(b"360")
            assert peer.recv(100) == b"360: 2 2 2 3 3 5"
