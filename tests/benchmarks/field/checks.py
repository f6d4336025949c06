"""Before anything is measured: does it answer, and correctly?"""

import http.client
import socket
import time
from collections.abc import Callable

from ..answers import PONG, dns_reply
from ..measure import BenchmarkError

__all__ = ("check",)

_PATIENCE = 10.0
_ARRAY = b"*1\r\n$4\r\nPING\r\n"
_LINE = b"PING\r\n"
_QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4host\7example\0\0\1\0\1"


def _expect(what: str, answer: bytes, expected: bytes) -> None:
    if answer != expected:
        raise BenchmarkError(f"{what} is answered {answer[:100]!r}, not {expected[:100]!r}")


def _exactly(sock: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size and (data := sock.recv(size - len(answer))):
        answer += data
    return answer


def _requests(address: tuple[str, int], request: bytes) -> None:
    """Check one request, sixteen together, and one that comes in two pieces, on one connection."""
    with socket.create_connection(address, timeout=_PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for count in (1, 16, 1):
            sock.sendall(request * count)
            _expect(f"{count} times {request!r}", _exactly(sock, count * len(PONG)), count * PONG)
        sock.sendall(request[:-4])
        time.sleep(0.01)  # likely two reads; right whether or not
        sock.sendall(request[-4:])
        _expect(f"{request!r} in two pieces", _exactly(sock, len(PONG)), PONG)
        sock.shutdown(socket.SHUT_WR)
        _expect("the end", sock.recv(100), b"")


def _once(address: tuple[str, int]) -> None:
    for _ in range(3):
        with socket.create_connection(address, timeout=_PATIENCE) as sock:
            sock.sendall(_ARRAY)
            _expect("a request and the end of the connection", _exactly(sock, len(PONG) + 1), PONG)


def _http(address: tuple[str, int]) -> None:
    """Check a page, over one connection, and warm the server up by it: wrk cannot run for less than a second."""
    connection = http.client.HTTPConnection(*address, timeout=_PATIENCE)
    try:
        for _ in range(100):
            connection.request("GET", "/")
            with connection.getresponse() as response:
                _expect("GET /", response.read(), b"Hello, world\n")
    finally:
        connection.close()


def _dns(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_PATIENCE)
        sock.connect(address)
        sock.send(_QUERY)
        _expect("a DNS query", sock.recv(512), dns_reply(_QUERY))


_CHECKS: dict[str, Callable[[tuple[str, int]], None]] = {
    "kept": lambda address: _requests(address, _ARRAY),
    "lines": lambda address: _requests(address, _LINE),
    "once": _once,
    "http": _http,
    "dns": _dns,
}


def check(kind: str, address: tuple[str, int]) -> None:
    """Ask the server at *address*, of this *kind*; raise `BenchmarkError` if an answer is wrong or missing."""
    try:
        _CHECKS[kind](address)
    except (OSError, http.client.HTTPException) as error:
        raise BenchmarkError(f"it does not answer: {error!r}") from error
