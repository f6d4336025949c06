"""The conversations of one runner: how each begins, and how all end."""

import errno
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ..abc import Conversation, Job
from ..errors import RequestAborted
from .rows import Table

if TYPE_CHECKING:
    from .driven import DrivenRow

__all__ = ("Conversations", "MakeRow")

#: Makes the row of a job, whose connection is the socket.
MakeRow: TypeAlias = "Callable[[Conversations, Job, socket.socket, Conversation], DrivenRow]"


@attrs.define(eq=False)
class Conversations:
    """
    The conversations of one runner.

    Args:
        table: Knows the loop, and whose process and thread it is.
        make_row: Makes the row that drives one.
        on_slow: Called with a job and the seconds that it has held the loop.
    """

    table: Table
    make_row: MakeRow
    on_slow: Callable[[Job, float], object]
    rows: "dict[Job, DrivenRow]" = attrs.field(init=False, factory=dict)
    #: Held for a moment where messages come from other threads.
    lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self.table.on_forked = self._forget_unsent

    def _forget_unsent(self) -> None:
        for row in self.rows.values():
            row.forget_unsent()

    def begin(self, job: Job, sock: socket.socket) -> bool:
        """Run *job*, whose connection is *sock*, as a conversation; whether it is one."""
        try:
            conversation = job.conversation()
        except BaseException as error:  # noqa: BLE001 - reported, or raised again
            job.conclude(error)
            return True
        if conversation is None:
            return False
        self.table.thread = threading.get_ident()
        row = self.make_row(self, job, sock, conversation)
        self.rows[job] = row
        row.begin()
        return True

    def leave(self) -> None:
        """
        End every conversation.

        Raises:
            BaseException: The first of what the ends let through, after all have ended.
        """
        if self.table.foreign:
            return
        first: BaseException | None = None
        for row in tuple(self.rows.values()):
            try:
                row.end(RequestAborted(errno.ECONNABORTED, "the server has stopped"))
            except BaseException as error:  # noqa: BLE001 - raised below, when all have ended
                first = first or error
        if first is not None:
            raise first
