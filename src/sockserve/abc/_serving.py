"""Between a request and the server."""

from collections.abc import Callable
from typing import Protocol

from ..deadlines import Deadlines
from ..errors import MessageError, OpeningError, TaskLostError
from ._arrival import AnyArrival
from ._message import Conversation

__all__ = ("Serving",)


class Serving(Protocol):
    """The server, as its requests see it."""

    @property
    def answer(self) -> Callable[..., object]:  # type: ignore[explicit-any]  # of whatever request and address
        """What is called with a request, its client's address and the server, and returns when it is answered."""
        ...

    @property
    def converse(self) -> Callable[[AnyArrival], Conversation] | None:
        """What makes the conversation of a connection; None where the handler is no `MessageHandler`."""
        ...

    @property
    def server(self) -> object:
        """What handlers are given as their server."""
        ...

    @property
    def pid(self) -> int:
        """The process that serves. One that a handler has forked is not to go on in its place."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """How long its requests may take."""
        ...

    @property
    def tells_finished(self) -> bool:
        """Whether requests are timed, and `finished` or `timed` is to be called."""
        ...

    def settled(self, job: AnyArrival, ok: bool, /) -> None:
        """Count a request that has ended, here or in another process."""
        ...

    def finished(self, job: AnyArrival, /, *, ok: bool, duration: float) -> None:
        """Report a request that has ended in this process, after so many seconds."""
        ...

    def timed(self, duration: float, /) -> None:
        """Take note of how long a request took that has ended in another process, which has reported it."""
        ...

    def peer_gone(self, job: AnyArrival, error: BaseException, /) -> None:
        """Report a peer that went away."""
        ...

    def message_error(self, job: AnyArrival, error: MessageError, /) -> None:
        """Report what a peer did wrong in its messages."""
        ...

    def vet(self, job: AnyArrival, /) -> bool:
        """
        Whether a request is to be served that is in flight already, now that its client's address is known.

        Asked where it runs, in any thread or child. What is turned away is reported; closing it is the caller's.
        """
        ...

    def not_opened(self, job: AnyArrival, error: OpeningError, /) -> None:
        """Report a connection that could not be made ready for its handler: not secured, without its header."""
        ...

    def task_lost(self, job: AnyArrival, error: TaskLostError, /) -> None:
        """Report an answer that an executor owes."""
        ...

    def handler_failed(self, job: AnyArrival, error: BaseException, /) -> None:
        """Report a handler's error."""
        ...
