"""What one runner has to do now: which requests, and in which threads."""

import threading

__all__ = ("InFlight",)


class InFlight:
    """The requests that one runner has. Set operations, each atomic: requests end in any thread."""

    __slots__ = ("_requests", "_threads")

    def __init__(self) -> None:
        self._requests: set[object] = set()
        self._threads: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._requests)

    @property
    def here(self) -> bool:
        """Whether the caller is one of them, where each has a thread."""
        return threading.get_ident() in self._threads

    def add(self, request: object) -> None:
        """Take note of a request that is to be submitted."""
        self._requests.add(request)

    def discard(self, request: object) -> None:
        """Take note that it has ended, or could not be submitted."""
        self._requests.discard(request)

    def enter(self) -> bool:
        """Take note that one begins to run in this thread; whether none does so further up in its stack."""
        me = threading.get_ident()
        if me in self._threads:
            return False
        self._threads.add(me)
        return True

    def leave(self, request: object, *, outermost: bool) -> None:
        """Take note that it has ended; *outermost* as `enter` has said."""
        if outermost:
            self._threads.discard(threading.get_ident())
        self._requests.discard(request)
