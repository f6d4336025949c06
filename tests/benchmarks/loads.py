"""What is measured: a load generator's run against one server, an idle server's shutdown, an import."""

import contextlib
import csv
import functools
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import attrs

from .measure import BenchmarkError, ServerProcess
from .servers import make_server

__all__ = (
    "DnsPerf",
    "IdleProbe",
    "ImportProbe",
    "Load",
    "LoadProbe",
    "Outcome",
    "RedisBenchmark",
    "ShutdownProbe",
    "Wrk",
    "missing",
)

#: Seconds after which a run of a load generator is given up.
_PATIENCE = 180.0


@attrs.frozen
class Outcome:
    """What a load generator says of one run: requests that were answered, and requests a second."""

    requests: int
    rate: float


class Load(Protocol):
    """A load generator."""

    #: The program, and the Debian package that has it.
    tool: ClassVar[str]
    package: ClassVar[str]

    def run(self, address: tuple[str, int], requests: int) -> Outcome:
        """Send *requests* requests to *address*, and wait for their answers."""
        ...


def missing(load: Load) -> bool:
    """Whether the load generator is not installed."""
    return shutil.which(load.tool) is None


def _output_of(command: list[str], env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True, env=env)
    except subprocess.SubprocessError as error:
        detail = getattr(error, "stderr", None) or ""
        raise BenchmarkError(f"{command[0]} failed: {error} {detail}") from error
    return done.stdout


@attrs.frozen(kw_only=True)
class RedisBenchmark:
    """
    A connection for each request, or kept connections.

    With ``-k 0`` redis-benchmark opens a new connection whenever it has read a reply, and closes the old one; its
    first connection asks for a CONFIG, which no server here has, and is not counted.

    Args:
        clients: Connections at a time.
        keep: Whether each connection is kept for all its requests.
        inline: Whether a request is a line of text, rather than an array of bulk strings.
    """

    clients: int = 50
    keep: bool = False
    inline: bool = False
    tool: ClassVar[str] = "redis-benchmark"
    package: ClassVar[str] = "redis-tools"

    def run(self, address: tuple[str, int], requests: int) -> Outcome:
        """See `Load.run`."""
        host, port = address
        test = "ping_inline" if self.inline else "ping_mbulk"
        command = [self.tool, "-h", host, "-p", str(port), "-k", str(int(self.keep)), "-c", str(self.clients)]
        output = _output_of([*command, "-n", str(requests), "-t", test, "--csv"])
        rows = list(csv.DictReader(output.splitlines()))
        if len(rows) != 1:
            raise BenchmarkError(f"redis-benchmark printed no result: {output!r}")
        return Outcome(requests, float(rows[0]["rps"]))


@attrs.frozen(kw_only=True)
class Wrk:
    """HTTP requests over kept connections, for a given time: their number follows from it."""

    clients: int = 1000
    seconds: int = 4
    tool: ClassVar[str] = "wrk"
    package: ClassVar[str] = "wrk"

    def run(self, address: tuple[str, int], requests: int) -> Outcome:
        """See `Load.run`; *requests* does not matter."""
        host, port = address
        command = [self.tool, "-t", "1", "-c", str(self.clients), "-d", f"{self.seconds}s", "--timeout", "10s"]
        output = _output_of([*command, f"http://{host}:{port}/"])
        errors = re.search(r"timeout (\d+)", output)
        if errors is not None and int(errors[1]):
            raise BenchmarkError(f"{errors[1]} requests timed out")
        return Outcome(
            int(_wrk_figure(r"(\d+) requests in", output)), _wrk_figure(r"Requests/sec:\s+([\d.]+)", output)
        )


def _wrk_figure(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise BenchmarkError(f"wrk does not say {pattern!r}: {output!r}")
    return float(found[1])


@attrs.frozen(kw_only=True)
class DnsPerf:
    """
    DNS queries over UDP, from one client.

    The number of queries without an answer is bounded: the next is sent when one comes back, so that the server is
    always busy and its socket's buffer never overflows.
    """

    outstanding: int = 100
    tool: ClassVar[str] = "dnsperf"
    package: ClassVar[str] = "dnsperf"
    _names: ClassVar[int] = 500
    _lost_at_most: ClassVar[float] = 0.001

    def run(self, address: tuple[str, int], requests: int) -> Outcome:
        """See `Load.run`; *requests* is rounded to a multiple of the names in the data file."""
        host, port = address
        runs = max(1, round(requests / self._names))
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder, "queries")
            data.write_text("".join(f"host{number}.example A\n" for number in range(self._names)))
            command = [self.tool, "-m", "udp", "-s", host, "-p", str(port), "-d", str(data), "-n", str(runs)]
            output = _output_of([*command, "-c", "1", "-T", "1", "-q", str(self.outstanding), "-t", "2"])
        sent, completed = _figure("Queries sent", output), _figure("Queries completed", output)
        if sent - completed > self._lost_at_most * sent:
            raise BenchmarkError(f"{sent - completed:.0f} of {sent:.0f} queries were lost")
        return Outcome(int(completed), _figure("Queries per second", output))


