"""What happens to a connection before its handler gets it, where its request runs."""

import time
from typing import TYPE_CHECKING, Protocol, Self

import attrs

if TYPE_CHECKING:
    from ._arrival import AnyArrival

__all__ = ("Opening", "Patience")


@attrs.frozen
class Patience:
    """
    How long something may take, all of its waits together.

    Args:
        seconds: So long; None: for ever.
        until: On `time.monotonic`'s clock.
    """

    seconds: float | None
    until: float | None

    @classmethod
    def of(cls, seconds: float | None) -> Self:
        """Begin now."""
        return cls(seconds, None if seconds is None else time.monotonic() + seconds)

    def left(self) -> float | None:
        """
        Return the seconds that are left, None for no limit: a socket's timeout, never 0.

        Raises:
            TimeoutError: None are.
        """
        if self.until is None:
            return None
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Opening(Protocol):
    """
    One step between the acceptance of a connection and its handler: a header to read, a handshake.

    A transport that wraps another one's has its listener add such a step to each arrival (`Arrival.openings`).
    They are performed in the order in which they were added, where the request runs, within one
    ``deadlines.handshake`` for all of them.
    """

    @property
    def names_client(self) -> bool:
        """Whether the client's true address is known by this step only. It then asks ``arrival.serving.vet``."""
        ...

    def perform(self, arrival: "AnyArrival", patience: Patience, /) -> None:
        """
        Do it, and give *arrival* what it changes: another request, the client's address.

        Raises:
            OpeningError: It has failed. The connection is closed, and the observer told.
            Unwelcome: The client is turned away; whoever decided it has reported it.
            RequestAborted: The server has stopped.
        """
        ...
