"""What the servers answer: the same few bytes and the same function on both sides of a comparison."""

import http.server
import time

from typing_extensions import override

__all__ = ("EACH", "PONG", "REQUEST_SIZE", "Hello", "compute", "dns_reply")

#: Bytes asked for in one recv: a PING of redis-benchmark has 14.
REQUEST_SIZE = 4096

#: A byte that each PING has once, however many come together and however they are cut: kept connections count it.
EACH = b"G"

#: What a Redis server answers a PING with (RESP, simple string).
PONG = b"+PONG\r\n"

# RFC 1035, 4.1.1: a response, recursion desired and available, no error; one question, one answer.
_FLAGS_AND_COUNTS = b"\x81\x80\0\1\0\1\0\0\0\0"
# RFC 1035, 4.1.3 and 4.1.4: the name of the question, type A, class IN, 60 seconds, 127.0.0.1.
_ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"


def dns_reply(query: bytes) -> bytes:
    """Answer a query of one question and nothing else: its id, fixed flags, its question, a fixed A record."""
    return query[:2] + _FLAGS_AND_COUNTS + query[12:] + _ANSWER


#: Seconds of the processor's time, not of the clock's: it is the same work whoever else runs.
_WORK = 300e-6


def compute() -> None:
    """Do nothing useful for 300 microseconds of this thread's time."""
    over = time.thread_time() + _WORK
    while time.thread_time() < over:
        pass


class Hello(http.server.BaseHTTPRequestHandler):
    """A short page, over kept connections."""

    protocol_version = "HTTP/1.1"
    _page = b"Hello, world\n"

    def do_GET(self) -> None:
        """Send the page, in one piece."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(self._page)))
        self.end_headers()
        self.wfile.write(self._page)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the log would be what is measured."""
