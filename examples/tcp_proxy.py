"""
A TCP proxy: what a client sends goes to another server, and what that answers comes back.

    python examples/tcp_proxy.py --tcp 127.0.0.1:8080 --strategy selector 127.0.0.1:80
    python examples/tcp_proxy.py --tcp 127.0.0.1:6379 --strategy thread /run/redis.sock

The code is the same under all strategies. In threads it blocks; on the selector table one thread serves all
connections, by two lines: `cooperative` lets the socket to the other server park as the client's does, and
`alongside` runs the way back beside the way there.
"""

import functools
import socket
import sys
from collections.abc import Sequence
from typing import Final, TypeAlias

from _choose import TCP, UNIX, CommandLine, checked, endpoint
from sockserve import alongside, cooperative

__all__ = ("Target", "converse", "relay", "target")

#: Bytes that are under way in one direction, at most: then who sends has to wait for who receives.
CHUNK: Final = 64 * 1024
#: Seconds to reach the other server in.
PATIENCE: Final = 5.0

#: The family of a socket, and where to connect it.
Target: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | str]


def target(text: str) -> Target:
    """Read ``HOST:PORT`` or the path of a Unix socket. Names are resolved now: later that would hold others."""
    if sys.platform != "win32" and "/" in text:
        return socket.AF_UNIX, text
    host, port = endpoint(text)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, (str(address[0]), int(address[1]))


def relay(source: socket.socket, sink: socket.socket) -> None:
    """Pass on all that comes, and then its end. Where one side is gone, the other is told at once."""
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # ends the way back, too
            except OSError:
                pass  # it is gone already


def converse(to: Target, request: socket.socket, client_address: object, server: object) -> None:
    """Serve one client: connect to the other server, then relay both ways until both have ended."""
    family, address = to
    with cooperative(socket.socket(family, socket.SOCK_STREAM)) as upstream:
        upstream.settimeout(PATIENCE)
        try:
            upstream.connect(address)
        except OSError as error:
            print(f"{address} cannot be reached: {error}", flush=True)
            return
        upstream.settimeout(None)
        with alongside(relay, upstream, request):
            relay(request, upstream)


def main(arguments: Sequence[str] | None = None) -> None:
    """Relay until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.add_argument(
        "target", metavar="TARGET", type=checked(target), help="the other server: HOST:PORT, or a path with a /"
    )
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(converse, options.target))


if __name__ == "__main__":
    main()
