"""Parts as other people write them: a strategy and a transport that are correct, and each with one bug."""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import attrs

from sockserve import InetAddress, SyncStrategy, TcpTransport, testing
from sockserve.abc import Core, Job, Loop, Runner
from sockserve.transports._stream import StreamArrival, StreamListener

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


@attrs.frozen
class Bounded:
    """A thread for each request, and never more than some."""

    most: int = 4

    def start(self, loop: Loop, core: Core, /) -> Runner:
        return BoundedRunner(loop, self.most)


class BoundedRunner:
    def __init__(self, loop: Loop, most: int) -> None:
        self.loop = loop
        self.most = most
        self.threads: set[threading.Thread] = set()

    @property
    def full(self) -> bool:
        return len(self.threads) >= self.most

    def submit(self, job: Job, /) -> None:
        thread = threading.Thread(target=self.work, args=(job,))
        self.threads.add(thread)
        thread.start()

    def work(self, job: Job) -> None:
        try:
            job.run()
        finally:
            self.threads.discard(threading.current_thread())
            self.loop.resume()

    def move(self, loop: Loop, /) -> None:
        self.loop = loop

    def close(self, deadline: float | None, /) -> None:
        for thread in tuple(self.threads):
            thread.join(None if deadline is None else max(0.0, deadline - self.loop.time()))


def with_runner(kind: Callable[[Loop, int], Any]) -> Callable[[], Any]:
    """Make a strategy that starts such runners."""

    @attrs.frozen
    class Buggy(Bounded):
        def start(self, loop: Loop, core: Core, /) -> Runner:
            runner: Runner = kind(loop, self.most)
            return runner

    return Buggy


class NeverSaysThatThereIsRoom(BoundedRunner):
    def work(self, job: Job) -> None:
        try:
            job.run()
        finally:
            self.threads.discard(threading.current_thread())


class RunsSomeTwice(BoundedRunner):
    def work(self, job: Job) -> None:
        if not job.stream:
            job.run()
        super().work(job)


class LosesSome(BoundedRunner):
    count = 0

    def submit(self, job: Job, /) -> None:
        self.count += 1
        if self.count % 20:
            super().submit(job)


class DoesNotWait(BoundedRunner):
    def work(self, job: Job) -> None:
        job.run()
        slow.wait(10)
        self.threads.discard(threading.current_thread())

    def close(self, deadline: float | None, /) -> None:
        """Whoever is left is left."""


#: Lets the threads end that DoesNotWait leaves.
slow = threading.Event()


class ClosesWhileItWaits(BoundedRunner):
    """It goes on with the loop that it was made with."""

    def move(self, loop: Loop, /) -> None:
        """Take no note."""


class LacksAMethod:
    full = False

    def submit(self, job: Job, /) -> None:
        job.run()

    def close(self, deadline: float | None, /) -> None:
        """Nothing to wait for."""


class StartsAThread(BoundedRunner):
    def __init__(self, loop: Loop, most: int) -> None:
        super().__init__(loop, most)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.over.wait)
        self.thread.start()

    def close(self, deadline: float | None, /) -> None:
        self.over.set()
        self.thread.join()
        super().close(deadline)


class ForksAndForgets(BoundedRunner):
    """It leaves its children behind, and never says how they ended."""

    def submit(self, job: Job, /) -> None:
        if os.fork() == 0:
            try:
                job.run()
            finally:
                os._exit(0)


class NoValue(Bounded):
    """It cannot be shared by what tells values apart."""

    __hash__ = None  # type: ignore[assignment]  # as mutable values have it


class Shared:
    """The live thing within the value."""

    def __init__(self) -> None:
        self.runner: BoundedRunner | None = None

    def start(self, loop: Loop, core: Core, /) -> Runner:
        self.runner = self.runner or OnceRunner(loop, 4)
        return self.runner


class OnceRunner(BoundedRunner):
    closed = False

    def submit(self, job: Job, /) -> None:
        if self.closed:
            raise RuntimeError("closed")
        super().submit(job)

    def close(self, deadline: float | None, /) -> None:
        self.closed = True
        super().close(deadline)


#: Each bug, and the laws that it breaks.
STRATEGIES: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "never says that there is room": (with_runner(NeverSaysThatThereIsRoom), {"every_job_is_run_once"}),
    "runs some twice": (with_runner(RunsSomeTwice), {"every_job_is_run_once"}),
    "loses some": (with_runner(LosesSome), {"every_job_is_run_once"}),
    "does not wait": (with_runner(DoesNotWait), {"server_close_leaves_nothing_behind"}),
    "lacks a method": (with_runner(lambda loop, most: LacksAMethod()), {"it_starts_nothing_before_there_is_work"}),
    "starts a thread": (with_runner(StartsAThread), {"it_starts_nothing_before_there_is_work"}),
    "forks and forgets": (with_runner(ForksAndForgets), {"server_close_leaves_nothing_behind"}),
    "no value": (NoValue, {"it_is_a_value"}),
    "one runner for all": (Shared, {"one_value_serves_two_servers"}),
    "one at a time": (SyncStrategy, {"requests_run_at_the_same_time"}),
}


# Transports.


@attrs.frozen
class Outside:
    """TCP on loopback, with a listener of one's own."""

    listener: Any = attrs.field(factory=lambda: Listener)
    stream: bool = True

    def listen(self) -> Any:
        return self.listener(TcpTransport(("127.0.0.1", 0)).listen())


