"""The status page's server: its answers, what it refuses, and that it answers while all others are busy."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sockserve.status
from kinds import AF_UNIX, EchoLines, echo, give_way
from recorder import FAILSAFE, Recorder
from sockserve import (
    ForkStrategy,
    InetAddress,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    RowInfo,
    SelectorStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UnixStreamTransport,
    serve,
)
from sockserve.events import WorkerReplaced, WorkerStarted
from sockserve.messages import MessageClient
from sockserve.metrics._watched import Watched
from sockserve.status import _snapshot, status_server
from sockserve.status._handler import StatusHandler
from sockserve.status._http import MAX_HEAD, Heads, HttpError, TooLong, parse
from sockserve.status._site import Site
from sockserve.status._snapshot import options_text

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

TCP = TcpTransport(("127.0.0.1", 0))

Headers = dict[str, str]


@contextlib.contextmanager
def served(*servers: Server[Any, Any], page: Server[Any, Any] | None = None) -> Iterator[InetAddress]:
    """Serve *servers* with a page beside them; give where it is."""
    page = page or status_server(servers)
    with contextlib.ExitStack() as stack:
        for server in (page, *servers):
            stack.enter_context(server)
        thread = threading.Thread(target=serve, args=servers, kwargs={"beside": [page]})
        thread.start()
        try:
            yield page.address
        finally:
            for server in servers:
                server.shutdown(FAILSAFE)
            thread.join(FAILSAFE)


def get(
    address: InetAddress, path: str, method: str = "GET", headers: Headers | None = None
) -> tuple[int, Headers, bytes]:
    """Ask with the standard library's client."""
    connection = http.client.HTTPConnection(*address, timeout=FAILSAFE)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def status_of(address: InetAddress) -> dict[str, Any]:
    """Return what ``/status.json`` says."""
    found: dict[str, Any] = json.loads(get(address, "/status.json")[2])
    return found


# A page, by its handler alone.


def client(*servers: Server[Any, Any], hosts: frozenset[str] = frozenset()) -> MessageClient:
    """Connect to the page's handler without a socket."""
    site = Site(Watched.of(servers or Server(TCP, SyncStrategy(), echo), "test"), hosts)
    return MessageClient(lambda *arguments: StatusHandler(*arguments, site=site))


def answer(head: bytes) -> tuple[int, bool]:
    """Return the status that a request gets, and whether the connection goes on."""
    with client() as asking:
        text = asking.send(head)
        return int(text.split(b" ", 2)[1]), not asking.closed


@pytest.mark.parametrize(
    ("head", "status", "keeps"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 503, True),
        (b"\r\nGET /metrics HTTP/1.1\r\nHost:localhost:80 \r\n\r\n", 200, True),
        (b"GET /metrics?x=1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, True),
        (b"GET /metrics HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: x, Close\r\n\r\n", 200, False),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200, False),
        (b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, True),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 200, True),
        (b"GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, False),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, False),
        (b"DELETE /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, False),
        (b"GET / HTTP/1.1\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\nHost: localhost\n\r\n\r\n", 400, False),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, False),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400, False),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, 431, False),
        # A name that somebody else may let point here.
        (b"GET / HTTP/1.1\r\nHost: evil.example:8081\r\n\r\n", 421, False),
        (b"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421, False),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421, False),
        (b"GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", 421, False),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 421, False),
    ],
)
def test_what_is_answered(head: bytes, status: int, keeps: bool) -> None:
    """By its status, and whether the connection goes on after it: not after anything odd."""
    assert answer(head) == (status, keeps)


