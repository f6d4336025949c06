"""Speak TLS for clients that speak plainly; see `tls_kit.Relay`. Run as a program: path, trusted, descriptor."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import sys

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


class Tls:
    """One connection to a server, without a thread: what OpenSSL reads and writes is in memory."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.sending = asyncio.Lock()

    async def flush(self) -> None:
        async with self.sending:
            if data := self.outgoing.read():
                await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def more(self) -> bool:
        """Receive something; whether there was."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        self.incoming.write(data) if data else self.incoming.write_eof()
        return bool(data)

    async def shake_hands(self) -> None:
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                await self.more()
            else:
                return await self.flush()

    async def read(self) -> bytes:
        """Return b"" at the end."""
        while True:
            try:
                return self.object.read(65536)
            except ssl.SSLWantReadError:
                await self.flush()  # a key update is answered
                await self.more()
            except ssl.SSLZeroReturnError:
                return b""

    async def write(self, data: bytes) -> None:
        self.object.write(data)
        await self.flush()

    async def end(self) -> None:
        while self.incoming.pending:  # OpenSSL gives up for good where data follows its own close_notify
            await asyncio.sleep(0)
        with contextlib.suppress(ssl.SSLError):
            self.object.unwrap()
        await self.flush()
        self.sock.shutdown(socket.SHUT_WR)


async def there(local: socket.socket, tls: Tls) -> None:
    while data := await asyncio.get_running_loop().sock_recv(local, 65536):
        await tls.write(data)
    await tls.end()


async def back(local: socket.socket, tls: Tls) -> None:
    while data := await tls.read():
        await asyncio.get_running_loop().sock_sendall(local, data)
    local.shutdown(socket.SHUT_WR)


async def serve(local: socket.socket, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    with local:
        line = b""
        while not line.endswith(b"\n"):
            line += await loop.sock_recv(local, 1)
        family, address, name = json.loads(line)
        with socket.socket(family) as remote:
            remote.setblocking(False)
            await loop.sock_connect(remote, tuple(address) if isinstance(address, list) else address)
            await loop.sock_sendall(local, b"+")
            tls = Tls(remote, context, name)
            await tls.shake_hands()
            ways = [asyncio.create_task(way(local, tls)) for way in (there, back)]
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def serve_all(listener: socket.socket, context: ssl.SSLContext, control: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(control, os._exit, 0)  # the tests have ended
    tasks = set()
    while True:
        local, _ = await loop.sock_accept(listener)
        tasks.add(task := asyncio.create_task(survive(serve(local, context))))
        task.add_done_callback(tasks.discard)


async def survive(connection: object) -> None:
    with contextlib.suppress(OSError):  # of TLS, too: both ends are closed, and the client sees that
        await connection  # type: ignore[misc]  # a coroutine


def main() -> None:
    path, trusted, control = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(socket.SOMAXCONN)
        listener.setblocking(False)
        if os.fork():
            return  # the tests have no child
        os.setsid()
        asyncio.run(serve_all(listener, ssl.create_default_context(cafile=trusted), int(control)))


if __name__ == "__main__":
    main()
