"""Serving one or more servers on one loop, in the thread that calls."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._loop.loop import EventLoop
from ..errors import OptionError
from .period import Period, Service
from .signals import interruptible

if TYPE_CHECKING:
    from ..server import AnyServer

__all__ = ("serve", "serve_on")


def serve(*servers: "AnyServer", beside: "Sequence[AnyServer]" = ()) -> None:
    """
    Serve several servers on one loop, in this thread, until each has been stopped.

    Those that are not open are opened, and closed at the end: who opens closes.

    Args:
        servers: Each is stopped by itself; Ctrl-C stops all.
        beside: More servers on the same loop, which are left, without a grace, when the last of *servers* has
            been: what tells how these are doing (a status page), also while they drain. Ctrl-C leaves them
            alone; one that is stopped by itself ends before the others.

    Raises:
        OptionError: There is none.
        BaseException: As `Server.serve_forever`.
    """
    if not servers:
        raise OptionError("serve() needs at least one server")
    everyone = (*servers, *beside)
    with contextlib.ExitStack() as stack:
        for server in everyone:
            was_open = server._life.is_open
            server.listen()
            if not was_open:
                stack.callback(server.server_close)
        serve_on(servers[0]._life.loop if len(everyone) == 1 else EventLoop(), servers, beside=beside)


def _stop_all(servers: "Sequence[AnyServer]") -> None:
    for server in servers:
        server.request_stop()


def serve_on(
    loop: EventLoop,
    servers: "Sequence[AnyServer]",
    poll_interval: float = 0.5,
    *,
    beside: "Sequence[AnyServer]" = (),
    limit: int | None = None,
    timeout: float | None = None,
) -> int:
    """Serve for one period; return how many requests were accepted in it."""
    deadline = None if timeout is None else loop.time() + timeout
    with interruptible(lambda: _stop_all(servers)), contextlib.ExitStack() as stack:
        services: list[Service[object, object]] = []
        for server in (*servers, *beside):
            service = server._life.begin(
                loop,
                service_actions=server._service_actions,
                poll_interval=poll_interval,
                attendant=len(services) >= len(servers),
                limit=limit,
                deadline=deadline,
            )
            stack.callback(service.leave)
            services.append(service)
        Period(loop, services).run()
    return sum(service.taken for service in services)
