"""Waiting for threads, all by one deadline."""

import threading
from collections.abc import Callable, Iterable

__all__ = ("join_all",)


def join_all(threads: Iterable[threading.Thread], deadline: float | None, clock: Callable[[], float]) -> None:
    """Wait for *threads* until *deadline* on *clock*, or for ever; not for the caller's own thread."""
    own = threading.current_thread()
    for thread in threads:
        if thread is not own:
            thread.join(None if deadline is None else max(0.0, deadline - clock()))
