"""Running a function beside the handler that calls: in a table as a row of its own, elsewhere in a thread."""

import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVarTuple

from ..abc import Keeper, Reply
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


class _Beside:
    """Implements `sockserve.abc.Job` by a function: there is no request, and nobody to say goodbye to."""

    stream = False
    request: object = None

    def __init__(self, function: Callable[[], object], client_address: object) -> None:
        context = contextvars.copy_context()
        self.client_address = client_address
        self.error: BaseException | None = None
        self._call: Callable[[], object] | None = lambda: context.run(function)
        self._ended = Event()

    def wait(self) -> None:
        """Wait for its end. Where that is not to be, it does not begin any more."""
        try:
            self._ended.wait()
        finally:
            self._call = None

    def run(self) -> bool:
        """Call the function; what it raises is for who waits."""
        call, self._call = self._call, None
        try:
            if call is not None:
                call()
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self.error = error
        finally:
            self._ended.set()
        return self.error is None

    def replace(self, request: object, /) -> None:
        """Nothing: there is no request."""

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """No effect: there are no messages."""

    def conversation(self) -> None:
        """None: there is nobody to speak with."""

    def conclude(self, error: BaseException | None, /) -> bool:
        """Never called: there is no conversation."""
        raise NotImplementedError

    def disown(self, keeper: Keeper, /) -> None:
        """Nothing: there is no request."""

    def settle(self, *, ok: bool) -> None:
        """Nothing: it is not counted."""

    def end_input(self) -> None:
        """Nothing: there is no request."""

    def abort(self) -> None:
        """Nothing: there is no request."""
