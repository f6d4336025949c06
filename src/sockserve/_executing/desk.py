"""The tasks of one server that an executor has: so many and no more, and who waits for a place among them."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ..abc import Loop
from ..errors import TaskLostError
from .parcels import Answer, Parcel, answer_one

if TYPE_CHECKING:  # importing the package loads it for nobody who has no executor
    from concurrent.futures import Executor, Future

__all__ = ("Desk", "Done", "answer_of")

#: Called with a future that is done, in the loop's thread.
Done: TypeAlias = "Callable[[Future[Answer]], object]"


@attrs.define(eq=False)
class Desk:
    """
    Where messages are handed over to an executor.

    A place is taken, then used for a task, and is free again when that is done. Who waits for a place gets it in
    the order of coming. All but the futures' callbacks belongs to the loop's thread.

    Args:
        executor: Runs tasks. Whoever made it closes it.
        parcel: The handler.
        outstanding: The most tasks at a time.
        loop: Where their ends are told of.
    """

    executor: "Executor"
    parcel: Parcel
    outstanding: int
    loop: Loop
    taken: int = attrs.field(init=False, default=0)
    _waiting: "deque[Callable[[], object]]" = attrs.field(init=False, factory=deque)
    _calling: bool = attrs.field(init=False, default=False)
    # From whatever thread: an append is one step.
    _done: "deque[tuple[Future[Answer], Done]]" = attrs.field(init=False, factory=deque)

    @property
    def full(self) -> bool:
        """Whether no place is free."""
        return self.taken >= self.outstanding

    def take(self, turn: Callable[[], object]) -> bool:
        """Take a place, and return True; or return False, and have *turn* called when one was taken for it."""
        if self.full or self._waiting:
            self._waiting.append(turn)
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        """Do not use a place after all."""
        self.taken -= 1
        self._call_next()

    def withdraw(self, turn: Callable[[], object]) -> None:
        """Wait no longer: give back the place, if it was taken already."""
        try:
            self._waiting.remove(turn)
        except ValueError:
            self.give_back()

    def submit(self, client_address: object, message: bytes, done: Done) -> "Future[Answer]":
        """
        Hand over a message, and use a place for it.

        Raises:
            TaskLostError: The executor does not take it. The place is free again.
        """
        try:
            future = self.executor.submit(answer_one, self.parcel, client_address, message)
        except Exception as error:
            self.give_back()
            raise TaskLostError(error) from error
        future.add_done_callback(lambda future: self._tell(future, done))
        return future

    def _tell(self, future: "Future[Answer]", done: Done) -> None:
        """Take note of a task's end: in a thread of the executor's, or in any other that cancels it."""
        self._done.append((future, done))
        self.loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        for _ in range(len(self._done)):
            future, done = self._done.popleft()
            self.taken -= 1
            try:
                done(future)
            finally:
                self._call_next()

    def _call_next(self) -> None:
        if self._calling:
            return  # further up in the stack: who gets a place and does not use it is not the last of a chain
        self._calling = True
        try:
            while self._waiting and not self.full:
                self.taken += 1
                self._waiting.popleft()()
        finally:
            self._calling = False
        if not self.full:
            self.loop.resume()

    def move(self, loop: Loop) -> None:
        """Tell *loop* of what ends from here on, and of what has ended and was not heard of."""
        self.loop = loop
        loop.call_soon(self._collect)


def answer_of(future: "Future[Answer]") -> Answer:
    """
    Return what a task has given, that is done.

    Raises:
        TaskLostError: Nothing; with what the executor says of it.
    """
    try:
        return future.result()
    except BaseException as error:
        raise TaskLostError(error) from error
