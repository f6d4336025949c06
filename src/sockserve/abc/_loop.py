"""What a strategy sees of the loop."""

from collections.abc import Callable
from typing import Protocol

__all__ = ("EDGE", "EXCLUSIVE", "PEER_CLOSED", "READ", "URGENT", "WRITE", "Loop", "Timer")

#: Conditions to watch a descriptor for, and what is reported. The values are epoll's EPOLLIN and EPOLLOUT.
READ = 0x001
WRITE = 0x004
#: More to ask for, where the loop reports edges: EPOLLPRI, urgent data of TCP; EPOLLRDHUP, the peer's end of file.
URGENT = 0x002
PEER_CLOSED = 0x2000
#: A bit of a mask (EPOLLET): report each condition once, as it begins. Elsewhere it is ignored.
EDGE = 1 << 31
#: A bit of a mask (EPOLLEXCLUSIVE): where several processes watch one descriptor, wake one of them, not all.
#: Elsewhere it is ignored.
EXCLUSIVE = 1 << 28


class Timer(Protocol):
    """A call that is due at some time."""

    def cancel(self) -> None:
        """Forget it. After the call, or again: no effect."""
        ...


class Loop(Protocol):
    """The one place that waits. All but `call_soon_threadsafe` and `resume` belong to the loop's thread."""

    @property
    def edges(self) -> bool:
        """Whether `EDGE` is heeded, by the poller of this time of serving."""
        ...

    def time(self) -> float:
        """Return the loop's clock: seconds, monotonic."""
        ...

    def watch(self, fd: int, callback: Callable[[int], object], /, mask: int = READ) -> None:
        """Call *callback* with the conditions met whenever *fd* is ready for what *mask* asks."""
        ...

    def unwatch(self, fd: int, /) -> None:
        """Stop watching *fd*, before it is closed. Not watched: no effect."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call *callback* when the clock reaches *when*."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Call *callback* after the next look at descriptors and timers."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        """Call *callback* in the loop's thread, soon. Any thread."""
        ...

    def resume(self) -> None:
        """Say that a runner which was full is no longer so. Any thread; cheap if nothing waits for it."""
        ...
