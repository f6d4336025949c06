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
    """A defect: what is wrong then, and what makes it so."""

    what: str
    apply: Callable[[ModuleType], None]


def _nothing(*_arguments: object, **_keywords: object) -> None:
    """Stand for a step that is left out."""


def _one_request(server: Any, _poll_interval: float = 0.5) -> None:
    server.handle_request()


def _bind_blindly(server: Any) -> None:
    server.socket.bind(server.server_address)


def _bind_without_options(server: Any) -> None:
    server.socket.bind(server.server_address)
    server.server_address = server.socket.getsockname()


def _accept_anonymously(server: Any) -> tuple[object, object]:
    request, _address = server.socket.accept()
    return request, ("0.0.0.0", 0)


def _answer_twice(server: Any, request: object, client_address: object) -> None:
    for _ in range(2):
        server.RequestHandlerClass(request, client_address, server)


def _close_unanswered(server: Any, request: object, _client_address: object) -> None:
    server.shutdown_request(request)


def _answer_in_turn(server: Any, request: object, client_address: object) -> None:
    server.process_request_thread(request, client_address)


def _close_files_unsent(handler: Any) -> None:
    handler.rfile.close()


def _write_half(writer: Any, data: bytes) -> int:
    writer._sock.sendall(bytes(data)[: len(data) // 2])
    return len(data)


#: Name → class, method, what is wrong then, what stands in the method's place.
_ROWS: dict[str, tuple[str, str, str, Callable[..., object]]] = {
    "address-unknown": ("TCPServer", "server_bind", "does not ask for the address that was bound", _bind_blindly),
    "client-unknown": ("TCPServer", "get_request", "gives a wrong client address", _accept_anonymously),
    "handled-in-turn": ("ThreadingMixIn", "process_request", "starts no thread", _answer_in_turn),
    "handled-twice": ("BaseServer", "finish_request", "makes two handlers for one request", _answer_twice),
    "no-finish": ("StreamRequestHandler", "finish", "does not flush what was written", _close_files_unsent),
    "no-listen": ("TCPServer", "server_activate", "does not listen", _nothing),
    "no-reuse": ("TCPServer", "server_bind", "does not look at allow_reuse_address", _bind_without_options),
    "one-request": ("BaseServer", "serve_forever", "serves one request only", _one_request),
    "request-stays-open": ("TCPServer", "shutdown_request", "does nothing", _nothing),
    "server-stays-open": ("TCPServer", "server_close", "closes nothing", _nothing),
    "unanswered": ("BaseServer", "process_request", "makes no handler", _close_unanswered),
    "written-by-half": ("_SocketWriter", "write", "sends half of what is written", _write_half),
}


def _row(kind: str, method: str, what: str, function: Callable[..., object]) -> Break:
    return Break(f"{kind}.{method} {what}", lambda module: setattr(getattr(module, kind), method, function))


BREAKS: dict[str, Break] = {name: _row(*row) for name, row in _ROWS.items()}
