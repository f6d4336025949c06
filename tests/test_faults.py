"""Real faults, with a real kernel: descriptors exhausted, interrupted programs. Each in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from recorder import FAILSAFE

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

_COMMON = """
import json, os, resource, signal, socket, sys, threading, time
from sockserve import *
from sockserve.events import *

def tell(**what):
    # Not by a buffer: a signal handler tells, too, maybe while the line before is written.
    os.write(1, (json.dumps(what) + chr(10)).encode())
STRATEGIES = {
    "sync": SyncStrategy(), "thread": ThreadStrategy(), "fork": ForkStrategy(),
    "pool": ThreadPoolStrategy(workers=64),
}
strategy = STRATEGIES[sys.argv[1]]
"""


@contextmanager
def program(text: str, *arguments: str) -> Iterator["Program"]:
    """Run *text* in another interpreter; it is killed at the end of the block, should it still run."""
    with subprocess.Popen(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            _COMMON + text,
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        made = Program(process)
        try:
            yield made
        finally:
            process.kill()


class Program:
    """A running program that tells what happens in lines of JSON."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        found: dict[str, Any] = json.loads(line)
        return found

    def wait_for(self, key: str) -> Any:
        while key not in (found := self.told()):
            pass
        return found[key]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=FAILSAFE)
        return self.process.returncode, errors.decode()


_EXHAUSTED = """
def observer(event):
    if isinstance(event, (AcceptPaused, AcceptResumed)):
        tell(event=type(event).__name__)
def handler(request, address, server):
    request.sendall(b"x")
    request.recv(1)
with Server(TcpTransport(("127.0.0.1", 0)), strategy, handler, observer=observer) as server:
    spare = [os.dup(0) for _ in range(40)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, 4096))
    thread = threading.Thread(target=server.serve_forever)
    for fd in spare[:6]:
        os.close(fd)
    thread.start()
    tell(address=server.address)
    sys.stdin.readline()
    before = time.process_time(), time.monotonic()
    sys.stdin.readline()
    tell(share=(time.process_time() - before[0]) / (time.monotonic() - before[1]))
    for fd in spare[6:]:
        os.close(fd)
    sys.stdin.readline()
    server.shutdown()
    thread.join()
"""


