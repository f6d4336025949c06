"""
Small deliberate defects of the shim: a suite in which none of them turns a test red proves nothing.

Each is applied to the module when an interpreter of the environment starts. Some programs override the very method
that a break replaces, and do not notice it; no break is meant to be noticed by all.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ("BREAKS", "Break")


class Break(NamedTuple):
    """A defect: which method of which class, what is wrong then, and what stands in its place."""

    kind: str
    method: str
    wrong: str
    function: Callable[..., object]

    def apply(self, module: ModuleType) -> None:
        """Break the module."""
        setattr(getattr(module, self.kind), self.method, self.function)

    def __str__(self) -> str:
        return f"{self.kind}.{self.method} {self.wrong}"


def _nothing(*_arguments: object, **_keywords: object) -> None:
    """Stand for a step that is left out."""


def _one_request(server: Any, _poll_interval: float = 0.5) -> None:
    server.handle_request()


def _bind_blindly(server: Any) -> None:
    server.socket.bind(server.server_address)


def _bind_without_options(server: Any) -> None:
    server.socket.bind(server.server_address)
    server.server_address = server.socket.getsockname()


def _answer_twice(server: Any, request: object, client_address: object) -> None:
    for _ in range(2):
        server.RequestHandlerClass(request, client_address, server)


def _close_unanswered(server: Any, request: object, _client_address: object) -> None:
    server.shutdown_request(request)


def _answer_in_turn(server: Any, request: object, client_address: object) -> None:
    server.process_request_thread(request, client_address)


def _write_half(writer: Any, data: bytes) -> int:
    writer._sock.sendall(bytes(data)[: len(data) // 2])
    return len(data)


BREAKS: dict[str, Break] = {
    "address-unknown": Break(
        "TCPServer", "server_bind", "does not ask for the address that was bound", _bind_blindly
    ),
    "handled-in-turn": Break("ThreadingMixIn", "process_request", "starts no thread", _answer_in_turn),
    "handled-twice": Break("BaseServer", "finish_request", "makes two handlers for one request", _answer_twice),
    "no-listen": Break("TCPServer", "server_activate", "does not listen", _nothing),
    "no-reuse": Break("TCPServer", "server_bind", "does not look at allow_reuse_address", _bind_without_options),
    "one-request": Break("BaseServer", "serve_forever", "serves one request only", _one_request),
    "request-stays-open": Break("TCPServer", "shutdown_request", "does nothing", _nothing),
    "unanswered": Break("BaseServer", "process_request", "makes no handler", _close_unanswered),
    "written-by-half": Break("_SocketWriter", "write", "sends half of what is written", _write_half),
}
