"""Where a strategy works for a server that polls: its loop, its runner, and when the two get a turn."""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from .._loop.loop import EventLoop
from ..abc import Loop, Runner
from ._host_loop import HostLoop
from ._job import Face, ServerJob, answer, answer_in_row
from ._post import Post
from ._row import Row
from ._state import known_state, state_of

__all__ = ("Host", "close_host", "host_of", "look_away", "run_ready", "take_request")


class Host:
    """
    A row at work for one server, in one process.

    Several threads may take requests at a time, by ``handle_request``, also beside one that serves. Where requests
    live in the loop's thread, the runner is with one of them, that serves or runs a request to its end; each other
    one gets a runner of its own for each request.
    """

    def __init__(self, row: Row, server: object) -> None:
        state = state_of(server)
        self.loop = HostLoop(state)
        self._face = Face(server)
        self._read = row.read(server)
        self._post = Post(row, row.strategy_for(server), self.loop, self._face, None)
        #: It, and those of earlier options that have requests in flight.
        self._posts = [self._post]
        #: Held where it is said which runner there is, and on which loop.
        self._changing = state.lock
        #: Held from the question whether there is room until that is taken; reentrant: `submit` may run handlers.
        self._handing = threading.RLock()
        #: Held by the thread whose loop the runner is on.
        self._seat = threading.Lock()
        self._loop: EventLoop | None = None
        #: Makes the loop look away from the listener, while it serves.
        self.door: Callable[[], object] | None = None
        #: The loop takes requests now, and runs none: what is submitted in its thread is not by one.
        self.at_door = False
        self._raised: BaseException | None = None
        # A server that is dropped without being closed leaves no descriptor and no idle thread behind.
        self._finalizer = weakref.finalize(server, _release, self._posts, os.getpid())
        self._finalizer.atexit = False

    @property
    def runner(self) -> Runner:
        """What takes requests."""
        return self._post.runner

    @property
    def in_loop(self) -> bool:
        """Whether requests live in the thread that serves, and only while it does."""
        return self._post.in_loop

    def follow(self, row: Row, server: object) -> None:
        """Take note of options that were changed since the last request. Called with the server's lock held."""
        read, former = row.read(server), self._post
        if read == self._read and row is former.row:
            return
        post = Post(row, row.strategy_for(server), self._loop or self.loop, self._face, former.runner)
        self._read = read
        if post.runner is former.runner:
            post.in_flight = former.in_flight
            self._posts.remove(former)
        else:
            former.retire()
        self._post = post
        self._posts.append(post)
        self._dissolve_former()

    def _dissolve_former(self) -> None:
        """Let go of runners of earlier options that have nothing in flight."""
        for post in tuple(self._posts):
            # What is on a loop is left by its thread, and by no request.
            if post is self._post or post.in_flight or (post.in_loop and self._loop and not self._receives()):
                continue
            self._posts.remove(post)
            post.dissolve()

    @property
    def full(self) -> bool:
        """Whether the runner can take no request now."""
        return self._post.runner.full

    @property
    def must_wait(self) -> bool:
        """Whether the calling thread, which polls, has to let a request wait."""
        post = self._post
        if not post.runner.full:
            return False
        if post.in_loop:
            return self._loop is None  # on another's loop it is none of our matter
        return not post.in_flight.here

    def wait_for_room(self, timeout: float | None) -> None:
        """Wait until a request has ended, somebody calls, or *timeout* is over."""
        self._wait_for(self._post.runner, timeout)

    def _wait_for(self, runner: Runner, timeout: float | None) -> None:
        self.loop.wait_while(lambda: runner.full, timeout)

    def new_job(self, server: object, request: object, client_address: object) -> tuple[Post, ServerJob]:
        """Note a request as in flight. Called with the server's lock held."""
        post = self._post
        job = ServerJob(server, request, client_address, answer_in_row if post.in_loop else answer, post.in_flight)
        return post, job

    def submit(self, job: ServerJob, post: Post | None = None) -> None:
        """Hand a request to the strategy. Loops of others do not know of `full`: they wait here."""
        if post is None:
            post = self._post
        if not post.in_loop:
            self._hand(post, job)
        elif self._receives() and not post.runner.full:
            self._begin(post.runner, job)
        else:
            self._run_to_its_end(post, job)

    def _hand(self, post: Post, job: ServerJob) -> None:
        """
        Submit, when there is room: one thread at a time, or two would have the last place.

        A handler that takes a request of its own server, and would wait for its own end, runs it itself.
        """
        runner = post.runner
        if post.holds:
            runner.submit(job)
            return
        while True:
            with self._handing:
                if not runner.full:
                    runner.submit(job)
                    return
            if post.in_flight.here:
                job.run()
                return
            self._wait_for(runner, None)

    def _receives(self) -> bool:
        """Whether the caller is the loop, and none of its requests."""
        return self.at_door and self._loop is not None and self._loop.in_own_thread

    def _begin(self, runner: Runner, job: ServerJob) -> None:
        self.at_door = False
        try:
            runner.submit(job)
        except Exception:
            raise
        except BaseException as error:
            if not job.over:
                raise
            self._raised = error  # the request has had its end already, and is not to be shut once more
        finally:
            self.at_door = True

    def raise_what_ended_a_request(self) -> None:
        """Raise what is not meant for a request alone, KeyboardInterrupt for example."""
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _run_to_its_end(self, post: Post, job: ServerJob) -> None:
        """Not the loop of ours that serves: run this request, and nothing else, until it has ended."""
        loop = EventLoop()
        with self._runner_on(loop, post) as runner:
            loop.call_soon(lambda: runner.submit(job))
            loop.run(lambda: job.over)

    @contextlib.contextmanager
    def _runner_on(self, loop: EventLoop, post: Post) -> Iterator[Runner]:
        """Let *loop* have the runner, or one of its own."""
        with self.seat() as mine:
            if mine and post is self._post:
                while post.runner.full:
                    self._wait_for(post.runner, None)
                with self.served_by(loop):
                    yield post.runner
                return
        spare = Post(post.row, post.strategy, loop, self._face, None)
        try:
            yield spare.runner
        finally:
            spare.dissolve()

    @contextlib.contextmanager
    def seat(self) -> Iterator[bool]:
        """Have the runner for the time of the block, unless another thread, or who called this one, has it."""
        mine = self._seat.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._seat.release()

    @contextlib.contextmanager
    def served_by(self, loop: EventLoop) -> Iterator[None]:
        """
        Let requests live on *loop*, which waits for them until the end of the block. Then they are ended.

        For who has the `seat`.
        """
        self._move(loop, loop)
        try:
            yield
        finally:
            self.door = None
            try:
                self._leave()
            finally:
                self._move(None, self.loop)

    def _move(self, serving: EventLoop | None, loop: Loop) -> None:
        with self._changing:
            self._loop = serving
            for post in self._posts:
                post.runner.move(loop)
            self._dissolve_former()

    def _leave(self) -> None:
        with contextlib.ExitStack() as stack:
            for post in tuple(self._posts):
                stack.callback(post.leave)

    def close(self) -> None:
        """Wait as the strategy's options say, and release everything."""
        self._finalizer.detach()
        for post in tuple(self._posts):
            post.runner.close(None)


