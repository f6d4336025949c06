"""systemd: sockets that it has opened, what it is told, and how a service under it lives."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from example_clients import FOLDER
from fakes import FakeClock
from kinds import EchoLines, echo, receive
from recorder import FAILSAFE
from sockserve import (
    AdoptedTransport,
    CompositionError,
    ForkStrategy,
    OptionError,
    OptionTypeError,
    PreforkStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadStrategy,
)
from sockserve.events import Accepted, Closed, Draining, Event, Listening
from sockserve.systemd import (
    ActivatedSocket,
    Notifier,
    NotifyError,
    SystemdObserver,
    Watchdog,
    activated,
    transport,
)
from systemd_kit import NotifySocket, handed_over, handing_over

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

A: Any = None  # anything: what a type checker would have refused
TCP = TcpTransport(("127.0.0.1", 0))


@pytest.fixture(autouse=True)
def not_started_by_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has started these tests."""
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def manager(folder: Path) -> Iterator[NotifySocket]:
    """Whom the service tells how it is."""
    with NotifySocket(str(folder / "notify")) as made:
        yield made


# Sockets.


def test_the_sockets_are_given_in_order_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process starts does not inherit them."""
    with handed_over(monkeypatch, "web:ctl:web", "inet", "datagram", "inet") as first:
        assert os.get_inheritable(first)
        found = activated()
        assert found == [
            ActivatedSocket(first, "web"),
            ActivatedSocket(first + 1, "ctl"),
            ActivatedSocket(first + 2, "web"),
        ]
        assert not any(os.get_inheritable(fd) for fd, _ in found)
        assert activated("web") == [found[0], found[2]]
        assert activated("other") == []


def test_the_environment_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later call finds nothing; by itself nothing is removed."""
    with handed_over(monkeypatch, "web", "inet"):
        assert len(activated()) == len(activated(unset_environment=True)) == 1
        assert activated() == []
        assert "LISTEN_FDNAMES" not in os.environ


