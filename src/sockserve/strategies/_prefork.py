"""Another strategy, in a fixed number of supervised processes."""

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .._validators import boolean, count, fail_type, seconds
from ..abc import (
    CheckingStrategy,
    Core,
    Listener,
    LoadingStrategy,
    Loop,
    SharingTransport,
    Strategy,
    Transport,
    WorkerCore,
)
from ..errors import CompositionError
from ._sync import SyncStrategy

if TYPE_CHECKING:
    from .._workers.supervisor import SupervisingRunner

__all__ = ("PreforkStrategy",)

R = TypeVar("R")
A = TypeVar("A")


def _default_workers() -> int:
    return os.cpu_count() or 1


def _check_inner(owner: object, attribute: "attrs.Attribute[Strategy]", value: object) -> None:
    if isinstance(value, type) or not callable(getattr(value, "start", None)):
        raise fail_type(owner, attribute.name, value, "a strategy such as SelectorStrategy()")
    if isinstance(value, PreforkStrategy):
        raise CompositionError("PreforkStrategy: inner is a PreforkStrategy; one parent supervises all workers")


def _check_max_requests(owner: object, attribute: "attrs.Attribute[int]", value: object) -> None:
    if value is not None:
        count(1)(owner, attribute, value)


def _sharing(transport: object) -> SharingTransport[Any, Any]:  # type: ignore[explicit-any]  # of whatever request
    if not isinstance(transport, SharingTransport):
        raise CompositionError(
            f"PreforkStrategy(reuse_port=True): {type(transport).__name__} opens one endpoint at its address, "
            "and no more, which the workers can share: leave reuse_port out"
        )
    transport.sharing()
    return transport


def _check_grace(owner: object, attribute: "attrs.Attribute[float]", value: object) -> None:
    seconds(owner, attribute.name, value)


@attrs.frozen
class PreforkStrategy:
    """
    Run another strategy in several processes at a time: all accept from one socket, and all processors work.

    The process that calls ``serve_forever`` opens the socket, forks the workers, and serves nothing itself: it
    replaces workers that die. Each worker is a copy of it, serves by itself under *inner*, and leaves with
    `os._exit`: neither atexit functions nor ``finally`` clauses further out run, stdout and stderr are flushed.
    docs/prefork.md tells what happens where.

    In the main thread, and where the program does not handle them itself, SIGTERM asks to stop with *grace*, a
    second one to stop at once, and SIGHUP to replace all workers (`Server.replace_workers`). Workers take any
    number of SIGTERMs as one order to drain, SIGQUIT as one to abort, and ignore SIGINT and SIGHUP. A worker whose
    parent has died lets go of the socket, and drains.

    Args:
        inner: What each worker serves under. `SyncStrategy()` by default: with a connection for each request, a
            worker that is busy leaves the others to its siblings.
        workers: How many; as many as the machine has processors. More where *inner* waits for its clients.
        max_requests: Replace a worker when it has accepted so many requests, or up to a tenth fewer, so that not
            all are replaced together: for what leaks memory. It goes on until its successor accepts. None: never.
        reuse_port: Open a socket for each worker, over which the kernel spreads the clients (SO_REUSEPORT), rather
            than one for all. It costs less where arrivals are very many. But a client waits for the worker that
            the kernel has chosen, however busy that is, or until it has been replaced. False: whoever is free
            accepts.
        grace: Seconds for what is in flight where a signal ends a worker. 30: what supervisors of services give.

    Raises:
        OptionError: A value is out of range.
        OptionTypeError: An option is of the wrong type.
        CompositionError: The platform has no fork, or *inner* is a `PreforkStrategy` itself.

    Error handling:
        A worker that dies is replaced, at first at once, then after delays that grow up to 5 seconds. Where five
        in a row end before they serve, `serve_forever` raises `WorkerError`.
    """

    inner: Strategy = attrs.field(factory=SyncStrategy, validator=_check_inner)
    workers: int = attrs.field(factory=_default_workers, validator=count(1, 1024), kw_only=True)
    max_requests: int | None = attrs.field(default=None, validator=_check_max_requests, kw_only=True)
    reuse_port: bool = attrs.field(default=False, validator=boolean, kw_only=True)
    grace: float = attrs.field(default=30.0, validator=_check_grace, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not hasattr(os, "fork"):
            raise CompositionError("PreforkStrategy: this platform has no os.fork; use ThreadPoolStrategy")

    def check_composition(self, transport: object, handler: object, /, *, forks: bool = False) -> None:
        """
        See `sockserve.abc.CheckingStrategy`: most of it is for *inner* to say.

        Raises:
            CompositionError: *inner* cannot serve this, or not in another process than this one; or the transport
                opens one endpoint only.
        """
        if self.reuse_port:
            _sharing(transport)
        if isinstance(self.inner, CheckingStrategy):
            self.inner.check_composition(transport, handler, forks=True)

    def listen(self, transport: Transport[R, A], /) -> Sequence[Listener[R, A]]:
        """See `sockserve.abc.OpeningStrategy`: one endpoint, or one for each worker."""
        if not self.reuse_port:
            return (transport.listen(),)
        sharing = _sharing(transport)
        with contextlib.ExitStack() as opened:
            listeners: list[Listener[R, A]] = []
            for _ in range(self.workers):
                address = listeners[0].address if listeners else None
                listeners.append(sharing.sharing(address).listen())
                opened.callback(listeners[-1].close)
            opened.pop_all()
        return listeners

    def start(self, loop: Loop, core: Core, /) -> "SupervisingRunner":
        """Make the supervisor of one server."""
        if not isinstance(core, WorkerCore):
            raise CompositionError(f"PreforkStrategy: {core!r} cannot be served by other processes")
        from .._workers.supervisor import SupervisingRunner  # noqa: PLC0415 - loads mmap, for who has workers

        if isinstance(self.inner, LoadingStrategy):
            self.inner.load()
        return SupervisingRunner(self, loop, core)
