"""One request on its way, from its acceptance to its end."""

import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar

from ..abc import Arrival

if TYPE_CHECKING:
    from .core import ServerCore

__all__ = ("RequestJob", "current_job")

R = TypeVar("R")
A = TypeVar("A")

#: The request that this context serves. One variable for all servers: a thread serves one request at a time, and
#: so does a row of a table.
current_job: "ContextVar[RequestJob[object, object] | None]" = ContextVar("sockserve_current_job", default=None)


class RequestJob(Generic[R, A]):
    """Implements `sockserve.abc.Job`."""

    __slots__ = ("_abort", "_arrival", "_end_input", "core")

    def __init__(self, core: "ServerCore[R, A]", arrival: Arrival[R, A]) -> None:
        self.core = core
        self._arrival = arrival
        self._end_input: Callable[[], None] | None = None
        self._abort: Callable[[], None] | None = None

    @property
    def stream(self) -> bool:
        """See `sockserve.abc.Job.stream`."""
        return self._arrival.stream

    @property
    def request(self) -> object:
        """See `sockserve.abc.Job.request`."""
        return self._arrival.request

    @request.setter
    def request(self, request: object) -> None:
        """Let the handler get another."""
        self._arrival.replace(request)

    @property
    def client_address(self) -> A:
        """See `sockserve.abc.Job.client_address`."""
        return self._arrival.client_address

    def run(self) -> bool:
        """See `sockserve.abc.Job.run`."""
        core, arrival = self.core, self._arrival
        token = current_job.set(self)  # type: ignore[arg-type]  # of whatever request and address
        began = time.monotonic() if core.tells_finished else None
        ok = False
        try:
            core.handler(arrival.open(), arrival.client_address, core.server)
            ok = True
        except SystemExit as error:
            if os.getpid() != core.pid:
                raise  # of a process that the handler has forked: it is to end
            ok = self._explain(error)
        except Exception as error:  # noqa: BLE001 - reported; ends this request alone
            ok = self._explain(error)
        finally:
            arrival.finish()
            core.settled(self, ok)
            if began is not None:
                core.finished(self, ok=ok, duration=time.monotonic() - began)
            current_job.reset(token)
        return ok

    def _explain(self, error: BaseException) -> bool:
        """Report *error*; whether it only means that the peer has gone."""
        gone = self._arrival.peer_gone(error)
        if gone:
            self.core.peer_gone(self.client_address, error)
        else:
            self.core.handler_failed(self.client_address, error)
        return gone

    def reject(self) -> None:
        """Close a request that no strategy runs."""
        self._arrival.finish()
        self.core.settled(self, ok=False)
        if self.core.tells_finished:
            self.core.finished(self, ok=False, duration=0.0)

    def disown(self, *, end_input: Callable[[], None], abort: Callable[[], None]) -> None:
        """See `sockserve.abc.Job.disown`."""
        self._end_input, self._abort = end_input, abort
        self._arrival.disown()

    def settle(self, *, ok: bool) -> None:
        """See `sockserve.abc.Job.settle`."""
        self.core.settled(self, ok=ok)

    def end_input(self) -> None:
        """See `sockserve.abc.Job.end_input`."""
        if self._arrival.stream:
            (self._end_input or self._arrival.end_input)()

    def abort(self) -> None:
        """See `sockserve.abc.Job.abort`."""
        (self._abort or self._arrival.abort)()
