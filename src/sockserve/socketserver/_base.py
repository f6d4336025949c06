"""The root of the server classes: the steps of a request, and the loop that calls them."""

import threading
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .. import socketserver as names
from .._loop.accept_errors import action_for
from ._messages import answer_messages
from ._polling import serve, serve_one
from ._state import LoopEnded, ask_to_leave, state_of
from ._types import BindAddress, ClientAddress, Request, RequestHandlerFactory

__all__ = ("BaseServer",)

_RULE = "-" * 40


class BaseServer:
    """
    A server by inheritance: every step of a request is a method to override.

    For each request: `get_request`, `verify_request`, `process_request`, `finish_request` (which makes the
    handler), `shutdown_request`, `close_request`. What goes wrong in the handler is given to `handle_error`.

    Args:
        server_address: Where to listen.
        RequestHandlerClass: Called with (request, client address, server) for each request.

    Attributes:
        timeout: Seconds that `handle_request` waits for a request; None waits without end.
    """

    timeout: float | None = None

    server_address: BindAddress
    RequestHandlerClass: RequestHandlerFactory

    # Programs read and set these two from outside. On the class too, for objects that were made without __init__.
    __shutdown_request: bool = False
    __is_shut_down: threading.Event

    def __init__(self, server_address: BindAddress, RequestHandlerClass: RequestHandlerFactory) -> None:
        self.server_address = server_address
        self.RequestHandlerClass = RequestHandlerClass
        self.__is_shut_down = LoopEnded()
        self.__shutdown_request = False

    # To be called.

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """
        Serve until `shutdown`, in this thread; `timeout` does not matter here.

        Args:
            poll_interval: Seconds between two looks at whether somebody has set the private flag by hand, and
                between two calls of `service_actions` while nothing happens. `shutdown` is heard at once.
        """
        serve(self, poll_interval)

    def handle_request(self) -> None:
        """Serve one request: wait for it, at most `timeout` seconds, then call `handle_timeout`."""
        return serve_one(self)

    def shutdown(self) -> None:
        """
        Let `serve_forever` return, and wait until it has.

        Called by what `serve_forever` itself runs, or in a forked child, it only asks. While nothing serves yet it
        does not wait either: the next `serve_forever` leaves at once.
        """
        self.__shutdown_request = True
        if ask_to_leave(self, self.__is_shut_down):
            self.__is_shut_down.wait()

    def server_close(self) -> None:
        """Release what the server holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server_close()

    # One request.

    def _handle_request_noblock(self) -> None:
        """Serve a request that has arrived: foreign loops call it when the socket is readable."""
        try:
            request, client_address = self.get_request()
        except BlockingIOError:
            return  # another process was quicker
        except OSError as error:
            state_of(self).lost = action_for(error)
            return
        if not self.verify_request(request, client_address):
            self.shutdown_request(request)
            return
        try:
            self.process_request(request, client_address)
        except Exception:  # noqa: BLE001 - whoever overrides handle_error reports it
            self.handle_error(request, client_address)
            self.shutdown_request(request)
        except BaseException:
            self.shutdown_request(request)
            raise

    if TYPE_CHECKING:  # each kind of server has its own, and a base class beside this one may

        def get_request(self) -> tuple[ClientAddress, ClientAddress]:
            """
            Return the request that has arrived and where it came from.

            Raises:
                OSError: It is gone again, or cannot be taken; the server goes on.
            """
            ...

    def verify_request(self, request: Request, client_address: ClientAddress) -> bool:
        """Whether to answer at all. True; to be overridden."""
        return True

    def process_request(self, request: Request, client_address: ClientAddress) -> None:
        """Answer, here and now. A mix-in does it elsewhere."""
        self.finish_request(request, client_address)
        self.shutdown_request(request)

    def finish_request(self, request: Request, client_address: ClientAddress) -> None:
        """Make the handler, which does its work while it is made; a `MessageHandler` does it then."""
        answer_messages(self.RequestHandlerClass(request, client_address, self))

    def shutdown_request(self, request: Request) -> None:
        """Say goodbye to the client, then `close_request`."""
        self.close_request(request)

    def close_request(self, request: Request) -> None:
        """Release the request."""

    # To be overridden.

    def server_activate(self) -> None:
        """Begin to listen; called when the server is made."""

    def service_actions(self) -> None:
        """Do what is to be done after each request and each ``poll_interval`` without one."""

    def handle_timeout(self) -> None:
        """Take note that `handle_request` has waited for nothing."""

    def handle_error(self, request: Request, client_address: ClientAddress) -> None:
        """Report the exception that is being handled: on stderr, with its traceback."""
        lines = (
            _RULE,
            f"Exception occurred during processing of request from {client_address}",
            f"{traceback.format_exc()}{_RULE}",
        )
        print(*lines, sep="\n", file=names.sys.stderr)