def _release(posts: list[Post], pid: int) -> None:
    if pid == os.getpid():
        for post in posts:
            post.runner.close(time.monotonic())


def host_of(server: object, row: Row) -> Host:
    """Return the server's host, made at the first request."""
    state = state_of(server)
    with state.lock:
        host = state.host
        if host is None:
            host = state.host = Host(row, server)
        else:
            host.follow(row, server)
        return host


def take_request(server: object, row: Row, request: object, client_address: object) -> None:
    """Hand a request to the strategy of *row*."""
    with state_of(server).lock:
        host = host_of(server, row)
        post, job = host.new_job(server, request, client_address)
    try:
        host.submit(job, post)
    except BaseException:
        job.forget()
        raise


def run_ready(server: object) -> None:
    """Give the strategy's loop a turn, between two requests."""
    state = known_state(server)
    if state is not None and state.host is not None:
        state.host.loop.run_ready()


def look_away(server: object) -> None:
    """Let the loop that serves look away from the socket, which is about to be closed."""
    state = known_state(server)
    if state is not None and state.host is not None and state.host.door is not None:
        state.host.door()


def close_host(server: object) -> None:
    """Wait for the requests in flight, as the strategy's options say, and let go of the strategy."""
    state = known_state(server)
    if state is not None and state.host is not None:
        host, state.host = state.host, None
        host.close()