def test_every_answer_forbids_what_it_does_not_need() -> None:
    """Also those of errors: nothing inline, nothing from elsewhere, nothing guessed, nothing kept."""
    with client() as asking:
        for path in (b"/", b"/status.json", b"/metrics", b"/healthz", b"/nothing"):
            head = asking.send(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path).partition(b"\r\n\r\n")[0]
            assert b"default-src 'none'; script-src 'self';" in head
            assert b"unsafe" not in head
            for line in (b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store", b"X-Frame-Options: DENY"):
                assert line in head


def test_names_that_were_allowed_are_answered() -> None:
    """A proxy's, for instance, however it is written."""
    with client(hosts=frozenset({"status.example"})) as asking:
        assert asking.send(b"GET /metrics HTTP/1.1\r\nHost: Status.Example:443\r\n\r\n").startswith(
            b"HTTP/1.1 200 "
        )


def test_a_head_request_gets_the_length_alone() -> None:
    """And the connection goes on in step."""
    with client() as asking:
        head = asking.send(b"HEAD /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
        full = asking.send(b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    text, _, body = full.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert b"Content-Length: %d\r\n" % len(body) in text


def test_requests_that_come_together_are_answered_in_order() -> None:
    """And none after the one that ends the connection."""
    with client() as asking:
        found = asking.send(
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        assert asking.closed
    assert [line for line in found.split(b"\r\n") if line.startswith(b"HTTP/")] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 404 Not Found",
    ]


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"Host: localhost"]))
)
def test_whatever_comes_is_answered_or_waited_for(pieces: list[bytes]) -> None:
    """Nothing that a client sends is an error of the handler."""
    with client() as asking:
        for piece in pieces:
            if asking.closed:
                break
            found = asking.send(piece)
            assert not found or found.startswith(b"HTTP/1.1 ")


@given(st.binary(max_size=200))
def test_a_head_is_read_or_refused(head: bytes) -> None:
    """By a status that has a reason."""
    with contextlib.suppress(HttpError):
        assert parse(head).path.startswith("/")


def test_what_is_too_long_is_held_no_longer() -> None:
    """As soon as it is known."""
    decoder = Heads().decoder()
    assert list(decoder.feed(b"x" * MAX_HEAD)) == []
    assert [type(found) for found in decoder.feed(b"x")] == [TooLong]


# A page, served.


def test_the_page_answers_while_every_thread_is_busy() -> None:
    """From the loop of the server that it is about."""
    release = threading.Event()

    def busy(request: Any, client_address: Any, server: Any) -> None:
        request.sendall(b"!")
        assert release.wait(FAILSAFE)

    server = Server(TCP, ThreadPoolStrategy(workers=2), busy)
    with served(server) as address, contextlib.ExitStack() as stack:
        stack.callback(release.set)
        clients = [stack.enter_context(socket.create_connection(server.address, FAILSAFE)) for _ in range(2)]
        assert [each.recv(1) for each in clients] == [b"!", b"!"]
        waiting = [stack.enter_context(socket.create_connection(server.address, FAILSAFE)) for _ in range(3)]
        (found,) = status_of(address)["servers"]
        assert found["full"] is True
        assert found["queued"] == len(waiting)
        assert found["stats"]["active"] == 2
        assert [row["state"] for row in found["rows"]] == ["running", "running"]
        assert {row["peer"] for row in found["rows"]} == {f"127.0.0.1:{each.getsockname()[1]}" for each in clients}
        assert all(0 <= row["seconds"] < FAILSAFE for row in found["rows"])


def test_the_rows_of_a_table_say_what_they_wait_for() -> None:
    """And nothing of the page's own connections is among them."""
    server = Server(TCP, SelectorStrategy(slow=2.0), EchoLines)
    with served(server) as address, socket.create_connection(server.address, FAILSAFE) as asking:
        asking.sendall(b"x\n")
        assert asking.recv(10) == b"x\n"
        found = status_of(address)
        assert found["health"] == "ok"
        assert found["pid"] > 0
        (shown,) = found["servers"]
        assert shown["strategy"] == "SelectorStrategy(slow=2.0)"
        assert shown["handler"] == "kinds.EchoLines"
        (row,) = shown["rows"]
        assert (row["state"], row["waiting_for"], row["seconds_left"]) == ("reading", "readable", None)
        assert sum(shown["turns"]["counts"]) >= 1


def test_health_is_ok_while_all_serve() -> None:
    """Draining answers 503, for load balancers to look elsewhere; so does a server that has been left."""
    first, second = (Server(TCP, ThreadStrategy(), EchoLines) for _ in range(2))
    with served(first, second) as address, socket.create_connection(second.address, FAILSAFE) as held:
        held.sendall(b"half a ")
        while not second.stats.active:
            give_way()
        assert get(address, "/healthz")[::2] == (200, b"ok\n")
        second.request_stop(FAILSAFE)
        assert get(address, "/healthz")[::2] == (503, b"draining\n")
        assert status_of(address)["health"] == "draining"
        first.shutdown()
        assert get(address, "/healthz", "HEAD")[::2] == (503, b"")


