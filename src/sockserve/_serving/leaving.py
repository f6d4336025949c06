"""What a process forked in the midst of serving lets go of: it has copies of whatever its parent has open."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .._loop.loop import EventLoop
from ..abc import Listener
from ..errors import ServerStateError
from .core import ServerCore

__all__ = ("ways_to_leave",)

_AnyCore: TypeAlias = ServerCore[Any, Any]  # type: ignore[explicit-any]  # of whatever request and address
_AnyListener: TypeAlias = Listener[object, object]


def ways_to_leave(
    loop: EventLoop, cores: Sequence[_AnyCore]
) -> tuple[tuple[Callable[[], object], ...], Callable[[_AnyListener], object]]:
    """
    Say how processes let go of the loop and of what is served there.

    Returns:
        What is called in a process forked for one request, where little is to be touched; and what is called, with
        the listener that it keeps, in one forked to serve.
    """
    others = [lambda: _disown_others(cores)] if len(cores) > 1 else []
    copies = [listener.close_copy for core in cores for listener in core.listeners]
    refused = [core.admission.leave_in_child for core in cores if isinstance(core.limits.overload, bytes)]
    return (loop.abandon, *others, *copies, *refused), lambda kept: _leave_in_worker(loop, cores, kept)


def _disown_others(cores: Sequence[_AnyCore]) -> None:
    for core in cores:
        if core.relay is None:
            core.relay = _of_another_server


def _of_another_server(grace: float | None) -> None:
    raise ServerStateError("a forked request can stop the server that it belongs to, and no other")


def _leave_in_worker(loop: EventLoop, cores: Sequence[_AnyCore], kept: _AnyListener) -> None:
    loop.close()
    for core in cores:
        core.admission.leave_in_child()
        for job in core.jobs():  # of servers beside this one: their clients' connections are to end with them
            job.release()
        for listener in core.listeners:
            if listener is not kept:
                _drop_copy(listener)


def _drop_copy(listener: _AnyListener) -> None:
    """
    Let go of this process's copy of an endpoint.

    A child that runs one request keeps the socket of datagrams, to answer through it, and so `close_copy` does not
    close that. Here its descriptor is made one of the null device: the socket object still has it, and would close
    whatever had its number by then.
    """
    listener.close_copy()
    fd = listener.fileno()
    if fd >= 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, fd, inheritable=False)
        os.close(null)
