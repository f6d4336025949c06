"""
Child processes on the loop: each is noticed by a descriptor of its own, and only our own are reaped.

Linux has pidfds (pidfd_open(2)). Elsewhere the child holds the writing end of a pipe, whose end of file says that
it is gone; a grandchild that lives on with the pipe delays that, no more.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable

import attrs

from ..abc import Job, Loop

__all__ = ("Child", "Children")

#: Seconds between two SIGTERMs for a child that is waited for: at first, doubled each time, and at most.
_REMINDER, _SLOWEST_REMINDER = 0.05, 1.0

#: Seconds until another try, where no descriptor was to be had, or a child closed its pipe before it ended.
_RETRY = 0.1


def _pidfd_open(pid: int) -> int:
    if sys.platform == "linux":
        return os.pidfd_open(pid)
    raise NotImplementedError


def has_pidfd() -> bool:
    """Whether the kernel lets this process open pidfds (containers may forbid it)."""
    try:
        os.close(_pidfd_open(os.getpid()))
    except (OSError, NotImplementedError, AttributeError):
        return False
    return True


@attrs.define(eq=False)
class Ticket:
    """What is needed before a fork, to notice the child's end: a pipe, or nothing."""

    reader: int = -1
    writer: int = -1

    def cancel(self) -> None:
        """There was no fork."""
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)


@attrs.define(eq=False)
class Child:
    """One process that runs a job. Its pid is ours until we have reaped it."""

    pid: int
    job: Job
    fd: int = -1
    asked_to_end: bool = attrs.field(init=False, default=False)

    def terminate(self) -> None:
        """Send SIGTERM, by which the child ends the input of its request."""
        self.asked_to_end = True
        self.send(signal.SIGTERM)

    def quit(self) -> None:
        """Send SIGQUIT, by which the child shuts its connection."""
        if sys.platform == "win32":
            raise NotImplementedError
        self.asked_to_end = True
        self.send(signal.SIGQUIT)

    def send(self, number: int) -> None:
        """Send a signal, to nobody where the child is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def reap(self, options: int) -> tuple[bool, int | None]:
        """
        Ask for the end of this child.

        Returns:
            Whether it has ended; its exit status or minus its signal, None where another has taken that.
        """
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:  # SIGCHLD is ignored, or the program waits for all children itself
            return True, None
        return pid != 0, os.waitstatus_to_exitcode(status) if pid else None


def _has_pidfd() -> bool:
    return has_pidfd()  # looked up when a runner is made


@attrs.define(eq=False)
class Children:
    """All children of one runner. Everything happens in the loop's thread, or after the loop."""

    loop: Loop
    ended: Callable[[Child, int | None], None]
    _by_pid: dict[int, Child] = attrs.field(init=False, factory=dict)
    _pidfd: bool = attrs.field(init=False, factory=_has_pidfd)

    def __len__(self) -> int:
        return len(self._by_pid)

    def prepare(self) -> Ticket:
        """Get what a fork needs; raises OSError where descriptors are exhausted, before anything happened."""
        return Ticket() if self._pidfd else Ticket(*os.pipe())

    def add(self, pid: int, job: Job, ticket: Ticket) -> Child:
        """Take note of a new child."""
        if ticket.writer >= 0:
            os.close(ticket.writer)
        self._by_pid[pid] = child = Child(pid, job, ticket.reader)
        return child

    def watch(self, child: Child) -> None:
        """
        Let the loop notice its end. Called when the parent's copy of the connection is closed: its descriptor
        is then free for the pidfd, also where the process has no other left.
        """
        if child.fd < 0:
            try:
                child.fd = _pidfd_open(child.pid)
            except ProcessLookupError:
                self._check(child)
                return
            except OSError:
                self.loop.call_at(self.loop.time() + _RETRY, lambda: self._again(child))
                return
        self.loop.watch(child.fd, lambda _mask: self._check(child))

    def _again(self, child: Child) -> None:
        if child.pid in self._by_pid:
            self.watch(child)

    def _check(self, child: Child) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        over, status = child.reap(os.WNOHANG)
        if over:
            self._remove(child, status)
        elif child.pid in self._by_pid and not self._pidfd:
            # It has closed its end of the pipe and lives: nothing tells when it ends, so it is asked.
            self.loop.unwatch(child.fd)
            self.loop.call_at(self.loop.time() + _RETRY, lambda: self._check_again(child))

    def _check_again(self, child: Child) -> None:
        if child.pid in self._by_pid:
            self._check(child)

    def _remove(self, child: Child, status: int | None) -> None:
        if self._by_pid.pop(child.pid, None) is None:
            return
        self._release(child)
        self.ended(child, status)

    def _release(self, child: Child) -> None:
        if child.fd >= 0:
            self.loop.unwatch(child.fd)
            os.close(child.fd)
            child.fd = -1

    def wait(self, deadline: float | None) -> None:
        """Wait for all; what is left at *deadline* is killed."""
        if sys.platform == "win32":
            raise NotImplementedError
        for child in tuple(self._by_pid.values()):
            if not self._await(child, deadline):
                child.send(signal.SIGKILL)
                _, status = child.reap(0)  # dies at once
                self._remove(child, status)

    def _await(self, child: Child, deadline: float | None) -> bool:
        """
        Wait for one, and remind it of its SIGTERM; whether it has ended.

        A signal that comes between Python's last look and the system call in which a handler waits is noted, but
        does not end that wait; the next signal does (seen: about one time in a hundred, on a busy machine).
        """
        pause = _REMINDER
        while not self._ends_within(child, pause if deadline is None else min(pause, deadline - self.loop.time())):
            if deadline is not None and self.loop.time() >= deadline:
                return False
            if child.asked_to_end:
                child.send(signal.SIGTERM)
            pause = min(2 * pause, _SLOWEST_REMINDER)
        return True

    def _ends_within(self, child: Child, seconds: float) -> bool:
        if sys.platform == "win32":
            raise NotImplementedError
        poller = select.poll()
        if child.fd >= 0:
            poller.register(child.fd, select.POLLIN)
        poller.poll(max(0.0, seconds) * 1000)
        if child.fd >= 0 and not self._pidfd:
            time.sleep(_REMINDER / 10)  # the end of its pipe may come before, or long before, its own
        over, status = child.reap(os.WNOHANG)
        if over:
            self._remove(child, status)
        return over

    def forget(self) -> None:
        """Let go of those that nobody waits for."""
        for child in self._by_pid.values():
            self._release(child)
        self._by_pid.clear()
