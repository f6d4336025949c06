"""asyncio, on its own loop and on uvloop: streams with handlers written as coroutines, and protocols."""

import asyncio
import importlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

from typing_extensions import override

from .answers import EACH, PONG, REQUEST_SIZE, dns_reply
from .server_base import BACKLOG, Forever, datagram_socket, stream_socket

__all__ = ("datagrams", "protocol", "streams", "tls")

_Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]
_Starting: TypeAlias = Coroutine[object, object, object]


async def _kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(REQUEST_SIZE):
            writer.write(PONG * data.count(EACH))
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if await reader.read(REQUEST_SIZE):
            writer.write(PONG)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readline():
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


_HANDLERS: dict[str, _Handler] = {"kept": _kept, "once": _once, "lines": _lines}


class _Kept(asyncio.Protocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast("asyncio.Transport", transport).write

    @override
    def data_received(self, data: bytes) -> None:
        self.write(PONG * data.count(EACH))


class _Once(asyncio.Protocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self.transport.write(PONG)
        self.transport.close()


class _Dns(asyncio.DatagramProtocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.send = cast("asyncio.DatagramTransport", transport).sendto

    @override
    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.send(dns_reply(data), addr)


_PROTOCOLS: dict[str, type[asyncio.Protocol]] = {"kept": _Kept, "once": _Once}


def _new_loop(library: str) -> asyncio.AbstractEventLoop:
    # By name: the type checkers' environment need not have uvloop.
    module: Any = importlib.import_module(library)
    return cast("asyncio.AbstractEventLoop", module.new_event_loop())


def _serving(
    library: str, sock: socket.socket, start: Callable[[asyncio.AbstractEventLoop, socket.socket], _Starting]
) -> Forever:
    loop = _new_loop(library)

    def run(sock: socket.socket) -> None:
        asyncio.set_event_loop(loop)
        started = loop.run_until_complete(start(loop, sock))
        loop.run_forever()
        del started  # it is kept until here: who forgets it may stop it

    return Forever(sock, run)


def streams(library: str, what: str) -> Forever:
    """Make a server of coroutines on the loop of *library*."""
    handler = _HANDLERS[what]
    return _serving(
        library, stream_socket(), lambda _, sock: asyncio.start_server(handler, sock=sock, backlog=BACKLOG)
    )


def protocol(library: str, what: str) -> Forever:
    """Make a server of callbacks."""
    make = _PROTOCOLS[what]
    return _serving(
        library, stream_socket(), lambda loop, sock: loop.create_server(make, sock=sock, backlog=BACKLOG)
    )


def datagrams(library: str) -> Forever:
    """DNS over UDP, by callbacks."""
    return _serving(library, datagram_socket(), lambda loop, sock: loop.create_datagram_endpoint(_Dns, sock=sock))


def tls() -> Forever:
    """Streams on asyncio's own loop, with TLS."""
    from tls_kit import new_context

    context = new_context()
    return _serving(
        "asyncio", stream_socket(), lambda _, sock: asyncio.start_server(_nothing, sock=sock, ssl=context)
    )
