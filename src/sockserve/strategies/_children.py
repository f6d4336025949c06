"""
Child processes on the loop: each is noticed by a descriptor of its own, and only our own are reaped.

Linux has pidfds (pidfd_open(2)). Elsewhere the child holds the writing end of a pipe, whose end of file says that
it is gone; a grandchild that lives on with the pipe delays that, no more.

A fork makes every page of the parent read-only, and whatever it touches next is copied, page by page: each
function called and each object used costs a few microseconds here. Hence few of either on the way of a request.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import attrs

from ..abc import Keeper, Loop, Timer

__all__ = ("Child", "Children", "Pipe", "has_pidfd")

#: Seconds between two SIGTERMs for a child that is waited for: at first, doubled each time, and at most.
_REMINDER, _SLOWEST_REMINDER = 0.05, 1.0

#: Seconds until another try, where no descriptor was to be had, or a child closed its pipe before it ended.
_RETRY = 0.1

#: What is needed before a fork, to notice the child's end: reader and writer, or None where there are pidfds.
Pipe = tuple[int, int] | None


def _no_pidfd(pid: int) -> int:
    raise NotImplementedError


_pidfd_open: Callable[[int], int] = getattr(os, "pidfd_open", _no_pidfd)


def has_pidfd() -> bool:
    """Whether the kernel lets this process open pidfds (containers may forbid it)."""
    try:
        os.close(_pidfd_open(os.getpid()))
    except (OSError, NotImplementedError):
        return False
    return True


class Errand(Protocol):
    """What a child was forked for: a job, a worker."""

    def disown(self, keeper: Keeper, /) -> None:
        """Let go of what is the child's from here on; it is spoken to by *keeper*."""
        ...


W = TypeVar("W", bound=Errand)


class Child(Generic[W]):
    """One process that runs a job; the job's `Keeper`. Its pid is ours until we have reaped it."""

    __slots__ = ("asked_to_end", "fd", "job", "pid", "retry", "siblings")

    def __init__(self, pid: int, job: W, siblings: "Children[W]") -> None:
        self.pid: Final = pid
        self.job: Final = job
        self.siblings: Final = siblings
        self.fd = -1
        self.asked_to_end = False
        self.retry: Timer | None = None

    def end_input(self) -> None:
        """Send SIGTERM, by which the child ends the input of its request."""
        self.asked_to_end = True
        self.send(signal.SIGTERM)

    def abort(self) -> None:
        """Send SIGQUIT, by which the child shuts its connection."""
        if sys.platform == "win32":
            raise NotImplementedError
        self.asked_to_end = True
        self.send(signal.SIGQUIT)

    def kill(self) -> None:
        """Send SIGKILL."""
        if sys.platform == "win32":
            raise NotImplementedError
        self.send(signal.SIGKILL)

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

    def check(self, _mask: int = 0) -> None:
        """Reap it, if it has ended. Called when its descriptor says so, or to look again."""
        if sys.platform == "win32":
            raise NotImplementedError
        siblings = self.siblings
        over, status = self.reap(os.WNOHANG)
        if over:
            siblings.remove(self, status)
        elif not siblings.pidfd:
            # It has closed its end of the pipe and lives: nothing tells when it ends, so it is asked.
            siblings.loop.unwatch(self.fd)
            self.retry = siblings.loop.call_at(siblings.loop.time() + _RETRY, self.check)


def _has_pidfd() -> bool:
    return has_pidfd()  # looked up when a runner is made


@attrs.define(eq=False)
class Children(Generic[W]):
    """
    All children of one runner. Everything happens in the loop's thread, or after the loop.

    Args:
        loop: Where their ends are noticed.
        ended: Called with each that has ended, and with its status as `Child.reap` gives it.
    """

    loop: Loop
    ended: Callable[[Child[W], int | None], None]
    by_pid: dict[int, Child[W]] = attrs.field(init=False, factory=dict)
    pidfd: bool = attrs.field(init=False, factory=_has_pidfd)

    def prepare(self) -> Pipe:
        """Get what a fork needs; raises OSError where descriptors are exhausted, before anything happened."""
        return None if self.pidfd else os.pipe()

    def cancel(self, pipe: Pipe) -> None:
        """There was no fork."""
        for fd in pipe or ():
            os.close(fd)

    def adopt(self, pid: int, job: W, pipe: Pipe) -> None:
        """Take note of a new child, give it the job, and let the loop notice its end."""
        child = Child(pid, job, self)
        if pipe is not None:
            child.fd, writer = pipe
            os.close(writer)
        self.by_pid[pid] = child
        try:
            job.disown(child)
        finally:
            self.watch(child)  # now: the descriptor that was just closed may have been the last to be had

    def watch(self, child: Child[W]) -> None:
        """Let the loop notice its end, now or as soon as there is a descriptor to be had."""
        try:
            if child.fd < 0:
                child.fd = _pidfd_open(child.pid)
            self.loop.watch(child.fd, child.check)
        except ProcessLookupError:
            child.check()
        except OSError:  # no descriptor, or no room in the poller
            child.retry = self.loop.call_at(self.loop.time() + _RETRY, lambda: self.watch(child))

    def move(self, loop: Loop) -> None:
        """Let another loop notice their ends."""
        old, self.loop = self.loop, loop
        for child in tuple(self.by_pid.values()):
            self._let_go(child, old)
            self.watch(child)

    def _let_go(self, child: Child[W], loop: Loop) -> None:
        """Let *loop* forget this child: its descriptor, and what is to be tried again."""
        if child.fd >= 0:
            loop.unwatch(child.fd)
        retry, child.retry = child.retry, None
        if retry is not None:
            retry.cancel()

    def remove(self, child: Child[W], status: int | None) -> None:
        """Forget one that has ended, and tell of it."""
        if self.by_pid.pop(child.pid, None) is None:
            return
        self._release(child)
        self.ended(child, status)

    def _release(self, child: Child[W]) -> None:
        self._let_go(child, self.loop)
        if child.fd >= 0:
            os.close(child.fd)
            child.fd = -1

    def wait(self, deadline: float | None) -> None:
        """Wait for all; what is left at *deadline* is killed."""
        if sys.platform == "win32":
            raise NotImplementedError
        for child in tuple(self.by_pid.values()):
            if not self._await(child, deadline):
                child.send(signal.SIGKILL)
                _, status = child.reap(0)  # dies at once
                self.remove(child, status)

    def _await(self, child: Child[W], deadline: float | None) -> bool:
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

    def _ends_within(self, child: Child[W], seconds: float) -> bool:
        if sys.platform == "win32":
            raise NotImplementedError
        poller = select.poll()
        if child.fd >= 0:
            poller.register(child.fd, select.POLLIN)
        poller.poll(max(0.0, seconds) * 1000)
        if child.fd >= 0 and not self.pidfd:
            time.sleep(_REMINDER / 10)  # the end of its pipe may come before, or long before, its own
        over, status = child.reap(os.WNOHANG)
        if over:
            self.remove(child, status)
        return over

    def forget(self) -> None:
        """Let go of those that nobody waits for."""
        for child in self.by_pid.values():
            self._release(child)
        self.by_pid.clear()
