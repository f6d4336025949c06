"""A process for each request, by inheritance: the documented names for `sockserve.ForkStrategy`."""

import os
import sys
from typing import cast

import attrs

from .._signals import SIG_SETMASK, signals
from .._typing import override
from ..abc import Job, Loop, Runner, Strategy
from ..strategies._children import Child
from ..strategies._fork import ForkRunner, ForkStrategy
from ._host import Host, close_host, host_of
from ._job import Face, ServerJob, answer_in_child
from ._mistakes import warn_if_shadowed
from ._row import Row
from ._state import known_state
from ._types import ClientAddress, Request, ServerBase

assert sys.platform != "win32"  # imported only where there is fork

__all__ = ("ForkingMixIn",)


@attrs.define(eq=False)
class _DocumentedForks(ForkRunner):
    """Children as programs know them: counted in a set of theirs, their signals as they were before the fork."""

    #: The server's, which programs add to and take from.
    active: set[int] = attrs.field(init=False, factory=set)

    @override
    def submit(self, job: Job, /) -> None:
        try:
            super().submit(job)
        finally:
            self.active.update(self._children.by_pid)

    @override
    def _ended(self, child: Child[Job], status: int | None) -> None:
        self.active.discard(child.pid)
        super()._ended(child, status)

    @override
    def enter_child(self, job: Job, mask: set[int]) -> None:
        self.core.enter_child(self._relay.send)
        signals.pthread_sigmask(SIG_SETMASK, mask)

    def configure(self, options: ForkStrategy) -> None:
        """Have other options from here on."""
        self.options = options
        self.full = len(self._children.by_pid) >= options.max_children

    def collect(self, host: Host, *, make_room: bool, blocking: bool) -> None:
        """Reap the children that have ended; with *blocking* all, with *make_room* until another may be made."""
        while make_room and len(self.active) >= self.options.max_children:
            self._await_one(host)
        if blocking:
            self._children.wait(None)
        else:
            host.loop.run_ready()
        self._reap_strays(0 if blocking else os.WNOHANG)

    def _await_one(self, host: Host) -> None:
        before = len(self._children.by_pid)
        if before:
            host.loop.wait_while(lambda: len(self._children.by_pid) == before, None)
        else:
            self._reap_strays(0)

    def _reap_strays(self, options: int) -> None:
        """Reap what a program has forked itself and counted in the set."""
        for pid in self.active - self._children.by_pid.keys():
            over, _status = Child(pid, ServerJob(None, None, None), self._children).reap(options)
            if over:
                self.active.discard(pid)

    @override
    def close(self, deadline: float | None, /) -> None:
        """Wait for nobody: ``collect_children`` has."""
        self._children.forget()
        self._relay.close()


def _start(strategy: Strategy, loop: Loop, face: Face, before: Runner | None) -> Runner:
    options = cast("ForkStrategy", strategy)
    if isinstance(before, _DocumentedForks):
        before.configure(options)
        return before
    return _DocumentedForks(options, loop, face)


_ROW = Row(ForkStrategy(), start=_start)


class ForkingMixIn:
    """
    Answer each request in a new process. To be named before the server class.

    Attributes:
        timeout: Seconds without a request until `handle_request` looks for children that have ended.
        max_children: The most processes at a time. At the limit nothing is accepted, and the kernel queues.
        active_children: The process ids; None before the first.
        block_on_close: Whether `server_close` waits for the children.
    """

    timeout: float | None = 300
    max_children: int = 40
    active_children: set[int] | None = None
    block_on_close: bool = True

    @override
    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        warn_if_shadowed(cls, ForkingMixIn)

    def process_request(self, request: Request, client_address: ClientAddress) -> None:
        """Begin to answer, in a new process; this one only closes its copy of the request."""
        if self.active_children is None:
            self.active_children = set()
        host = host_of(self, _ROW)
        _forks(host).active = self.active_children
        host.submit(ServerJob(self, request, client_address, answer_in_child))

    def collect_children(self, *, blocking: bool = False) -> None:
        """
        Reap the children that have ended.

        At `max_children` it waits until one has, unless the loop of this server calls it: that waits by itself,
        and can still be stopped. No other child of the process is touched.

        Args:
            blocking: Wait for all.
        """
        if self.active_children is None:
            return
        state = known_state(self)
        if not self.active_children and (state is None or state.host is None):
            return
        host = host_of(self, _ROW)
        forks = _forks(host)
        forks.active = self.active_children
        forks.collect(host, make_room=state is None or not state.polls_here, blocking=blocking)

    def service_actions(self) -> None:
        """Reap the children that have ended."""
        self.collect_children()

    def handle_timeout(self) -> None:
        """Reap the children that have ended."""
        self.collect_children()

    def server_close(self) -> None:
        """Close the server, then reap its children, and wait for them as `block_on_close` says."""
        cast("ServerBase", super()).server_close()
        self.collect_children(blocking=self.block_on_close)
        close_host(self)


def _forks(host: Host) -> _DocumentedForks:
    return cast("_DocumentedForks", host.runner)