def _figure(label: str, output: str) -> float:
    found = re.search(rf"{label}:\s+([\d.]+)", output)
    if found is None:
        raise BenchmarkError(f"dnsperf does not say {label!r}: {output!r}")
    return float(found[1])


@attrs.frozen
class LoadProbe:
    """Throughput (requests a second) and CPU (microseconds a request) of a server in a process of its own."""

    server: str
    load: Load
    requests: int

    def __call__(self) -> Mapping[str, float]:
        """Start the server, warm it up, measure, end it."""
        with ServerProcess(self.server) as process:
            self.load.run(process.address, max(500, self.requests // 10))
            process.settle()
            before = process.cpu_seconds()
            outcome = self.load.run(process.address, self.requests)
            process.settle()
            spent = process.cpu_seconds() - before
        return {"throughput": outcome.rate, "cpu": 1e6 * spent / outcome.requests}


@attrs.frozen
class IdleProbe:
    """Bytes of a server's memory for a connection that is in the middle of a request, over many of them."""

    server: str
    few: ClassVar[int] = 100
    many: ClassVar[int] = 10_000

    def __call__(self) -> Mapping[str, float]:
        """Open connections that send half a request, and look at the proportional set size (proc(5), smaps)."""
        _raise_limit(2 * self.many)
        with ServerProcess(self.server) as process, contextlib.ExitStack() as stack:
            sizes = []
            for count in (self.few, self.many - self.few):
                for _ in range(count):
                    client = stack.enter_context(socket.create_connection(process.address, timeout=10.0))
                    client.sendall(b"PING\r")
                time.sleep(1.0)  # until the last has been accepted
                sizes.append(process.memory())
        return {"memory": (sizes[1] - sizes[0]) / (self.many - self.few)}


def _raise_limit(descriptors: int) -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, hard), hard))


@attrs.frozen
class ShutdownProbe:
    """Milliseconds from an idle server's ``shutdown()`` to its return, while a background thread serves."""

    server: str

    #: Seconds that a server has been serving when it is asked to stop: at random, since the standard library's
    #: answers only when its polling interval of 0.5 s is over.
    _idle: ClassVar[tuple[float, float]] = (0.02, 0.52)

    def __call__(self) -> Mapping[str, float]:
        """Serve, shut down, close."""
        server = make_server(self.server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        try:
            thread.start()
            time.sleep(random.uniform(*self._idle))
            began = time.perf_counter()
            server.shutdown()
            spent = time.perf_counter() - began
            thread.join(5.0)
        finally:
            server.server_close()
        return {"shutdown": 1e3 * spent}


_IMPORT = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import {module}
spent = time.perf_counter() - began
loaded = sorted(set(sys.modules) - before)
import json
print(json.dumps([spent, loaded]))
"""


def _import_command(module: str) -> list[str]:
    return [sys.executable, "-c", _IMPORT.format(module=module)]


@functools.cache
def _bytecode() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory()  # removed when this process exits


@functools.cache
def _with_bytecode(module: str) -> Mapping[str, str]:
    """Return an environment in which everything that *module* imports has been compiled."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = _bytecode().name
    _output_of(_import_command(module), environment)
    return environment


@attrs.frozen
class ImportProbe:
    """
    Milliseconds that an import takes in a fresh interpreter, and how many modules it loads.

    The bytecode of all modules is there already, whatever PYTHONDONTWRITEBYTECODE says: nothing is compiled.
    """

    module: str
    #: Modules that it may not load, nor anything below them.
    forbidden: tuple[str, ...] = ()

    def __call__(self) -> Mapping[str, float]:
        """Import once."""
        environment = _with_bytecode(self.module)
        spent, loaded = json.loads(_output_of(_import_command(self.module), environment))
        if found := [
            name for name in loaded if name.partition(".")[0] in self.forbidden or name in self.forbidden
        ]:
            raise BenchmarkError(f"import {self.module} loads {', '.join(found)}")
        return {"import": 1e3 * spent, "modules": float(len(loaded))}