def test_the_page_and_a_forked_request_do_not_disturb_each_other() -> None:
    """The child has a copy of the page's connection, and nobody waits for it."""
    server = Server(TCP, ForkStrategy(), EchoLines)
    with served(server) as address:
        connection = http.client.HTTPConnection(*address, timeout=FAILSAFE)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        with socket.create_connection(server.address, FAILSAFE) as asking:
            asking.sendall(b"x\n")
            assert asking.recv(10) == b"x\n"
            connection.request("GET", "/metrics", headers={"Connection": "close"})
            assert b"sockserve_requests_active" in connection.getresponse().read()
            asking.shutdown(socket.SHUT_WR)
            assert asking.recv(1) == b""
        connection.close()


def test_the_workers_of_a_server_are_told(recorder: Recorder) -> None:
    """Each with its own counts, in the snapshot, and by their states for Prometheus; they do not hold the page."""
    server = Server(TCP, PreforkStrategy(workers=2), EchoLines, observer=recorder)
    with served(server) as address:
        pids = [recorder.wait_for(WorkerStarted)["pid"] for _ in range(2)]
        with socket.create_connection(server.address, FAILSAFE) as asking:
            asking.sendall(b"x\n")
            assert asking.recv(10) == b"x\n"
            (found,) = status_of(address)["servers"]
        assert sorted(worker["pid"] for worker in found["workers"]) == sorted(pids)
        assert [worker["number"] for worker in found["workers"]] == [0, 1]
        assert sorted(worker["stats"]["active"] for worker in found["workers"]) == [0, 1]
        assert all(0 <= worker["seconds"] < FAILSAFE for worker in found["workers"])
        assert (found["full"], found["rows"]) == (False, [])
        text = get(address, "/metrics")[2].decode()
        name = f"tcp://127.0.0.1:{server.address.port}"
        assert f'sockserve_workers{{server="{name}",state="serving"}} 2\n' in text


def test_a_worker_has_no_part_in_the_connections_of_the_page(recorder: Recorder) -> None:
    """One that is forked while somebody looks lets go of what it has inherited."""
    server = Server(TCP, PreforkStrategy(workers=1), EchoLines, observer=recorder)
    with served(server) as address, socket.create_connection(address, FAILSAFE) as viewer:
        pid = recorder.wait_for(WorkerStarted)["pid"]
        viewer.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(1000).startswith(b"HTTP/1.1 200 ")
        os.kill(pid, signal.SIGKILL)
        by = recorder.wait_for(WorkerReplaced)["by"]
        ours = socket_inode(viewer.getsockname()[1], address.port)
        links = (os.readlink(f"/proc/{by}/fd/{fd}") for fd in os.listdir(f"/proc/{by}/fd"))
        assert f"socket:[{ours}]" not in set(links)


def socket_inode(port: int, peer: int) -> str:
    """Return the inode of the end of a connection that is at *peer*, and has *port* at the other end."""
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1].endswith(f":{peer:04X}") and fields[2].endswith(f":{port:04X}"):
            return fields[9]
    raise AssertionError("no such connection")


HOSTILE = "<script>alert(1)</script>\"'&\u202e\n"


def hostile(request: Any, client_address: Any, server: Any) -> None:
    echo(request, client_address, server)


hostile.__qualname__ = f"handler{HOSTILE}"


def test_names_that_others_chose_are_told_as_text(folder: Path) -> None:
    """Of peers, of servers, of handlers: as JSON, and as Prometheus quotes it."""
    server = Server(UnixStreamTransport(f"{folder}/{HOSTILE.replace('/', '|')}"), ThreadStrategy(), hostile)
    page = status_server({f"server{HOSTILE}": server})
    with served(server, page=page) as address, socket.socket(AF_UNIX) as asking:
        asking.bind(f"{folder}/peer{HOSTILE.replace('/', '|')}")
        asking.connect(str(server.address))
        asking.sendall(b"x")
        assert asking.recv(1) == b"x"
        _, headers, body = get(address, "/status.json")
        assert headers["content-type"] == "application/json"
        (found,) = json.loads(body)["servers"]
        assert found["name"] == "server<script>alert(1)</script>\"'&\\u202e\\n"
        assert found["rows"][0]["peer"].endswith("peer<script>alert(1)<|script>\"'&\\u202e\\n")
        text = get(address, "/metrics")[2].decode()
        assert "server<script>alert(1)</script>\\\"'&\u202e\\n" in text
        assert all(line.startswith(("#", "sockserve_")) for line in text.splitlines())