@pytest.mark.parametrize("strategy", ["thread", "pool"])
def test_exhausted_descriptors_cost_no_cpu_and_pass(strategy: str) -> None:
    """One event, an idle processor, no client lost: those in the queue are served when descriptors are free."""
    clients = []
    text = _EXHAUSTED
    with subprocess.Popen(
        [sys.executable, "-c", _COMMON + text, strategy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        made = Program(process)
        address = tuple(made.wait_for("address"))
        for _ in range(20):
            clients.append(socket.create_connection(address, timeout=FAILSAFE))
        assert made.wait_for("event") == "AcceptPaused"
        process.stdin.write(b"\n")
        process.stdin.flush()
        with pytest.raises(TimeoutError):  # half a second in which nothing can happen: the time that is measured
            clients[-1].settimeout(0.5)
            clients[-1].recv(1)
        clients[-1].settimeout(FAILSAFE)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert made.wait_for("share") < 0.1
        assert made.wait_for("event") == "AcceptResumed"
        assert [client.recv(1) for client in clients] == [b"x"] * 20
        for client in clients:
            client.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.wait(FAILSAFE) == 0


_INTERRUPTED = """
def handler(request, address, server):
    tell(handling=os.getpid())
    try:
        request.recv(1)
        request.sendall(b"half ")
        request.recv(1)
        request.sendall(b"whole")
    except KeyboardInterrupt:
        tell(cut=True)
        raise
server = Server(TcpTransport(("127.0.0.1", 0)), strategy, handler, observer=lambda event: None)
try:
    with server:
        tell(address=server.address)
        try:
            server.serve_forever()
        finally:
            tell(left=signal.getsignal(signal.SIGINT) is signal.default_int_handler)
except KeyboardInterrupt:
    tell(interrupted=True, stats=repr(server.stats))
"""


@pytest.mark.parametrize("strategy", ["sync", "thread", "pool", "fork"])
def test_the_first_interrupt_cuts_no_request(strategy: str) -> None:
    """The reply is finished, everything is closed, and KeyboardInterrupt is raised at the end."""
    with program(_INTERRUPTED, strategy) as made:
        with socket.create_connection(tuple(made.wait_for("address")), timeout=FAILSAFE) as client:
            made.wait_for("handling")
            client.sendall(b"1")
            assert client.recv(5) == b"half "
            made.signal(signal.SIGINT)
            client.sendall(b"2")
            assert client.recv(5) == b"whole"
            assert client.recv(1) == b""
        assert made.wait_for("left") is True
        assert "finished=1, failed=0" in made.wait_for("stats")
        assert made.end() == (0, "")


def test_the_second_interrupt_cuts() -> None:
    """A handler that holds the loop is interrupted; its connection is closed all the same."""
    with program(_INTERRUPTED, "sync") as made:
        with socket.create_connection(tuple(made.wait_for("address")), timeout=FAILSAFE) as client:
            made.wait_for("handling")
            made.signal(signal.SIGINT)
            client.sendall(b"1")
            assert client.recv(5) == b"half "  # it goes on
            made.signal(signal.SIGINT)
            assert made.wait_for("cut") is True
            assert client.recv(1) == b""
        assert made.wait_for("interrupted") is True
        assert made.end() == (0, "")


def test_an_interrupt_while_idle() -> None:
    """The wait ends at once."""
    with program(_INTERRUPTED, "thread") as made:
        made.wait_for("address")
        made.signal(signal.SIGINT)
        assert made.wait_for("interrupted") is True
        assert made.end() == (0, "")


_OWN_HANDLER = """
def stop(number, frame):
    server.request_stop(grace=10)
    tell(stats=repr(server.stats))
signal.signal(int(sys.argv[2]), stop)
def handler(request, address, server):
    tell(handling=os.getpid())
    request.recv(1)
    request.sendall(b"whole")
with Server(TcpTransport(("127.0.0.1", 0)), strategy, handler, observer=lambda event: None) as server:
    tell(address=server.address)
    server.serve_forever()
tell(left=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("strategy", ["sync", "thread", "pool", "fork"])
def test_a_signal_handler_of_the_programs_own(strategy: str, number: signal.Signals) -> None:
    """request_stop(grace) from it: the request in flight finishes, then serve_forever returns."""
    with program(_OWN_HANDLER, strategy, str(int(number))) as made:
        with socket.create_connection(tuple(made.wait_for("address")), timeout=FAILSAFE) as client:
            made.wait_for("handling")
            made.signal(number)
            made.wait_for("stats")
            client.sendall(b"x")
            assert client.recv(5) == b"whole"
        assert made.wait_for("left") is True
        assert made.end() == (0, "")


_WAKEUP_IN_USE = """
left, right = socket.socketpair()
right.setblocking(False)
signal.set_wakeup_fd(right.fileno())
signal.signal(signal.SIGTERM, lambda number, frame: server.request_stop())
with Server(TcpTransport(("127.0.0.1", 0)), strategy, print) as server:
    tell(address=server.address)
    server.serve_forever()
tell(mine=signal.set_wakeup_fd(-1) == right.fileno(), byte=left.recv(1)[0])
left.close(), right.close()
"""


def test_a_wakeup_descriptor_that_is_in_use_stays_in_use() -> None:
    """asyncio's, for instance."""
    with program(_WAKEUP_IN_USE, "sync") as made:
        made.wait_for("address")
        made.signal(signal.SIGTERM)
        found = made.told()
        assert found == {"mine": True, "byte": signal.SIGTERM}
        assert made.end() == (0, "")


_GROUP = """
def handler(request, address, server):
    request.sendall(b"x")
    request.recv(1)
    request.sendall(b"whole")
try:
    with Server(TcpTransport(("127.0.0.1", 0)), strategy, handler, observer=lambda event: None) as server:
        tell(address=server.address)
        server.serve_forever()
except KeyboardInterrupt:
    tell(stats=repr(server.stats))
"""


def test_ctrl_c_reaches_the_whole_group_and_children_ignore_it() -> None:
    """A terminal interrupts every process of the group: a forked reply is not cut either."""
    with subprocess.Popen(
        [sys.executable, "-c", _COMMON + _GROUP, "fork"], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        made = Program(process)
        with socket.create_connection(tuple(made.wait_for("address")), timeout=FAILSAFE) as client:
            assert client.recv(1) == b"x"
            os.killpg(process.pid, signal.SIGINT)
            client.sendall(b"x")
            assert client.recv(5) == b"whole"
        assert "finished=1" in made.wait_for("stats")
        assert process.wait(FAILSAFE) == 0
