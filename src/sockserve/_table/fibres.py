"""
Running blocking handlers in greenlets. The only module that knows greenlet; imported when the first table starts.

The loop's own greenlet, in which it calls back, is the parent of all fibres. It switches to one and gets control
back when that waits or has finished. Fibres are reused, since a new greenlet costs more than a short request
(7.9 us against 1.1, measured: the interpreter maps a new stack for each).
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import attrs
from greenlet import getcurrent, greenlet

from .._typing import override
from ..abc import Job
from .current import found_by, here, in_thread_of_rows
from .rows import Row, Table, Verdict

__all__ = (
    "Fibre",
    "Fibres",
    "current_fibre",
    "fibre_row",
    "fibres_here",
    "frame_of",
    "leave_child",
    "run_here",
    "start_beside",
)

#: Fibres that are kept for the next request, at most: 16 KB of address space each, and what was touched of it.
MOST_IDLE = 128


class Fibre(greenlet):
    """A greenlet that runs jobs, one after the other."""

    __slots__ = ("fibres", "row")

    row: Row | None
    fibres: "Fibres"

    @override
    def run(self, _verdict: Verdict = None, /) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run the job of the row, then of the next that it is given; None ends the greenlet."""
        while (row := self.row) is not None:
            table = row.table
            try:
                ok = row.job.run()  # as `run_here`, whose frame every wait would keep
            except BaseException as error:
                if table.foreign:
                    leave_child(error)
                raise
            else:
                if table.foreign:
                    leave_child(None if ok else SystemExit(1))
            finally:
                table.ended(row)
            self.row = row = None  # an idle fibre keeps nothing alive
            self.gr_context = None  # what one request has set is not for the next
            if not self.fibres.keep(self):
                return
            parent = self.parent
            assert parent is not None  # only a thread's first greenlet has none
            parent.switch()


def run_here(job: Job, table: Table) -> None:
    """Run *job*; a process that its handler has forked, and that has got here, ends instead of going on."""
    try:
        ok = job.run()
    except BaseException as error:
        if table.foreign:
            leave_child(error)
        raise
    if table.foreign:
        leave_child(None if ok else SystemExit(1))


def leave_child(error: BaseException | None) -> NoReturn:
    """
    End a process that the handler has forked, where it has come to the end of its request.

    In a thread it would end here too: there the thread is all that it has. Further up is the parent's loop.
    """
    status = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code
        status = code if isinstance(code, int) else int(code is not None)
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status & 0xFF)


def current_fibre() -> Fibre | None:
    """Give the fibre that the caller runs in, if it is one."""
    if not in_thread_of_rows():
        return None
    me = getcurrent()
    return me if isinstance(me, Fibre) else None


def fibre_row() -> Row | None:
    """See `current_row`."""
    me = current_fibre()
    if me is not None and me.row is not None and not me.row.table.foreign:
        return me.row
    return None


found_by(fibre_row)


def _no_loop() -> Verdict:
    raise AssertionError("a row has waited before its table was run")


@attrs.define(eq=False)
class Fibres:
    """
    The fibres of one table, for one time of serving: a greenlet can never be switched to from another thread.

    Args:
        table: Where the rows are.
    """

    table: Table
    _hub: greenlet | None = attrs.field(init=False, default=None)
    #: Lets the loop go on: one object for all rows.
    _leave: Callable[[], Verdict] = attrs.field(init=False, default=_no_loop)
    _idle: list[Fibre] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        _mark_in_children(self.table)

    def start(self, job: Job) -> None:
        """Begin to run *job*. Called in the loop's greenlet."""
        hub = self._hub
        if hub is None:
            self._hub = hub = getcurrent()
            self._leave = hub.switch
            self.table.thread = threading.get_ident()
            here.rows = True
        if self._idle:
            fibre = self._idle.pop()
        else:
            fibre = Fibre(parent=hub)
            fibre.fibres = self
        fibre.row = row = Row(job, self.table, fibre.switch, self._leave)
        self.table.add(row)

    def keep(self, fibre: Fibre) -> bool:
        """Take back a fibre that has finished; whether it is to wait for another job."""
        if len(self._idle) >= MOST_IDLE:
            return False
        self._idle.append(fibre)
        return True

    def leave(self) -> None:
        """
        Abort all rows, and end the idle fibres.

        Raises:
            BaseException: What the handlers' ends have let through.
        """
        if self.table.foreign:
            return
        try:
            self.table.abort_all()
        finally:
            idle, self._idle = self._idle, []
            for fibre in idle:
                fibre.switch()
            self._hub, self._leave = None, _no_loop
            self.table.thread = None


def fibres_here() -> Fibres:
    """Give the fibres of the row that calls."""
    fibre = getcurrent()
    assert isinstance(fibre, Fibre)
    return fibre.fibres


def start_beside(job: Job) -> None:
    """Begin with *job* in the table of the row that calls, after the loop's next look at its descriptors."""
    fibres = fibres_here()
    fibres.table.loop.call_soon(lambda: fibres.start(job))


def frame_of(row: Row) -> FrameType | None:
    """Give the innermost frame of a row that waits; None where it has ended."""
    fibre: object = getattr(row.go, "__self__", None)
    return fibre.gr_frame if isinstance(fibre, Fibre) and fibre.row is row else None


_tables: "weakref.WeakSet[Table]" = weakref.WeakSet()
_registered = False


def _mark_in_children(table: Table) -> None:
    """Let *table* know when it is in a forked child: its poller is the parent's, whose clients it would answer."""
    global _registered  # noqa: PLW0603 - one hook a process, installed with the first table
    _tables.add(table)
    if not _registered and sys.platform != "win32":
        _registered = True
        os.register_at_fork(after_in_child=_mark_all)


def _mark_all() -> None:
    for table in _tables:
        table.forked()
