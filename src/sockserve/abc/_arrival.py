"""One request on its way, from its acceptance to its end."""

import os
import socket
import time
from abc import abstractmethod
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias

from .._typing import TypeVar
from ..errors import MessageError, OpeningError, RequestAborted, TaskLostError
from ._message import Conversation, Reply
from ._opening import Opening, Patience

if TYPE_CHECKING:
    import ssl

    from ..proxying import Proxied
    from ._serving import Serving

__all__ = ("AnyArrival", "Arrival", "DatagramRequest", "Keeper", "Unwelcome", "current_job", "ends_alone")

R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)

#: A datagram, and the socket to answer through, which is the listener's own.
DatagramRequest: TypeAlias = tuple[bytes, socket.socket]


class Keeper(Protocol):
    """Whoever has a request that is not ours any more, and passes on what we want of it. Never raises."""

    def end_input(self) -> None:
        """Let the handler see the end of its input."""
        ...

    def abort(self) -> None:
        """Let every wait of the handler for its peer end."""
        ...

    def kill(self) -> None:
        """End the request without asking its handler, which has taken no notice of `abort`."""
        ...


def ends_alone(error: BaseException, pid: int) -> bool:
    """Whether *error* is for one request alone: SystemExit is not, but in the process *pid*, which serves it."""
    return isinstance(error, Exception) or (isinstance(error, SystemExit) and os.getpid() == pid)


class Unwelcome(Exception):  # noqa: N818 - it names the client
    """Ends a request whose client is turned away where it runs; that has been reported."""


