"""What signals mean to the process that supervises workers."""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .._loop.loop import EventLoop
from ..abc import Supervisor

if TYPE_CHECKING:
    from .period import Service

__all__ = ("signals_of",)


def signals_of(
    loop: EventLoop, services: "Sequence[Service[object, object]]"
) -> Mapping[int, Callable[[], object]]:
    """
    Say what to call at which signals, where one of the servers has workers; where none has, nothing.

    SIGTERM is for all of them: they drain, and at the second they stop at once. SIGHUP is for the workers. All
    that is called takes no lock.
    """
    supervisors = [service.runner for service in services if isinstance(service.runner, Supervisor)]
    if sys.platform == "win32" or not supervisors:
        return {}
    graces = [max(supervisor.grace for supervisor in supervisors)]

    def terminate() -> None:
        for service in services:
            if not service.attendant:
                service.core.request_stop(graces[0])
        graces[0] = 0.0

    def renew() -> None:
        for supervisor in supervisors:
            loop.call_soon_threadsafe(supervisor.renew)

    return {signal.SIGTERM: terminate, signal.SIGHUP: renew}
