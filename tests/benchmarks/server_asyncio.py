"""asyncio's streams, on uvloop and on its own loop: handlers written as coroutines."""

import asyncio
import importlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from .answers import PONG, REQUEST_SIZE

__all__ = ("AsyncServer", "asyncio_kept", "asyncio_tls", "uvloop_kept")


_Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]


async def _kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(REQUEST_SIZE):
            writer.write(PONG)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read(1)
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


class AsyncServer:
    """What the benchmarks ask of a server."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: _Handler = _kept, context: ssl.SSLContext | None = None
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=socket.SOMAXCONN)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return host, port

    def listen(self) -> None:
        """Nothing: it listens since it was made."""

    def serve_forever(self) -> None:
        """Serve until the process ends."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._handler, sock=self._socket, ssl=self._context))
        self._loop.run_forever()

    def shutdown(self) -> None:
        """Not for this one."""
        raise NotImplementedError

    def server_close(self) -> None:
        """Close the socket."""
        self._socket.close()


def uvloop_kept() -> AsyncServer:
    """uvloop."""
    uvloop: Any = importlib.import_module("uvloop")  # by name: the type checkers' environment need not have it
    return AsyncServer(uvloop.new_event_loop())


def asyncio_kept() -> AsyncServer:
    """asyncio's own loop."""
    return AsyncServer(asyncio.new_event_loop())


def asyncio_tls() -> AsyncServer:
    """asyncio's own loop, with TLS."""
    from tls_kit import new_context

    return AsyncServer(asyncio.new_event_loop(), _nothing, new_context())
