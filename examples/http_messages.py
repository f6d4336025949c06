"""
HTTP/1.1 by messages: h11 knows the protocol, sockserve the connections, and neither the other.

    python examples/http_messages.py --tcp 127.0.0.1:8000 --strategy selector
    curl http://127.0.0.1:8000/
    curl --data-binary @FILE http://127.0.0.1:8000/echo

It answers GET with what was asked for and POST with what was posted; kept connections, pipelines and chunked
bodies are h11's business. Needs h11 (``pip install h11``).
"""

import sys
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from _choose import TCP, UNIX, CommandLine
from sockserve import Chunks, MessageHandler

try:
    import h11
except ImportError:
    sys.exit("this example needs h11: pip install h11")

#: Bytes of a body that are taken.
MAX_BODY = 1024 * 1024

Answer = tuple[HTTPStatus, bytes]


def answer(request: h11.Request, body: bytes) -> Answer:
    """Answer a request: all that a program of one's own would put in another place."""
    match request.method:
        case b"GET" | b"HEAD":
            return HTTPStatus.OK, b"you have asked for " + request.target + b"\n"
        case b"POST":
            return HTTPStatus.OK, body
        case _:
            return HTTPStatus.METHOD_NOT_ALLOWED, b"GET, HEAD or POST, please\n"


class HttpHandler(MessageHandler):
    """Answers one client. What arrives is given to h11 as it is, which says what it means."""

    framing = Chunks()

    def connected(self) -> None:
        """Begin with the state that h11 keeps of a connection."""
        self.http = h11.Connection(h11.SERVER)

    def respond(self, message: bytes) -> Iterator[bytes]:
        """Yield the responses to the requests that *message* completes."""
        self.http.receive_data(message)
        while True:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as error:
                yield self._refusal(error.error_status_hint, str(error))
                return
            match event:
                case h11.Request():
                    self.asked, self.body = event, bytearray()
                case h11.Data():
                    self.body += event.data
                    if len(self.body) > MAX_BODY:
                        yield self._refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY} bytes")
                        return
                case h11.EndOfMessage():
                    yield self._response(*answer(self.asked, bytes(self.body)))
                    if self.http.our_state is h11.MUST_CLOSE:
                        self.close()
                        return
                    self.http.start_next_cycle()
                case _:  # what is missing is still to come
                    if self.http.they_are_waiting_for_100_continue:
                        yield self._sent(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
                    return

    def _response(self, status: int, body: bytes) -> bytes:
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        events: list[h11.Event] = [h11.Response(status_code=status, headers=headers), h11.EndOfMessage()]
        if body and self.asked.method != b"HEAD":
            events.insert(1, h11.Data(data=body))
        return b"".join(map(self._sent, events))

    def _refusal(self, status: int, reason: str) -> bytes:
        """Say why, where there is still somebody to say it to, and close."""
        self.close()
        if self.http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return b""
        body = f"{reason}\n".encode()
        head = h11.Response(
            status_code=status, headers=[("Connection", "close"), ("Content-Length", str(len(body)))]
        )
        return b"".join(map(self._sent, (head, h11.Data(data=body), h11.EndOfMessage())))

    def _sent(self, event: h11.Event) -> bytes:
        return self.http.send(event) or b""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.serve(command.parse_args(arguments), HttpHandler)


if __name__ == "__main__":
    main()