def test_a_look_is_good_for_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten viewers cost what one does."""
    server = Server(TCP, SyncStrategy(), echo)
    looks = list[object]()

    def look(self: object, most: int | None) -> list[RowInfo]:
        looks.append(self)
        return []

    monkeypatch.setattr(Server, "rows", look)
    with server, client(server) as asking:
        for _ in range(10):
            asking.send(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert len(looks) == 1


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (SelectorStrategy(), "SelectorStrategy()"),
        (ThreadPoolStrategy(), "ThreadPoolStrategy()"),
        (
            PreforkStrategy(ThreadStrategy(daemon=True), workers=70),
            "PreforkStrategy(inner=ThreadStrategy(daemon=True), workers=70)",
        ),
        (42, "42"),
    ],
)
def test_a_strategy_is_told_as_it_was_composed(strategy: object, text: str) -> None:
    """Without what would be so anyway."""
    assert options_text(strategy) == text


def test_only_the_oldest_requests_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of ten thousand helps nobody, and would hold the loop."""
    monkeypatch.setattr(_snapshot, "MOST_ROWS", 2)
    server = Server(TCP, SelectorStrategy(), EchoLines)
    with served(server) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(5)]
        (found,) = status_of(address)["servers"]
        peers = [f"127.0.0.1:{client.getsockname()[1]}" for client in clients]
        assert [row["peer"] for row in found["rows"]] == peers[:2]
        assert found["rows_left_out"] == 3


def connected(server: Server[Any, Any]) -> socket.socket:
    """Connect, and get an answer."""
    client = socket.create_connection(server.address, FAILSAFE)
    client.sendall(b"x\n")
    assert client.recv(10) == b"x\n"
    return client


def test_curl_sees_the_page() -> None:
    """As any program that speaks HTTP."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    with served(Server(TCP, ThreadStrategy(), echo)) as address:
        url = f"http://localhost:{address.port}"
        done = subprocess.run(
            [curl, "-sS", "--fail", "-4", "--max-time", "10", f"{url}/", f"{url}/page.js", "-I", f"{url}/metrics"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.count("HTTP/1.1 200 OK") == 3


def test_the_page_makes_no_markup_of_what_it_is_given() -> None:
    """Its scripts have no way to: nothing that parses HTML, runs text, or needs a style or script of its own."""
    folder = Path(sockserve.status.__file__).parent / "assets"
    scripts = "".join(path.read_text() for path in folder.glob("*.js"))
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "DOMParser", "eval(", "Function("):
        assert way not in scripts
    page = (folder / "page.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\bstyle=|\bon[a-z]+=|https?:", page)


# Composing it.


def test_a_crowd_of_viewers_does_not_take_every_descriptor() -> None:
    """Those beyond a limit are turned away, rather than queued behind viewers that stay."""
    limits = status_server(Server(TCP, SyncStrategy(), echo)).limits
    assert limits.connections == 64
    assert limits.overload == "close"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_it_listens_at_loopback_addresses(host: str) -> None:
    """Without being told more."""
    assert status_server(Server(TCP, SyncStrategy(), echo), (host, 0)).state == "new"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "example.com", "localhost.example"])
def test_other_addresses_have_to_be_meant(host: str) -> None:
    """Nothing asks who is there."""
    server = Server(TCP, SyncStrategy(), echo)
    with pytest.raises(OptionError, match="remote=True"):
        status_server(server, (host, 0))
    assert status_server(server, (host, 0), remote=True).state == "new"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "127.0.0.1:80"}, "a host and a port"),
        ({"remote": 1}, "True or False"),
        ({"hosts": "status.example"}, "several names"),
        ({"hosts": [b"status.example"]}, "several names"),
    ],
)
def test_options_of_the_wrong_type_are_refused(options: dict[str, Any], said: str) -> None:
    """When the page is made."""
    with pytest.raises(OptionTypeError, match=said):
        status_server(Server(TCP, SyncStrategy(), echo), **options)