class Arrival(Generic[R_co, A_co]):
    """
    One request that a listener has accepted: the base of each transport's own, and the `Job` that a strategy gets.

    A transport's subclass says how such a request is made ready, ended and shut; what is here is its life. One
    object for all of it, since there is one for each request: a second costs as much as all else here.

    Args:
        request: What the handler will be given.
        client_address: Whom it came from.
    """

    #: The slot ``proxied`` is filled where a proxy has said something, and only then.
    __slots__ = (
        "aborted",
        "began",
        "client_address",
        "keeper",
        "number",
        "openings",
        "peer",
        "proxied",
        "request",
        "respond",
        "serving",
    )

    proxied: "Proxied"

    def __init__(self, request: R_co, client_address: A_co) -> None:
        self.request: R_co = request
        self.client_address: A_co = client_address
        #: What is still to happen before the handler gets it. A listener that wraps another one's adds to it.
        self.openings: tuple[Opening, ...] = ()
        self.keeper: Keeper | None = None
        self.aborted: bool = False
        #: Who sent it, where requests in flight are counted by that.
        self.peer: Hashable | None = None
        #: What answers messages in place of the handler's own method.
        self.respond: Callable[[object, bytes], Reply] | None = None
        #: When its handling began, if somebody wants to know.
        self.began: float | None = None

    def admit(self, serving: "Serving", number: int) -> None:
        """Belong to a server from here on, as its request of this number."""
        self.serving: Serving = serving
        self.number: int = number

    @property
    def named_later(self) -> bool:
        """Whether the client's address, as it is now, is not yet its own, but a proxy's."""
        return bool(self.openings) and any(opening.names_client for opening in self.openings)

    @property
    def greeted(self) -> tuple[int, int] | None:
        """
        How many bytes had come, and segments with data were sent, when it was ready for its first request.

        Those of a TLS handshake: neither a request nor an answer. None: it is not ready yet.
        """
        return None if self.openings else (0, 0)

    def greet(self) -> None:
        """Take note that it is ready for a request, and of what has come until now."""

    # What a transport says.

    @property
    @abstractmethod
    def stream(self) -> bool:
        """Whether it is a connection: a datagram has nothing to shut or close."""

    @abstractmethod
    def replace(self, request: object, /) -> None:
        """Let the handler get *request* instead, before `run`: a strategy's own kind of socket."""

    def open(self) -> R_co:
        """Make the request ready, where it runs, and return it. `openings` have their turn after that."""
        return self.request

    def start_tls(self, context: "ssl.SSLContext", patience: Patience | None = None) -> "ssl.SSLSocket":
        """
        Go on with TLS over the request's connection, and serve the result in its place.

        Args:
            context: By what it is secured.
            patience: How long that may take; None: ``deadlines.handshake``.

        Raises:
            TlsHandshakeError: The handshake has failed.
            ValueError: The request is no connection, or one that is secured already.
        """
        raise ValueError(f"TLS needs a connection that is not secured yet, not {self.request!r}")

    @abstractmethod
    def finish(self) -> None:
        """Say goodbye and close. Called once, in the process that ran the handler. Never raises."""

    @abstractmethod
    def release(self) -> None:
        """Close this process's copy only, without a word to the peer: another process runs the request."""

    @abstractmethod
    def end_input(self) -> None:
        """Let the handler see the end of its input, whoever waits for it. Any thread; never raises."""

    @abstractmethod
    def abort(self) -> None:
        """Let every wait of the handler for its peer end. Any thread; never raises."""

    @property
    def told_to_end(self) -> bool:
        """Whether the server has ended its input, or aborted it: what it then meets is nobody's fault."""
        return self.aborted

    @abstractmethod
    def peer_gone(self, error: BaseException, /) -> bool:
        """Whether *error*, raised by the handler, only means that this peer is not there any more."""

    # What a strategy calls.

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """See `sockserve.abc.Job.respond_by`."""
        self.respond = respond

    def run(self) -> bool:
        """See `sockserve.abc.Job.run`."""
        serving = self.serving
        before = current_job.get()
        current_job.set(self)  # set back below: its token would be kept all the while
        if serving.tells_finished:
            self.began = time.monotonic()
        ok = False
        try:
            request = self._opened() if self.openings else self.open()
            serving.answer(request, self.client_address, serving.server)
            ok = True
        except (Exception, SystemExit) as error:
            if not self.ends_alone(error):
                raise
            ok = self._explain(error)
        finally:
            self._end(ok, self.began)
            current_job.set(before)
        return ok

    def _opened(self) -> R_co:
        """Make the request ready, and take the steps of the transports around its own."""
        self.open()
        patience = Patience.of(self.serving.deadlines.handshake)
        for opening in self.openings:
            opening.perform(self, patience)
        self.greet()
        return self.request

    def conversation(self) -> Conversation | None:
        """See `sockserve.abc.Job.conversation`."""
        converse = self.serving.converse
        if converse is None or not self.stream or self.openings:
            return None
        if self.serving.tells_finished:
            self.began = time.monotonic()
        return converse(self)

    def conclude(self, error: BaseException | None, /) -> bool:
        """See `sockserve.abc.Job.conclude`."""
        ok = error is None
        try:
            if error is not None:
                if not self.ends_alone(error):
                    raise error
                ok = self._explain(error)
        finally:
            self._end(ok, self.began)
        return ok

    def report(self, error: MessageError, /) -> None:
        """Let the observer know what the peer of a conversation did wrong."""
        self.serving.message_error(self, error)

    def ends_alone(self, error: BaseException) -> bool:
        """Whether *error* is for this request alone."""
        return ends_alone(error, self.serving.pid)

    def _end(self, ok: bool, began: float | None) -> None:
        self.finish()
        self.serving.settled(self, ok)
        if began is not None:
            self.serving.finished(self, ok=ok, duration=time.monotonic() - began)

    def _explain(self, error: BaseException) -> bool:
        """Report *error*; whether it only means that the peer has gone."""
        if isinstance(error, Unwelcome):
            return False
        if isinstance(error, OpeningError) and not self.told_to_end:
            self.serving.not_opened(self, error)
            return False
        gone = isinstance(error, RequestAborted | OpeningError) or self.peer_gone(error)
        if isinstance(error, TaskLostError):
            self.serving.task_lost(self, error)
        elif gone:
            self.serving.peer_gone(self, error)
        else:
            self.serving.handler_failed(self, error)
        return gone

    def reject(self) -> None:
        """Close a request that no strategy runs."""
        self.finish()
        self.serving.settled(self, False)
        if self.serving.tells_finished:
            self.serving.finished(self, ok=False, duration=0.0)

    def disown(self, keeper: Keeper, /) -> None:
        """See `sockserve.abc.Job.disown`."""
        if self.began is None and self.serving.tells_finished:
            self.began = time.monotonic()
        self.keeper = keeper
        self.release()

    def settle(self, *, ok: bool) -> None:
        """See `sockserve.abc.Job.settle`."""
        self.keeper = None  # who has us, too: a circle
        self.serving.settled(self, ok)
        if self.began is not None:
            self.serving.timed(time.monotonic() - self.began)


AnyArrival: TypeAlias = Arrival[object, object]


#: The request that this context serves. One variable for all servers: a thread serves one request at a time, and
#: so does a row of a table.
current_job: ContextVar[AnyArrival | None] = ContextVar("sockserve_current_job", default=None)
