"""The table at work for one server."""

import heapq
import operator
import os
import socket
from collections.abc import Callable

import attrs

from ..abc import Core, Job, Loop
from ..events import HandlerSlow, RequestAbandoned
from ..stats import RowInfo
from .answering import AnsweringSocket, may_block
from .conversations import Conversations, MakeRow
from .conversing import ConversationRow
from .driven import DrivenRow
from .fibres import Fibres, frame_of, run_here
from .rows import Row, Table
from .sockets import CooperativeSocket, adopt_request
from .waiting import WaitingSocket

__all__ = ("TableRunner",)


@attrs.define(eq=False, init=False)
class TableRunner:
    """
    Runs jobs as rows of a table. Implements `sockserve.abc.LoopRunner`.

    Args:
        slow: Seconds that a row may hold the loop without being reported.
        loop: Where they are served.
        core: Told of slow and of abandoned rows.
        make_row: Makes the rows of conversations. Where it is not the table's own, messages are answered
            elsewhere.
    """

    full = False

    loop: Loop
    core: Core
    _slow: float
    _table: Table
    _fibres: Fibres
    _conversations: Conversations
    _answering: dict[socket.socket, AnsweringSocket]
    #: One through which answers never wait.
    _unblocked: socket.socket | None
    _add_turn: Callable[[float], object] | None
    #: Whether what answers a datagram never waits, so that there is nothing to park.
    _at_once: bool

    def __init__(self, slow: float, loop: Loop, core: Core, make_row: MakeRow = ConversationRow) -> None:
        self.loop, self.core, self._slow = loop, core, slow
        self._table = Table(loop, slow, self._row_held, self._abandon)
        self._fibres = Fibres(self._table)
        self._conversations = Conversations(self._table, make_row, self._job_held)
        self._answering = {}
        self._unblocked = None
        self._add_turn = None
        self._at_once = core.answers_messages and make_row is ConversationRow

    def submit(self, job: Job, /) -> None:
        """Begin with *job*, at once, until it waits for the first time."""
        if job.stream:
            request = job.request
            if type(request) is socket.socket and self._conversations.begin(job, request):
                return
            job.replace(adopt_request(request, stamps=self.core.deadlines.idle is not None))
        elif not self._answer_through(job) and self._at_once:
            self._run_at_once(job)
            return
        self._fibres.start(job)

    def _answer_through(self, job: Job) -> bool:
        """Give a datagram's handler a socket that parks, where an answer may have to wait; whether it may."""
        request = job.request
        if type(request) is tuple and request[-1] is self._unblocked:
            return False  # as for the one before: to ask a socket for its family costs as much as to send
        match request:
            case (packet, socket.socket() as sock):
                if not may_block(sock):
                    self._unblocked = sock
                    return False
                if sock not in self._answering:
                    self._answering[sock] = AnsweringSocket(sock)
                job.replace((packet, self._answering[sock]))
                return True
        return False

    def _run_at_once(self, job: Job) -> None:
        """Run what waits for nothing: there is nothing to park."""
        clock = self._table.clock
        began = clock()
        run_here(job, self._table)
        spent = clock() - began
        if spent > self._table.slow:
            self._job_held(job, spent)

    def rows(self, most: int | None = None) -> list[RowInfo]:
        """See `sockserve.abc.ListingRunner.rows`."""
        rows: tuple[Row | DrivenRow, ...] = (*tuple(self._table.rows), *tuple(self._conversations.rows.values()))
        chosen = rows if most is None else heapq.nsmallest(most, rows, _since)
        return [row.info() for row in chosen]

    def time_turns(self, add: Callable[[float], object], /) -> None:
        """See `sockserve.abc.TurningRunner`. Every turn is then looked at here, as slow ones are anyway."""
        self._add_turn = add
        self._table.slow = _ALL

    def pulse(self, job: Job, /) -> tuple[float, float]:
        """See `sockserve.abc.PulseRunner.pulse`."""
        row = self._conversations.rows.get(job)
        if row is not None:
            return row.pulse()
        request = job.request
        return request.pulse() if isinstance(request, WaitingSocket) else (0.0, 0.0)

    def silence(self, job: Job, /) -> bool | None:
        """See `sockserve.abc.SilenceRunner`."""
        row = self._conversations.rows.get(job)
        if row is not None:
            return row.silence()
        request = job.request
        return False if isinstance(request, WaitingSocket) and not request.is_read() else None

    def move(self, loop: Loop, /) -> None:
        """Nothing is in flight between two times of serving."""
        self.loop = loop
        self._table.move(loop)

    def leave(self) -> None:
        """Abort what is in flight."""
        try:
            self._conversations.leave()
        finally:
            self._leave_fibres()

    def _leave_fibres(self) -> None:
        try:
            self._fibres.leave()
        finally:
            answering, self._answering = self._answering, {}
            self._unblocked = None
            for each in answering.values():
                each.close()

    def disown_all(self) -> None:
        """In another process: close its copies of what is in flight here."""
        for job in [*(row.job for row in self._table.rows), *self._conversations.rows]:
            job.disown(_NOBODY)

    def close(self, deadline: float | None, /) -> None:
        """Nothing is in flight: `leave` has seen to that."""

    def _row_held(self, row: Row, duration: float) -> None:
        if self._is_slow(duration) and self.core.wants(HandlerSlow):
            self._report_slow(row.job, duration, _where(row))

    def _job_held(self, job: Job, duration: float) -> None:
        if self._is_slow(duration):
            self._report_slow(job, duration)

    def _is_slow(self, duration: float) -> bool:
        """Whether a turn has held the loop for too long. Where turns are timed, all come here."""
        if self._add_turn is not None:
            self._add_turn(duration)
        return duration > self._slow

    def _report_slow(self, job: Job, duration: float, where: str = "its end") -> None:
        if self.core.wants(HandlerSlow):
            self.core.emit(
                HandlerSlow(
                    server_address=self.core.address,
                    client_address=job.client_address,
                    handler=self.core.handler_name,
                    duration=duration,
                    where=where,
                )
            )

    def _abandon(self, row: Row) -> None:
        job = row.job
        job.abort()
        job.disown(_NOBODY)
        request = job.request
        if isinstance(request, CooperativeSocket) and request.fileno() >= 0:
            socket.close(request.detach())  # files of it are open, on a stack that never ends
        job.settle(ok=False)
        if self.core.wants(RequestAbandoned):
            self.core.emit(
                RequestAbandoned(
                    server_address=self.core.address,
                    client_address=job.client_address,
                    handler=self.core.handler_name,
                )
            )


_since = operator.attrgetter("since")

#: What every turn takes longer than.
_ALL = -1.0


class _Nobody:
    """Has a request that is served no more."""

    def end_input(self) -> None:
        """Its socket is closed."""

    def abort(self) -> None:
        """Its socket is closed."""

    def kill(self) -> None:
        """It is given up already."""


_NOBODY = _Nobody()

#: Where a handler waits is not in these, but in what has called them.
_OURS = (os.path.dirname(os.path.dirname(__file__)) + os.sep, os.path.dirname(os.__file__) + os.sep + "socket.py")


def _where(row: Row) -> str:
    """Name the line of the handler at which the row waits."""
    frame = frame_of(row)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        return "its end"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_qualname}"
