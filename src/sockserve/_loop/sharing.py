"""Accepting from a socket of which other processes accept as well."""

from collections.abc import Callable
from typing import TypeVar

import attrs

from .._typing import override
from ..abc import EXCLUSIVE, READ
from ..errors import ArrivalRefused
from .acceptor import Acceptor

__all__ = ("SharedAcceptor",)

R = TypeVar("R")
A = TypeVar("A")

#: Seconds for which an arrival is left to other processes: enough for one that was woken to begin.
YIELD_SECONDS = 0.001


@attrs.define(eq=False, kw_only=True)
class SharedAcceptor(Acceptor[R, A]):
    """
    Takes one arrival for each time that the kernel wakes this process, which it does for one process an arrival.

    Args:
        yields: Asked before each: whether it is to be left to others, for a moment.
    """

    yields: Callable[[], bool]

    @override
    def detach(self, *, last: bool = False) -> None:
        """
        Accept nothing more.

        Args:
            last: But for one, if there is one. This process may have been woken for it just now, and then nobody
                else will look.
        """
        watched = self._fd >= 0
        super().detach()
        if last and watched:
            self._take_last()

    def _take_last(self) -> None:
        try:
            arrival = self.listener.accept()
        except ArrivalRefused as error:
            self.refused(error)
        except OSError:
            pass  # nothing, or nothing that can be had now
        else:
            self.admit(self.runner, arrival)

    @override
    def _watch(self, mask: int) -> None:
        super()._watch(mask | EXCLUSIVE)

    @override
    def _accept_batch(self, _mask: int) -> None:
        if self.listener.stream and self.yields():
            self._look_away_for(YIELD_SECONDS)
            return
        # To be the last to be woken for the next: the kernel goes through those who wait for a socket in the order
        # in which they came, and stops at the first that is idle. That would always be the same, where connections
        # are kept and come slowly.
        self.loop.unwatch(self._fd)
        self._watch(READ)
        self._skip = 1  # a batch of one
        super()._accept_batch(_mask)
