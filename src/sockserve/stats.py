"""What a server tells of itself: its counts, and its requests in flight."""

import attrs

__all__ = ("RowInfo", "Stats")


@attrs.frozen(kw_only=True)
class RowInfo:
    """
    One request in flight, for people who ask what a server is doing.

    Attributes:
        client_address: Whom it came from.
        state: "RUNNING": its handler has the thread, or a thread or process of its own. "READING", "WRITING",
            "WAITING": it is parked, see *waiting_for*. "READY": it goes on in its turn. "ABORTING": it was told to
            end.
        waiting_for: "readable", "writable", "wake-up" or "turn"; empty where it waits for nothing, or the strategy
            does not know.
        deadline: When it stops waiting, on `time.monotonic`'s clock; None: never.
        since: When it began to wait, or to run, on the same clock; None where the strategy does not keep it.
    """

    client_address: object
    state: str = "RUNNING"
    waiting_for: str = ""
    deadline: float | None = None
    since: float | None = None


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
