"""One request after the other, in the thread that serves."""

import attrs

from ..abc import Core, Job, Loop

__all__ = ("SyncStrategy",)


@attrs.frozen
class SyncStrategy:
    """
    Run every request in the loop's own thread; the next is accepted when it has finished.

    The least that a server can cost, and right where no request waits: while a handler waits for its client, all
    the others wait for the handler.
    """

    def start(self, loop: Loop, core: Core, /) -> "_SyncRunner":
        """Make the runner; it owns nothing."""
        return _SyncRunner()


class _SyncRunner:
    full = False
    holds_loop = True

    def submit(self, job: Job, /) -> None:
        job.run()

    def move(self, loop: Loop, /) -> None:
        """Nothing is on the loop."""

    def close(self, deadline: float | None, /) -> None:
        """Nothing is in flight when `submit` is not running."""
