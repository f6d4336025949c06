"""
A strategy written outside the package: a thread for each request, never more than so many at a time.

    python examples/bounded_threads.py --tcp 127.0.0.1:8000 --workers 4 FOLDER

serves a folder by HTTP on it; the other examples offer it as ``--strategy bounded``. To write a strategy of your
own, write two classes (`sockserve.abc.Strategy` and `Runner` are all that has to be known):

- The strategy is a frozen value, the options alone. Servers may share it, so it keeps nothing else.
- Its ``start`` makes the runner, the live thing of one server, with ``full``, ``submit``, ``move`` and ``close``.

Neither knows transports, sockets or handlers: a request is a `Job`, and whoever got one calls its ``run`` once.
"""

import sys
import threading

import attrs

from sockserve.abc import Core, Job, Loop

__all__ = ("BoundedThreads",)


@attrs.frozen(kw_only=True)
class BoundedThreads:
    """
    Run every request in a new thread, at most ``workers`` of them at a time.

    Args:
        workers: The most threads. At the limit nothing is accepted, and the kernel's backlog holds the clients.
    """

    workers: int = attrs.field(default=8, validator=attrs.validators.ge(1))

    def start(self, loop: Loop, core: Core, /) -> "_BoundedRunner":
        """Make the runner of one server. It starts no thread before there is a request."""
        return _BoundedRunner(self.workers, loop)


@attrs.define(eq=False)
class _BoundedRunner:
    """The live part. Its set is changed by the loop's thread and by the workers, in single, atomic operations."""

    workers: int
    loop: Loop
    threads: set[threading.Thread] = attrs.field(init=False, factory=set)

    @property
    def full(self) -> bool:
        """
        Whether no job can be taken now. Asked after every `submit`, so it has to be cheap.

        While it is true the loop does not look at the listener. There is no queue and nothing to lock: who turns
        it false again says so with ``loop.resume()``.
        """
        return len(self.threads) >= self.workers

    def submit(self, job: Job, /) -> None:
        """
        Take a job. Called in the loop's thread, one call at a time, never while `full`: so it must not wait.

        What it raises costs this one request, which the server then closes and reports; but a runner that has
        counted the request has to take that back, or it would be one place short for ever.
        """
        thread = threading.Thread(target=self._work, args=(job,), daemon=True)
        self.threads.add(thread)
        try:
            thread.start()
        except BaseException:
            self.threads.discard(thread)
            raise

    def _work(self, job: Job) -> None:
        try:
            job.run()  # the whole life of the request: handler, report of its failure, end of the connection
        finally:
            self.threads.discard(threading.current_thread())
            self.loop.resume()  # in this order: the loop asks `full` again as soon as it hears this

    def move(self, loop: Loop, /) -> None:
        """Go on with another loop: nothing of ours is watched there, so only the next ``resume`` has to know."""
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        """
        Wait for the requests in flight: until *deadline* on the loop's clock, or as long as they need.

        No job comes any more, and the loop does not run: ``resume`` does nothing now. What is left at the
        deadline is abandoned. The threads are daemonic for that moment's sake: else the interpreter would wait
        for them when it exits, whatever the deadline said.
        """
        for thread in self.threads - {threading.current_thread()}:  # a handler may be who closes the server
            thread.join(None if deadline is None else max(0.0, deadline - self.loop.time()))


if __name__ == "__main__":
    import http_files  # it finds this strategy in the table of _choose

    http_files.main(["--strategy", "bounded", *sys.argv[1:]])
