"""Serving in a background thread, for the time of a ``with`` block."""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from .lifecycle import LAST_WAIT

if TYPE_CHECKING:
    from ..server import AnyServer

__all__ = ("Background",)

ServerT = TypeVar("ServerT", bound="AnyServer")


@attrs.define(eq=False)
class Background(Generic[ServerT]):
    """See `Server.running`."""

    server: ServerT
    grace: float
    _thread: threading.Thread | None = attrs.field(init=False, default=None)
    _error: BaseException | None = attrs.field(init=False, default=None)

    def __enter__(self) -> ServerT:
        """Open the socket, then start the thread: clients are queued from here on."""
        self.server.listen()
        # Daemonic: a program that dies without leaving the block is not to hang on its server.
        self._thread = threading.Thread(target=self._serve, name="sockserve-running", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self.server.server_close()
            raise
        return self.server

    def _serve(self) -> None:
        try:
            self.server.serve_forever()
        except BaseException as error:  # noqa: BLE001 - raised again by __exit__, in the thread that waits
            self._error = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down, close, and raise what the thread died of."""
        assert self._thread is not None
        try:
            self.server.shutdown(self.grace)
            self._thread.join(self.grace + LAST_WAIT)
        finally:
            self.server.server_close()
        if self._error is not None:
            raise self._error
