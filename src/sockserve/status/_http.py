"""As much of HTTP/1.1 (RFC 9112) as a page needs that is only looked at: requests without a body."""

import re
import time
from collections.abc import Iterable, Mapping

import attrs

from ..abc import Decoder
from ..errors import MessageTooLong
from ..framing import Delimited

__all__ = ("Answer", "Heads", "HttpError", "HttpRequest", "TooLong", "parse", "write")

#: Bytes of a request's head, at most: what others allow (Apache httpd's LimitRequestLine, nginx's
#: large_client_header_buffers: 8 KiB), and no browser needs for a page without cookies.
MAX_HEAD = 8192

_HEADS = Delimited(b"\r\n\r\n", max_length=MAX_HEAD)


class TooLong(bytes):
    """Stands for a head that went on beyond the limit."""


@attrs.frozen
class Heads:
    """A framing: a message is the head of a request, which has no body; an answer is sent as it is."""

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        return _HeadDecoder(_HEADS.decoder())

    def encode(self, message: bytes, /) -> bytes:
        """Return *message*."""
        return message


@attrs.define
class _HeadDecoder:
    """Gives what is too long a chance to be told so, once."""

    _inner: Decoder

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        try:
            yield from self._inner.feed(data)
        except MessageTooLong:
            yield TooLong()

    def eof(self) -> Iterable[bytes]:
        return self._inner.eof()


class HttpError(Exception):
    """A request that is answered by a status and a reason, and ends the connection."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


@attrs.frozen
class HttpRequest:
    """
    The head of a request.

    Args:
        method: ``GET``, for one.
        path: What is asked for, without its query.
        host: The Host header; None where there is none, in HTTP/1.0.
        keep: Whether the client goes on with this connection.
    """

    method: str
    path: str
    host: str | None
    keep: bool


@attrs.frozen
class Answer:
    """What a request is answered with."""

    body: bytes
    kind: str
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}) (/[!-~]*) HTTP/1\.([01])")
#: RFC 9110, 5.5: a name is a token, right before its colon; a value is visible, and begins on the same line.
_HEADER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~\x80-\xff]?(?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)[ \t]*"
)


def parse(head: bytes) -> HttpRequest:
    """
    Read the head of a request, without the empty line at its end.

    Raises:
        HttpError: It is none that can be answered.
    """
    if isinstance(head, TooLong):
        raise HttpError(431, "the head of a request may have 8192 bytes")
    line, *lines = head.decode("latin-1").removeprefix("\r\n").split("\r\n")
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise HttpError(400, "no request line of HTTP/1.1, such as: GET / HTTP/1.1")
    headers = _headers(lines)
    hosts = headers.get("host", [])
    if len(hosts) > 1 or (not hosts and found[3] == "1"):
        raise HttpError(400, "exactly one Host header is needed")
    if "transfer-encoding" in headers or any(length != "0" for length in headers.get("content-length", [])):
        raise HttpError(400, "a request has no body here")
    return HttpRequest(
        method=found[1],
        path=found[2].partition("?")[0],
        host=hosts[0] if hosts else None,
        keep=_keeps(found[3], headers.get("connection", [])),
    )


def _headers(lines: Iterable[str]) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise HttpError(400, "a header is a name, a colon and a value, on one line")
        headers.setdefault(found[1].lower(), []).append(found[2])
    return headers


def _keeps(minor: str, connection: Iterable[str]) -> bool:
    options = {option.strip().lower() for line in connection for option in line.split(",")}
    return "close" not in options and (minor == "1" or "keep-alive" in options)


_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

#: With every answer: nothing is kept, nothing is guessed, nothing comes from elsewhere or is shown elsewhere.
_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def write(answer: Answer, *, keep: bool, body: bool = True) -> bytes:
    """
    Write *answer*.

    Args:
        answer: The answer.
        keep: Whether the connection goes on.
        body: Whether its body was asked for: not so by HEAD.
    """
    headers = {
        "Date": _date(),
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        "Connection": "keep-alive" if keep else "close",
        **_ALWAYS,
        **answer.headers,
    }
    lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}", *(f"{key}: {headers[key]}" for key in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (answer.body if body else b"")


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date() -> str:
    """Write the time as RFC 9110, 5.6.7 has it; strftime would write it in the language of the locale."""
    now = time.gmtime()
    clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
    return f"{_DAYS[now.tm_wday]}, {now.tm_mday:02} {_MONTHS[now.tm_mon - 1]} {now.tm_year} {clock} GMT"
