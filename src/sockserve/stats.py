"""What a server counts."""

import attrs

__all__ = ("Stats",)


@attrs.frozen
class Stats:
    """
    Counts of a server's requests, since it was made.

    ``accepted == active + finished + failed`` at every moment. What was refused was never accepted.

    Attributes:
        accepted: Handed to the strategy.
        active: Not ended yet.
        finished: Ended well, or by a peer that went away.
        failed: Ended by an error of the handler, by the death of its process, or never started.
        refused: Turned away: by ``verify``, or as a datagram that was too long.
    """

    accepted: int
    active: int
    finished: int
    failed: int
    refused: int
