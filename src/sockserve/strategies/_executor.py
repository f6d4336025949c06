"""Messages are answered by an executor: in threads, in processes, on a cluster."""

import os
from typing import TYPE_CHECKING, TypeVar

import attrs

from .._validators import count, fail_type
from ..abc import Core, Loop
from ..errors import CompositionError
from ._selector import SelectorStrategy

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .._executing.runner import ExecutorRunner

__all__ = ("ExecutorStrategy",)

T = TypeVar("T")


def _executor(owner: object, attribute: "attrs.Attribute[T]", value: T) -> None:
    if isinstance(value, type) or not callable(getattr(value, "submit", None)):
        raise fail_type(
            owner, attribute.name, value, "a concurrent.futures.Executor, such as ProcessPoolExecutor()"
        )


@attrs.frozen
class ExecutorStrategy:
    """
    Answer messages by an executor; connections are parked in the thread that serves, as under `SelectorStrategy`.

    Only what `MessageHandler.respond` does is sent away: with the message, and the handler's class or
    `functools.partial`. There a handler of its own answers each message. It has its ``client_address``; its
    ``request`` and ``server`` are None, and what it stores in itself is gone afterwards. A reply is made whole
    before it is sent, of a generator 16 MiB at most; what it sends by `send` goes with the reply. ``connected``
    and ``disconnected`` are called here, on the connection's own handler.

    One message of a connection is answered at a time, in order. While the executor has as many as it may, none is
    read, and nothing is accepted: the kernel holds them.

    An error of ``respond`` ends its connection alone, as everywhere. So does a task that is lost: a worker that
    died, a future that was cancelled (`sockserve.events.TaskLost`). A `concurrent.futures.ProcessPoolExecutor`
    that has lost a worker is broken and loses all that it has, and all that it is given later.

    Args:
        executor: Any `concurrent.futures.Executor`: threads, processes, Dask's by
            ``Client.get_executor(pure=False)``.
        outstanding: The most tasks that the executor has of this server at a time. 1000: enough for a cluster,
            and of 1 MiB each what a machine can hold. Twice its workers are enough for one on this machine.

    Raises:
        OptionError: ``outstanding`` is below 1.
        OptionTypeError: An option is of the wrong type.

    Resource handling:
        The executor is the caller's, who shuts it down after the server is closed. When serving stops with a
        grace, what is outstanding is answered within it. Then, or at once without a grace, connections are ended,
        tasks that have not begun are cancelled, and those that run go on unheard.
    """

    executor: "Executor" = attrs.field(validator=_executor)
    outstanding: int = attrs.field(default=1000, validator=count(1), kw_only=True)
    _pid: int = attrs.field(init=False, factory=os.getpid, eq=False, repr=False)

    def check_composition(self, transport: object, handler: object, /, *, forks: bool = False) -> None:
        """
        See `sockserve.abc.CheckingStrategy`.

        Raises:
            CompositionError: The handler is no `MessageHandler`, or cannot be pickled where the executor does so,
                or Dask's executor is not ``pure=False``; or it is to be used in forked processes, which share its
                queues and lack its threads.
        """
        # Loads pickle, for who has an executor.
        from .._executing.checks import check_handler, check_process  # noqa: PLC0415

        check_handler(self.executor, handler)
        if forks:
            check_process(self.executor, None)

    def start(self, loop: Loop, core: Core, /) -> "ExecutorRunner":
        """
        Make the runner of one server. The executor is given nothing yet.

        Raises:
            CompositionError: The executor is another process's, or the server's own methods answer.
        """
        from .._executing.checks import check_process, parcel_for  # noqa: PLC0415 - as above
        from .._executing.desk import Desk  # noqa: PLC0415
        from .._executing.runner import ExecutorRunner  # noqa: PLC0415

        if not core.answers_messages:
            raise CompositionError(
                f"ExecutorStrategy: {core.handler_name} is not answered by messages here; it is for Server(...)"
            )
        check_process(self.executor, self._pid)
        desk = Desk(self.executor, parcel_for(self.executor, core.handler), self.outstanding, loop)
        return ExecutorRunner(desk, SelectorStrategy().slow, loop, core)
