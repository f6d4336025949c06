"""What is measured: a load against one server, its memory, an idle server's shutdown, an import."""

import contextlib
import functools
import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import ClassVar

import attrs

from .answers import PONG
from .loads import Amount, Load, output_of
from .measure import BenchmarkError
from .process import ServerProcess
from .servers import make_server

__all__ = (
    "IdleProbe",
    "ImportProbe",
    "LoadProbe",
    "ShutdownProbe",
    "ThroughputProbe",
    "descriptors",
    "idle_memory",
    "raise_limit",
)


@attrs.frozen
class LoadProbe:
    """Throughput (requests a second) and CPU (microseconds a request) of a server in a process of its own."""

    server: str
    load: Load
    requests: int

    def __call__(self) -> Mapping[str, float]:
        """Start the server, warm it up, measure, end it."""
        with ServerProcess(self.server) as process:
            self.load.run(process.address, Amount(max(500, self.requests // 10)))
            measured = process.measured(lambda: self.load.run(process.address, Amount(self.requests)))
        return {"throughput": measured.outcome.rate, "cpu": measured.cpu}


@attrs.frozen
class ThroughputProbe:
    """Throughput of a server whose children live as long as it does: their processor time is not known before."""

    server: str
    load: Load
    requests: int

    def __call__(self) -> Mapping[str, float]:
        """Start the server, warm it up, measure, end it."""
        with ServerProcess(self.server) as process:
            self.load.run(process.address, Amount(max(50, self.requests // 10)))
            return {"throughput": self.load.run(process.address, Amount(self.requests)).rate}


@attrs.frozen
class IdleProbe:
    """Bytes of a server's memory for an idle connection."""

    server: str

    def __call__(self) -> Mapping[str, float]:
        """Start the server, measure, end it."""
        raise_limit()
        with ServerProcess(self.server) as process:
            return {"memory": idle_memory(process)}


_FEW, _MANY = 100, 10_000


def idle_memory(process: ServerProcess) -> float:
    """
    Open connections, ask one request on each, and look at the memory: it is that of a connection which waits.

    Memory is the proportional set size (proc(5), smaps_rollup), in which shared pages count by their share.
    """
    with contextlib.ExitStack() as stack:
        sizes = []
        for count in (_FEW, _MANY - _FEW):
            for _ in range(count):
                client = stack.enter_context(socket.create_connection(process.address, timeout=10.0))
                client.sendall(b"PING\r\n")
                if client.recv(len(PONG)) != PONG:
                    raise BenchmarkError(f"{process.name} does not answer each of {_MANY} connections")
            sizes.append(process.memory())
    return (sizes[1] - sizes[0]) / (_MANY - _FEW)


def descriptors() -> int:
    """Return how many descriptors a process may open, once `raise_limit` was called."""
    if sys.platform == "win32":
        raise NotImplementedError
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize


def raise_limit() -> None:
    """Let this process, and the programs that it starts from now on, open as many descriptors as it may."""
    if sys.platform == "win32":
        raise NotImplementedError
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
    output_of(_import_command(module), environment)
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
        spent, loaded = json.loads(output_of(_import_command(self.module), environment))
        if found := [
            name for name in loaded if name.partition(".")[0] in self.forbidden or name in self.forbidden
        ]:
            raise BenchmarkError(f"import {self.module} loads {', '.join(found)}")
        return {"import": 1e3 * spent, "modules": float(len(loaded))}
