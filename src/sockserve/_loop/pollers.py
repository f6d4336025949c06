"""Waiting for descriptors: epoll where the system has it, `selectors` elsewhere, behind one small interface."""

import select
import selectors
import sys
from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..abc import READ, WRITE

__all__ = ("NOT_THERE", "Poller", "PollerFactory", "SelectorsPoller", "default_poller")


class Poller(Protocol):
    """A set of watched descriptors."""

    @property
    def edges(self) -> bool:
        """Whether `sockserve.abc.EDGE` is heeded."""
        ...

    def register(self, fd: int, mask: int, /) -> None:
        """
        Watch *fd* for *mask*. With `EDGE` in it, where the system can, report each condition once as it begins.

        Who asks for edges must be content with levels: he reads and writes until it would block either way.
        """
        ...

    def unregister(self, fd: int, /) -> None:
        """
        Forget *fd*.

        Raises:
            OSError, ValueError, KeyError: It is closed already, or not watched; see `NOT_THERE`.
        """
        ...

    def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
        """Return descriptors and their conditions, after at most *timeout* seconds (None: without a limit)."""
        ...

    def close(self) -> None:
        """Release the set itself, not what is in it."""
        ...


#: What `Poller.unregister` raises for a descriptor that has been closed, or is not watched.
NOT_THERE = (OSError, ValueError, KeyError)

PollerFactory: TypeAlias = Callable[[], Poller]


class SelectorsPoller:
    """The portable one: level-triggered, `selectors.DefaultSelector` underneath."""

    edges = False

    def __init__(self) -> None:
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()

    def register(self, fd: int, mask: int, /) -> None:
        """Watch *fd*; `EDGE` is ignored."""
        read = selectors.EVENT_READ if mask & READ else 0
        write = selectors.EVENT_WRITE if mask & WRITE else 0
        self._selector.register(fd, read | write)

    def unregister(self, fd: int, /) -> None:
        """Forget *fd*."""
        self._selector.unregister(fd)

    def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
        """Select."""
        return [(key.fd, _MASKS[events]) for key, events in self._selector.select(timeout)]

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


_MASKS = {
    selectors.EVENT_READ: READ,
    selectors.EVENT_WRITE: WRITE,
    selectors.EVENT_READ | selectors.EVENT_WRITE: READ | WRITE,
}


if sys.platform == "linux":

    class EpollPoller:
        """Linux's own. `wait` reports every condition epoll knows, errors and hang-ups included (epoll_ctl(2))."""

        edges = True

        def __init__(self) -> None:
            self._epoll = select.epoll()
            # The interface, without a step between: a forked parent pays for each.
            self.register: Callable[[int, int], None] = self._epoll.register
            self.unregister: Callable[[int], None] = self._epoll.unregister
            self.wait: Callable[[float | None], list[tuple[int, int]]] = self._epoll.poll

        def close(self) -> None:
            """Close the epoll descriptor."""
            self._epoll.close()

    _BEST: PollerFactory = EpollPoller
else:
    _BEST = SelectorsPoller


def default_poller() -> Poller:
    """Make the best poller of this system."""
    return _BEST()