class Arrival(StreamArrival[InetAddress]):
    __slots__ = ()


class Listener:
    """Made of ours; its arrivals are of its own class."""

    arrival: Callable[[socket.socket, InetAddress], Any] = Arrival
    stream = True

    def __init__(self, inner: StreamListener[InetAddress]) -> None:
        self.inner = inner

    @property
    def address(self) -> InetAddress:
        return self.inner.address

    def fileno(self) -> int:
        return self.inner.fileno()

    def accept(self) -> Any:
        sock, raw = self.inner.sock.accept()
        sock.settimeout(None)
        return type(self).arrival(sock, InetAddress(*raw))

    def close(self) -> None:
        self.inner.close()

    def close_copy(self) -> None:
        self.inner.close_copy()


def with_arrival(kind: type[Arrival]) -> Callable[[], Any]:
    """Make a transport that brings such arrivals."""

    class Bringing(Listener):
        arrival = kind

    return lambda: Outside(Bringing)


class SendsNoEnd(Arrival):
    def finish(self) -> None:
        self.request.close()


class ReleasesTooMuch(Arrival):
    def release(self) -> None:
        self.request.shutdown(socket.SHUT_RDWR)
        self.request.close()


class EndsNoInput(Arrival):
    def end_input(self) -> None:
        """Somebody else will."""


class RaisesAtTheEnd(Arrival):
    def abort(self) -> None:
        self.request.shutdown(socket.SHUT_RDWR)


class BlamesThePeer(Arrival):
    def peer_gone(self, error: BaseException, /) -> bool:
        return isinstance(error, OSError)


class BlamesTheHandler(Arrival):
    def peer_gone(self, error: BaseException, /) -> bool:
        return False


class NeverCloses(Arrival):
    def finish(self) -> None:
        self.request.shutdown(socket.SHUT_WR)
        os.dup(self.request.fileno())
        super().finish()


class Waits(Listener):
    def accept(self) -> Any:
        if not waiting.wait(0.0):
            waiting.wait(10)
            raise BlockingIOError
        return super().accept()


#: Lets go of whoever waits in `Waits`.
waiting = threading.Event()


class HasATimeout(Listener):
    def accept(self) -> Any:
        sock, raw = self.inner.sock.accept()  # socket.accept gives it the default timeout
        return Arrival(sock, InetAddress(*raw))


class StaysOpen(Listener):
    def close(self) -> None:
        """Somebody else will."""


class ListensTooLate(Listener):
    def __init__(self, inner: StreamListener[InetAddress]) -> None:
        super().__init__(inner)
        self.fd = os.open(os.devnull, os.O_RDONLY)  # always readable

    def fileno(self) -> int:
        return self.fd if self.inner.fileno() >= 0 else -1

    def close(self) -> None:
        if self.inner.fileno() >= 0:
            os.close(self.fd)
        super().close()


TRANSPORTS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "sends no end": (with_arrival(SendsNoEnd), {"the_end_is_sent_whoever_has_a_copy"}),
    "releases too much": (with_arrival(ReleasesTooMuch), {"a_released_request_goes_on_elsewhere"}),
    "ends no input": (with_arrival(EndsNoInput), {"who_waits_for_a_client_can_be_told_its_end"}),
    "raises at the end": (with_arrival(RaisesAtTheEnd), {"who_waits_for_a_client_can_be_told_its_end"}),
    "blames the peer": (with_arrival(BlamesThePeer), {"an_unrelated_error_is_not_the_peers"}),
    "blames the handler": (with_arrival(BlamesTheHandler), {"a_peer_that_is_gone_is_told_from_a_failure"}),
    "never closes": (with_arrival(NeverCloses), {"nothing_is_left_behind"}),
    "waits": (lambda: Outside(Waits), {"accept_returns_at_once"}),
    "has a timeout": (lambda: Outside(HasATimeout), {"handlers_get_blocking_sockets"}),
    "stays open": (lambda: Outside(StaysOpen), {"a_closed_listener_is_gone"}),
    "is always readable": (lambda: Outside(ListensTooLate), {"accept_returns_at_once"}),
    "says datagrams": (lambda: Outside(stream=False), {"it_opens_nothing_before_it_listens"}),
}


# Run as a program, in a process of its own: bugs leave things behind, and some would hold it for ever.


def _failure(law: Any, make: Callable[[], Any]) -> str:
    try:
        law(make())
    except Exception as error:  # noqa: BLE001 - that is the answer
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Print what each law says that a bug is to break; nothing waits for long."""
    patient = {"FAILSAFE": 0.1, "AT_ONCE": 0.2, "GRACE": 0.1, "LAST_WAIT": 0.05}
    for module in [*sys.modules.values()]:
        for name in patient.keys() & vars(module).keys() if module.__name__.startswith("sockserve.") else ():
            setattr(module, name, patient[name])
    kits: Any = [
        (STRATEGIES, (*testing.check_strategy, *testing.check_concurrency)),
        (TRANSPORTS, testing.check_transport),
    ]
    found = {
        bug: {law.__name__: _failure(law, make) for law in laws if law.__name__ in broken}
        for bugs, laws in kits
        for bug, (make, broken) in bugs.items()
    }
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
