"""What a runner may have besides: each is asked for where it is there, and done without elsewhere."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ..stats import RowInfo, WorkerInfo
from ._strategy import Job, Runner

__all__ = (
    "DrainingRunner",
    "HoldingRunner",
    "ListingRunner",
    "LoopRunner",
    "PulseRunner",
    "SilenceRunner",
    "StaffedRunner",
    "TurningRunner",
)


@runtime_checkable
class LoopRunner(Runner, Protocol):
    """
    A runner whose requests live in the loop's thread, and only while it serves.

    ``handle_request`` returns when the request has finished, rather than when it was taken.
    """

    def leave(self) -> None:
        """
        End everything that is in flight: the loop serves it no longer.

        Called in the thread that has served, as the last thing before ``serve_forever`` returns. `submit` may be
        called again after it.

        Raises:
            BaseException: What `Job.run` has let through.
        """
        ...


@runtime_checkable
class HoldingRunner(Runner, Protocol):
    """
    A runner whose `submit` may run the request, and so hold the loop's thread.

    Deadlines are kept by a thread beside it then.
    """

    @property
    def holds_loop(self) -> bool:
        """Whether that is so."""
        ...


@runtime_checkable
class PulseRunner(Runner, Protocol):
    """A runner that knows since when each of its requests waits for its client."""

    def pulse(self, job: Job, /) -> tuple[float, float]:
        """
        Say since when *job* waits for its client to send or to take something, on `time.monotonic`'s clock, and
        when bytes were last sent to it, where the runner knows. 0.0 for no.

        Of what a request waits besides is no matter: that is not the client's fault. Called in the loop's thread.
        """
        ...


@runtime_checkable
class SilenceRunner(Runner, Protocol):
    """A runner that knows which of its requests wait for a next one: those end first when the server is to."""

    def silence(self, job: Job, /) -> bool | None:
        """
        Say whether *job* is between two requests of its client, or messages. Called in the loop's thread.

        None: it reads, and more is not known here; then what has come and gone over its socket decides.
        """
        ...


@runtime_checkable
class DrainingRunner(Runner, Protocol):
    """A runner whose requests are elsewhere, and that lets those end which wait for a next one."""

    def drain(self) -> None:
        """Let them: called again and again while the server waits for the end of all."""
        ...

    def drained(self) -> None:
        """Do so no more: the server waits no longer, and what is asked of a request from here on is to be done."""
        ...


@runtime_checkable
class ListingRunner(Runner, Protocol):
    """A runner that knows what each of its requests waits for."""

    def rows(self, most: int | None = None, /) -> list[RowInfo]:
        """
        Say what is in flight, and what each request waits for. Any thread.

        With *most*, so many at most, those that are as they are for longest, in that order.
        """
        ...


@runtime_checkable
class StaffedRunner(Runner, Protocol):
    """A runner whose requests are in processes that serve by themselves."""

    def workers(self) -> list[WorkerInfo]:
        """Say which there are. Any thread."""
        ...


@runtime_checkable
class TurningRunner(Runner, Protocol):
    """A runner whose requests share the loop's thread, and go on there turn by turn."""

    def time_turns(self, add: Callable[[float], object], /) -> None:
        """From now on, call *add* in the loop's thread with the seconds that each turn took. Any thread."""
        ...
