"""What a server tells its observer of its requests."""

from typing import Generic, TypeVar

from .._measuring.measures import Measures
from ..abc import Handler
from ..abc._arrival import AnyArrival
from ..errors import (
    IncompleteMessage,
    MessageError,
    OpeningError,
    ProxyProtocolError,
    TaskLostError,
    TlsHandshakeError,
)
from ..events import (
    Event,
    Finished,
    HandlerFailed,
    MessageDropped,
    MessageRefused,
    NotOpened,
    PeerGone,
    ProxyFailed,
    TaskLost,
    TlsFailed,
)
from ..handlers import handler_name
from ..observers import Emitter

__all__ = ("Reports",)

R = TypeVar("R")
A = TypeVar("A")

_NOT_OPENED: dict[type[OpeningError], type[NotOpened]] = {
    TlsHandshakeError: TlsFailed,
    ProxyProtocolError: ProxyFailed,
}


class Reports(Generic[R, A]):
    """The part of `ServerCore` that makes the events of requests. Each is made only where it is wanted."""

    __slots__ = ()

    handler: Handler[R, A]
    emitter: Emitter
    address: A | None
    measures: Measures | None
    _observes_finished: bool

    @property
    def handler_name(self) -> str:
        """See `sockserve.abc.Core.handler_name`."""
        return handler_name(self.handler)

    def wants(self, kind: type[Event], /) -> bool:
        """See `sockserve.abc.Core.wants`."""
        return self.emitter.wants(kind)

    def emit(self, event: Event, /) -> None:
        """See `sockserve.abc.Core.emit`."""
        self.emitter.emit(event)

    def finished(self, job: AnyArrival, /, *, ok: bool, duration: float) -> None:
        """See `Serving.finished`."""
        self.timed(duration)
        if self._observes_finished:
            self.emit(
                Finished(server_address=self.address, client_address=job.client_address, duration=duration, ok=ok)
            )

    def timed(self, duration: float, /) -> None:
        """See `Serving.timed`."""
        if self.measures is not None:
            self.measures.timed(duration)

    def peer_gone(self, job: AnyArrival, error: BaseException, /) -> None:
        """See `Serving.peer_gone`."""
        if self.wants(PeerGone):
            self.emit(PeerGone(server_address=self.address, client_address=job.client_address, error=error))

    def message_error(self, job: AnyArrival, error: MessageError, /) -> None:
        """See `Serving.message_error`."""
        server, client = self.address, job.client_address
        if isinstance(error, IncompleteMessage):
            if self.wants(MessageDropped):
                self.emit(MessageDropped(server_address=server, client_address=client, size=error.size))
        elif self.wants(MessageRefused):
            self.emit(MessageRefused(server_address=server, client_address=client, error=error))

    def not_opened(self, job: AnyArrival, error: OpeningError, /) -> None:
        """See `Serving.not_opened`."""
        kind = _NOT_OPENED.get(type(error), NotOpened)
        if self.wants(kind):
            self.emit(
                kind(
                    server_address=self.address,
                    client_address=job.client_address,
                    reason=error.reason,
                    error=error,
                )
            )

    def task_lost(self, job: AnyArrival, error: TaskLostError, /) -> None:
        """See `Serving.task_lost`."""
        if self.wants(TaskLost):
            self.emit(
                TaskLost(
                    server_address=self.address,
                    client_address=job.client_address,
                    handler=self.handler_name,
                    error=error.error,
                )
            )

    def handler_failed(self, job: AnyArrival, error: BaseException, /) -> None:
        """See `Serving.handler_failed`."""
        if self.wants(HandlerFailed):
            self.emit(
                HandlerFailed(
                    server_address=self.address,
                    client_address=job.client_address,
                    handler=self.handler_name,
                    error=error,
                )
            )