def test_what_was_meant_for_another_process_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a parent that was started so, for one."""
    with handed_over(monkeypatch, "web", "inet"):
        monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
        assert activated() == []
        assert transport(otherwise=TCP) is TCP


def test_sockets_without_names_have_systemds(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of sd_listen_fds_with_names(3)."""
    with handed_over(monkeypatch, "", "inet") as first:
        monkeypatch.delenv("LISTEN_FDNAMES")
        assert activated() == [ActivatedSocket(first, "unknown")]


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("LISTEN_FDS", "one", "LISTEN_FDS.*'one'"),
        ("LISTEN_FDS", "", "LISTEN_FDS.*''"),
        ("LISTEN_FDS", "-1", "LISTEN_FDS.*'-1'"),
        ("LISTEN_FDNAMES", "a:b", "2 names for 1 sockets"),
    ],
)
def test_an_environment_that_cannot_be_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, text: str
) -> None:
    """It says which variable, and what it has."""
    with handed_over(monkeypatch, "web", "inet"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(OptionError, match=text):
            activated()


def test_a_socket_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has closed it: whatever gets its number next is not it."""
    with handed_over(monkeypatch, "web", "inet") as first:
        os.close(first)
        with pytest.raises(OptionError, match=f"descriptor {first} .'web'. is not open"):
            activated()


def test_one_socket_is_a_transport(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """By its name, or because it is the only one; of the kind and family that it has."""
    with handed_over(monkeypatch, "web:ctl:udp", "inet", "unix", "datagram", folder=folder) as first:
        web, ctl, udp = (transport(name) for name in ("web", "ctl", "udp"))
        assert web == AdoptedTransport(first)
        assert (web.stream, ctl.stream, udp.stream) == (True, True, False)
        with Server(ctl, ThreadStrategy(), EchoLines).running() as server, socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "activated"))
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
        assert server.stats.finished == 1
    assert (folder / "activated").exists()  # its file is systemd's
    with handed_over(monkeypatch, "web", "inet") as first:
        assert transport() == AdoptedTransport(first)


@pytest.mark.parametrize(
    ("kinds", "names", "name", "text"),
    [
        ((), "", None, "systemd has handed no socket to this process.*systemd-socket-activate"),
        (("inet", "inet"), "web:ctl", None, "'web', 'ctl': not just one socket; say which"),
        (("inet", "inet"), "web:web", "web", "not just one with the name 'web'"),
        (("inet",), "web", "wbe", "'web': not just one with the name 'wbe'"),
        (("connection",), "connection", None, "Accept=yes"),
    ],
)
def test_a_socket_that_cannot_be_meant_is_an_error(
    monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...], names: str, name: str | None, text: str
) -> None:
    """When composed: none, several, another name, one client's connection."""
    with handed_over(monkeypatch, names, *kinds), pytest.raises(CompositionError, match=text):
        transport(name)


# What systemd is told.


def test_each_message_is_what_sd_notify_says(manager: NotifySocket) -> None:
    """Their names, and lines."""
    notifier = Notifier(manager.address)
    assert notifier
    notifier.ready()
    notifier.ready("up at last")
    notifier.status("busy")
    notifier.stopping("3 left")
    notifier.watchdog()
    notifier.send("EXTEND_TIMEOUT_USEC=5000000")
    assert manager.so_far() == [
        ["READY=1"],
        ["READY=1", "STATUS=up at last"],
        ["STATUS=busy"],
        ["STOPPING=1", "STATUS=3 left"],
        ["WATCHDOG=1"],
        ["EXTEND_TIMEOUT_USEC=5000000"],
    ]


def test_reloading_says_when(manager: NotifySocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the clock that systemd compares with, in microseconds."""
    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: 1_234_567_890)
    Notifier(manager.address).reloading("certificates")
    assert manager.message() == ["RELOADING=1", "MONOTONIC_USEC=1234567", "STATUS=certificates"]


def test_an_abstract_name_works_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NOTIFY_SOCKET has it, with an at sign."""
    with NotifySocket(f"@sockserve-test-{os.getpid()}") as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        Notifier().ready()
        assert manager.message() == ["READY=1"]


@pytest.mark.parametrize("said", [None, ""])
def test_where_nobody_is_to_be_told_nothing_happens(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    """The same program, started by hand."""
    if said is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", said)
    monkeypatch.setattr(socket, "socket", None)
    notifier = Notifier()
    assert not notifier
    assert notifier == Notifier(None)
    notifier.ready("up")
    notifier.reloading()


def test_a_message_that_cannot_be_sent_is_an_error(folder: Path) -> None:
    """Its number is the system's; it says what could not be told, and to whom."""
    with pytest.raises(NotifyError, match=r"READY=1.*gone") as caught:
        Notifier(str(folder / "gone")).ready()
    assert caught.value.errno is not None
    with pytest.raises(OSError, match="gone"):
        Notifier(str(folder / "gone")).ready()


@pytest.mark.parametrize(
    ("address", "kind"), [("vsock:2:1", OptionError), ("run/notify", OptionError), (b"/run", OptionTypeError)]
)
def test_an_address_that_cannot_be_is_an_error(address: Any, kind: Any) -> None:
    """A relative path, vsock, bytes."""
    with pytest.raises(kind, match="address must be"):
        Notifier(address)


def test_a_status_has_one_line(manager: NotifySocket) -> None:
    """What follows would be taken for another assignment."""
    with pytest.raises(OptionError, match="one line"):
        Notifier(manager.address).status("fine\nREADY=1")
    assert manager.so_far() == []


# Readiness, by events.


def observing(manager: NotifySocket, servers: int = 1) -> tuple[SystemdObserver, list[Event]]:
    seen: list[Event] = []
    return SystemdObserver(seen.append, servers=servers, notifier=Notifier(manager.address)), seen


def test_ready_is_when_clients_are_queued_and_stopping_when_none_are(manager: NotifySocket) -> None:
    """In the order of a server's life, and once each."""
    observer, seen = observing(manager)
    with Server(TCP, ThreadStrategy(), echo, observer=observer) as server:
        state, status = manager.message()
        assert state == "READY=1"
        assert status == f"STATUS=listening at 127.0.0.1:{server.address.port}"
        server.request_stop(grace=1.0)
        server.serve_forever()
        assert manager.message() == ["STOPPING=1", "STATUS=draining 0 requests for at most 1.0 s"]
    assert manager.so_far() == []
    assert [type(event).__name__ for event in seen if isinstance(event, Listening | Draining | Closed)] == [
        "Listening",
        "Draining",
        "Closed",
    ]


def test_a_server_that_closes_without_a_grace_is_stopping_too(manager: NotifySocket) -> None:
    """There is no draining to tell of."""
    observer, _ = observing(manager)
    with Server(TCP, SyncStrategy(), echo, observer=observer) as server:
        assert manager.message()[0] == "READY=1"
        port = server.address.port
    assert manager.message() == ["STOPPING=1", f"STATUS=closed 127.0.0.1:{port}"]


def test_several_servers_are_ready_together(manager: NotifySocket) -> None:
    """When the last one listens; and stopping when the last one does not."""
    observer, _ = observing(manager, servers=2)
    first, second = (Server(TCP, SyncStrategy(), echo, observer=observer) for _ in range(2))
    with second:
        with first:
            state, status = manager.message()
            assert state == "READY=1"
            assert all(f"listening at 127.0.0.1:{each.address.port}" in status for each in (first, second))
        assert manager.so_far() == []
    assert manager.message()[0] == "STOPPING=1"


@pytest.mark.parametrize("strategy", [ForkStrategy(), PreforkStrategy(workers=1)], ids=["fork", "prefork"])
def test_children_tell_nothing(manager: NotifySocket, strategy: Any) -> None:
    """systemd believes the main process alone (NotifyAccess=main), and has one service to hear of."""
    observer, _ = observing(manager)
    with Server(TCP, strategy, EchoLines, observer=observer).running() as server:
        with socket.create_connection(server.address) as client:
            client.sendall(b"x\n")
            assert receive(client, 2) == b"x\n"
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    assert [message[0] for message in manager.so_far()] == ["READY=1", "STOPPING=1"]


def test_the_inner_observer_gets_what_it_wants(manager: NotifySocket) -> None:
    """And what it does not want is made for systemd only where that is told."""

    class Picky:
        seen: list[Event] = []  # noqa: RUF012 - of this test

        def __call__(self, event: Event) -> None:
            self.seen.append(event)

        def wants(self, kind: type[Event]) -> bool:
            return kind is Accepted

    observer = SystemdObserver(Picky(), notifier=Notifier(manager.address))
    assert [kind for kind in (Accepted, Listening, Draining, Closed) if observer.wants(kind)] == [
        Accepted,
        Listening,
        Draining,
        Closed,
    ]
    assert not observer.wants(Event)
    observer(Listening(server_address="x"))
    observer(Accepted(server_address="x", client_address="y"))
    assert [type(event) for event in Picky.seen] == [Accepted]
    assert manager.message()[0] == "READY=1"


def test_a_count_of_servers_is_checked() -> None:
    """None could never be ready."""
    with pytest.raises(OptionError, match="servers"):
        SystemdObserver(servers=0)


# The watchdog.


def test_the_watchdog_tells_at_every_half_of_its_time(
    manager: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is called."""
    clock = FakeClock()
    watchdog = Watchdog(2.0, Notifier(manager.address))
    monkeypatch.setattr("sockserve.systemd._watchdog.monotonic", clock)
    for _ in range(3):
        watchdog()
    assert manager.so_far() == [["WATCHDOG=1"]]
    clock.advance(0.99)
    watchdog()
    assert manager.so_far() == []
    clock.advance(0.01)
    watchdog()
    assert manager.so_far() == [["WATCHDOG=1"]]


def test_a_loop_that_turns_tells_so(manager: NotifySocket) -> None:
    """With each batch of arrivals, and every poll_interval without any."""
    watchdog = Watchdog(1e-6, Notifier(manager.address))
    server = Server(TCP, ThreadStrategy(), echo, service_actions=watchdog)
    with server.running():
        for _ in range(2):
            with socket.create_connection(server.address):
                assert manager.message() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [(None, None, None), ("3000000", None, 3.0), ("3000000", str(os.getpid()), 3.0), ("3000000", "1", None)],
)
def test_the_watchdog_is_what_the_environment_asks_for(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, seconds: float | None
) -> None:
    """Of this process, if it asks for any."""
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is not None:
            monkeypatch.setenv(name, value)
    watchdog = Watchdog.from_environment()
    assert (watchdog and watchdog.seconds) == seconds


@pytest.mark.parametrize("said", ["0", "soon", "-1", ""])
def test_a_time_that_cannot_be_is_an_error(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """It says which variable, and what it has."""
    monkeypatch.setenv("WATCHDOG_USEC", said)
    with pytest.raises(OptionError, match=f"WATCHDOG_USEC.*{said!r}"):
        Watchdog.from_environment()
    with pytest.raises(OptionError, match="seconds"):
        Watchdog(0.0)


# A service.


@contextlib.contextmanager
def started(
    command: list[str], manager: NotifySocket, pass_fds: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, pass_fds=pass_fds) as process:
        try:
            yield process
        finally:
            process.kill()


def lives(client: socket.socket, manager: NotifySocket, process: subprocess.Popen[bytes]) -> None:
    """A service's life: it answers, is ready, is alive, ends within its grace, and says so."""
    with client:
        client.settimeout(FAILSAFE)
        client.sendall(b"hello\n")
        assert receive(client, 6) == b"HELLO\n"
    told = [manager.message()[0], manager.message()[0]]
    assert sorted(told) == ["READY=1", "WATCHDOG=1"]
    process.send_signal(signal.SIGTERM)
    assert manager.message()[0] == "STOPPING=1"
    assert process.wait(FAILSAFE) == 0


def test_the_example_serves_the_socket_that_it_is_given(manager: NotifySocket) -> None:
    """As under systemd, over TCP: the socket is open before the program is."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        client = socket.create_connection(sock.getsockname())
        command = handing_over(sock, sys.executable, str(FOLDER / "activated.py"))
        with started(command, manager, pass_fds=(sock.fileno(),)) as process:
            lives(client, manager, process)


def test_the_example_is_started_by_its_first_client(manager: NotifySocket, folder: Path) -> None:
    """By systemd's own program for that; who was first is served."""
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not installed; on Debian it is in the package systemd")
    path = str(folder / "s")
    program = [sys.executable, str(FOLDER / "activated.py")]
    pass_on = ["-E", "NOTIFY_SOCKET", "-E", "WATCHDOG_USEC", "-E", "PYTHONPATH", "-E", "PATH", "-E", "VIRTUAL_ENV"]
    command = ["systemd-socket-activate", "-l", path, "--fdname=activated.socket", *pass_on, *program]
    with started(command, manager) as process:
        assert process.stderr is not None
        assert b"Listening on" in process.stderr.readline()
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        lives(client, manager, process)


def test_the_example_can_be_started_by_hand(manager: NotifySocket) -> None:
    """Then it opens its own socket."""
    command = [sys.executable, str(FOLDER / "activated.py"), "--port", "0"]
    with started(command, manager) as process:
        state, status = manager.message()
        assert state == "READY=1"
        with socket.create_connection(("127.0.0.1", int(status.rpartition(":")[2]))) as client:
            client.sendall(b"hello\n")
            assert receive(client, 6) == b"HELLO\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(FAILSAFE) == 0


def test_the_units_are_what_systemd_can_read() -> None:
    """Its own verdict on the example's files: all that it misses is the program itself."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; on Debian it is in the package systemd")
    units = [str(FOLDER / f"activated.{kind}") for kind in ("socket", "service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [
        line for line in done.stderr.splitlines() if "activated." in line and "not executable" not in line
    ]
    assert complaints == []
