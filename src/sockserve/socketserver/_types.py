"""What the standard library's annotations of these classes say, and what the loop asks of any such server."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

__all__ = (
    "Answerer",
    "BindAddress",
    "ClientAddress",
    "InetBindAddress",
    "Polled",
    "Request",
    "RequestHandlerFactory",
    "ServerBase",
    "Threaded",
    "UnixBindAddress",
)

#: A connection, or a datagram with the socket to answer through.
Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]

#: What ``get_request`` returned beside the request. `Any`, as in the standard library's annotations: programs
#: return what they like there, and index it.
ClientAddress: TypeAlias = Any

#: What `socket.socket.bind` takes, for all families, and for some.
BindAddress: TypeAlias = tuple[Any, ...] | str | bytes | bytearray
InetBindAddress: TypeAlias = tuple[str | bytes | bytearray, int] | tuple[str | bytes | bytearray, int, int, int]
UnixBindAddress: TypeAlias = str | bytes | bytearray

#: A handler. The server is `Any` and the result is not looked at: so the handlers of http.server fit, which are
#: annotated with the standard library's server class.
RequestHandlerFactory: TypeAlias = Callable[[Any, Any, Any], object]


class Answerer(Protocol):
    """The documented steps in the life of one request."""

    def finish_request(self, request: object, client_address: object) -> None: ...
    def handle_error(self, request: object, client_address: object) -> None: ...
    def shutdown_request(self, request: object) -> None: ...
    def close_request(self, request: object) -> None: ...
    def process_request_thread(self, request: object, client_address: object) -> None: ...


class Threaded(Answerer, Protocol):
    """What a server has besides under ``ThreadingMixIn``; the counter may be a program's own."""

    _threads: "Counter"


class Counter(Protocol):
    """Where threads are counted."""

    def append(self, thread: threading.Thread, /) -> object: ...


class ServerBase(Protocol):
    """What a mix-in asks of the class after it."""

    def server_close(self) -> None: ...
    def service_actions(self) -> None: ...
    def shutdown(self) -> None: ...


class Polled(Protocol):
    """
    What the loop asks of a server, this module's or the standard library's.

    The two private names are the same in both: programs set them from outside.
    """

    _BaseServer__shutdown_request: object  # set from outside, to anything
    _BaseServer__is_shut_down: threading.Event
    timeout: float | None
    socket: socket.socket

    def fileno(self) -> int: ...
    def handle_timeout(self) -> None: ...
    def service_actions(self) -> None: ...
    def _handle_request_noblock(self) -> None: ...
