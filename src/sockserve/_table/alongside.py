"""Running a function beside the handler that calls: in a table as a row of its own, elsewhere in a thread."""

import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVarTuple

from .._typing import override
from .beside import SideJob
from .current import current_row
from .locks import Event

__all__ = ("alongside",)

Arguments = TypeVarTuple("Arguments")


@contextmanager
def alongside(function: Callable[[*Arguments], object], /, *arguments: *Arguments) -> Iterator[None]:
    """
    Run *function* beside the block, and wait for it at the block's end: the other direction of a relay.

    Under `SelectorStrategy` it is a row of the table like the handler's own, elsewhere a thread. It sees the
    handler's context variables. A block that raises waits too: what *function* waits for has to end by then.

    Args:
        function: What to run.
        arguments: What to call it with.

    Raises:
        BaseException: What *function* has raised, where the block itself has not.
        RequestAborted: The server has stopped.
    """
    row = current_row()
    job = _Beside(functools.partial(function, *arguments), None if row is None else row.job.client_address)
    if row is None:
        threading.Thread(target=job.run, name="sockserve-alongside").start()
    else:
        from .fibres import start_beside  # noqa: PLC0415 - loaded already, with the table that the row is in

        start_beside(job)
    try:
        yield
    finally:
        job.wait()
    if job.error is not None:
        raise job.error


class _Beside(SideJob):
    """One whose end is waited for, and which sees the context variables of who made it."""

    def __init__(self, function: Callable[[], object], client_address: object) -> None:
        context = contextvars.copy_context()
        super().__init__(lambda: context.run(function), client_address)
        self.error: BaseException | None = None
        self._given_up = False
        self._ended = Event()

    def wait(self) -> None:
        """Wait for its end. Where that is not to be, it does not begin any more."""
        try:
            self._ended.wait()
        finally:
            self._given_up = True

    @override
    def run(self) -> bool:
        """Call the function; what it raises is for who waits."""
        try:
            if not self._given_up:
                super().run()
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self.error = error
        finally:
            self._ended.set()
        return self.error is None
