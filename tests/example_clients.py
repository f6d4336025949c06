"""The examples as processes of their own, and the real clients that speak to them."""

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import attrs
import pytest

from recorder import FAILSAFE

FOLDER = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))

#: Each client, and the Debian package that has it.
PACKAGES = {
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "dnsperf": "dnsperf",
    "haproxy": "haproxy",
    "logger": "bsdutils",
    "nc": "netcat-openbsd",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "socat": "socat",
}

#: What examples are written with, beside the package.
NEEDS = {"http_messages": "h11"}

#: Each strategy of the examples, with an option of its own. Those before the last share memory.
STRATEGIES = {
    "sync": [],
    "thread": ["--daemon"],
    "pool": ["--workers", "8"],
    "bounded": ["--workers", "8"],
    "selector": ["--slow", "5"],
    "fork": ["--max-children", "8"],
}


def load(name: str) -> Any:
    """Import an example as a module."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    return importlib.import_module(name)


def strategy_options(name: str) -> list[str]:
    """Choose a strategy on the command line."""
    return ["--strategy", name, *STRATEGIES[name]]


def program(name: str) -> str:
    """Return the path of a client; skip where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")  # not in every user's PATH
    if path is None:
        pytest.skip(f"{name} is not installed; on Debian it is in the package {PACKAGES[name]}")
    return path


def ask(*command: str, said: str = "") -> str:
    """Run a client, which is told *said*, and return what it prints."""
    command = (program(command[0]), *command[1:])
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=FAILSAFE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@attrs.define(eq=False)
class Example:
    """An example that serves."""

    process: subprocess.Popen[str]
    addresses: list[str] = attrs.field(factory=list)
    status: int | None = None
    errors: str = ""

    def line(self) -> str:
        """Wait for the next line that it prints."""
        line = _stream(self.process.stdout).readline()
        if not line:
            pytest.fail(f"it ended: {_stream(self.process.stderr).read()}")
        return line.rstrip("\n")

    def endpoint(self, number: int = 0) -> tuple[str, str]:
        """Return host and port of one of its addresses."""
        host, _, port = self.addresses[number].rpartition(":")
        return host, port

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return its exit status."""
        if self.status is None:
            _stream(self.process.stdout).read()
            self.errors = _stream(self.process.stderr).read()
            self.status = self.process.wait()
        return self.status


def _await_the_end_of(group: int) -> None:
    """Wait until no process of *group* is left: multiprocessing's tracker ends a little after its own."""
    if sys.platform == "win32":
        raise NotImplementedError
    patience = threading.Event()
    for _ in range(int(FAILSAFE / 0.001)):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        patience.wait(0.001)
    pytest.fail("a process is left")


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@contextlib.contextmanager
def serving(name: str, *arguments: str, listens: int = 1) -> Iterator[Example]:
    """
    Run an example; the block begins when it listens. At its end it is stopped, unless that has happened.

    It has to leave well, without a word about itself, and without leaving a process.
    """
    if sys.platform == "win32":
        raise NotImplementedError
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    command: Sequence[str] = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            example = Example(process)
            for _ in range(listens):
                example.addresses.append(example.line().removeprefix("listening at "))
            yield example
            if example.status is None:
                example.send(signal.SIGTERM)
                assert example.wait() == 0, example.errors
            assert "Warning" not in example.errors
            assert "Traceback" not in example.errors
            _await_the_end_of(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
