"""The page's handler: heads of HTTP requests in, answers out."""

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from .._typing import override
from ..abc import DatagramRequest, Framing
from ..addresses import InetAddress
from ..messages import MessageHandler
from ._http import Answer, Heads, HttpError, parse, write
from ._site import Site

if TYPE_CHECKING:
    import socket

    from ..server import Server

__all__ = ("StatusHandler",)

#: As `MessageHandler` has it.
_Server: TypeAlias = "Server[Any, InetAddress]"  # type: ignore[explicit-any]


class StatusHandler(MessageHandler[InetAddress]):
    """
    Answers what a browser, curl or Prometheus asks of a status page.

    Args:
        request: As every handler.
        client_address: As every handler.
        server: As every handler.
        site: The pages.
    """

    framing: ClassVar[Framing | None] = Heads()

    def __init__(
        self,
        request: "socket.socket | DatagramRequest",
        client_address: InetAddress,
        server: _Server,
        *,
        site: Site,
    ) -> None:
        super().__init__(request, client_address, server)
        self._site = site

    @override
    def respond(self, message: bytes) -> bytes:
        """Answer a request. What it is wrong with is said in a line, and ends the connection."""
        keep, body = False, True
        try:
            request = parse(message)
            body = request.method != "HEAD"
            answer = self._site.answer(request)
            keep = request.keep
        except HttpError as error:
            text = f"{error.reason}\n".encode()
            answer = Answer(text, "text/plain; charset=utf-8", error.status, error.headers)
        if not keep:
            self.close()
        return write(answer, keep=keep, body=body)
