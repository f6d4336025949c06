"""Who is let in: the limits and ``verify``, and what becomes of the others."""

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ..abc import Arrival, Job, Loop, Runner
from ..abc._arrival import AnyArrival
from ..events import Event, LimitReached, LimitRelieved, Refused, VerifyFailed
from ..limits import Limits
from .farewells import Farewells, tell_here
from .peers import Census

if TYPE_CHECKING:
    from .core import ServerCore
    from .timekeeping import Timekeeper

__all__ = ("Admission",)

R = TypeVar("R")
A = TypeVar("A")


@attrs.define(eq=False)
class Admission(Generic[R, A]):
    """
    Decides on each arrival: in the loop's thread, or where it runs, if its client's address is known only there.

    Args:
        core: The server's: counts, and reports.
        limits: How many.
        verify: Asked about each that there is room for; None: all are welcome.
    """

    core: "ServerCore[R, A]"
    limits: Limits
    verify: Callable[[R, A], bool] | None
    #: Whether there is anything to decide or to note: else arrivals are not asked about at all.
    needed: bool = attrs.field(init=False)
    census: Census | None = attrs.field(init=False, default=None)
    _farewells: Farewells | None = attrs.field(init=False, default=None)
    _timekeeper: "Timekeeper[R, A] | None" = attrs.field(init=False, default=None)
    #: Whether who comes is asked about; and who is asked first, where a count is all that is asked for.
    _asks: bool = attrs.field(init=False)
    _counts: Census | None = attrs.field(init=False, default=None)
    #: The most requests in flight, where one more is refused.
    _most: int | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        limits = self.limits
        if limits.per_peer is not None:
            self.census = Census(limits.per_peer)
        if limits.overload != "wait":
            self._most = limits.connections
        self._asks = self.census is not None or self.verify is not None
        self._counts = self.census if self.verify is None else None
        self.needed = self._asks or self._most is not None or self.core.timekeeper is not None

    @property
    def at_limit(self) -> bool:
        """Whether nothing is accepted, because as many requests are in flight as may be."""
        limits = self.limits
        if limits.connections is None or limits.overload != "wait":
            return False
        return self.core.active >= limits.connections

    # A time of serving.

    def enter(self, loop: Loop, runner: Runner) -> Runner:
        """Begin on *loop*; return what is to be asked for room in place of *runner*."""
        # Datagrams have no deadlines.
        self._timekeeper = self.core.timekeeper if any(each.stream for each in self.core.listeners) else None
        if isinstance(self.limits.overload, bytes):
            self._farewells = Farewells(self.limits.overload, loop)
        if self.limits.connections is None or self.limits.overload != "wait":
            return runner
        bounded = Bounded(self.limits.connections, self.core, runner, loop)
        self.core.call_at_ends(bounded.ended)
        return bounded

    def leave(self) -> None:
        """Let go of the loop."""
        farewells, self._farewells = self._farewells, None
        if farewells is not None:
            farewells.close_all()

    def leave_in_child(self) -> None:
        """In a forked child: connections that are being turned away are the parent's."""
        if self._farewells is not None:
            self._farewells.close_copies()

    # Deciding.

    def admits(self, arrival: Arrival[R, A]) -> bool:
        """Whether *arrival* is to be served. If not, it has been closed, counted, reported. Called in the loop."""
        if self._most is not None and self.core.active >= self._most:
            self._turn_away(arrival, self._refusal(arrival, "connections"))
            return False
        counts = self._counts
        if counts is not None and not arrival.openings and counts.begin(arrival):
            pass  # as nearly all are, without a further call
        elif self._asks and not self._welcomes(arrival):
            return False
        if self._timekeeper is not None:
            self._timekeeper.begin(arrival, self.core.now)
        return True

    def _welcomes(self, arrival: Arrival[R, A]) -> bool:
        """Whether *arrival* is to be served, by whom it comes from. As `admits`."""
        census = self.census
        if arrival.named_later:
            if census is not None:
                census.shared = True  # from here on `vet` may be asked, in other threads
            return True
        try:
            objection = self._objection(arrival)
        except BaseException:  # Ctrl-C: it is for the server, and the connection for nobody
            arrival.finish()
            raise
        if objection is not None:
            self._turn_away(arrival, objection)
        return objection is None

    def vet(self, arrival: Arrival[R, A]) -> bool:
        """
        Whether *arrival*, which is in flight, is to be served, now that its client's address is known.

        If not, that has been reported, and a client over its limit was told so. Where it runs, in any thread.
        """
        objection = self._objection(arrival)
        if objection is None:
            return True
        request: object = arrival.request
        if _told(objection) and isinstance(self.limits.overload, bytes) and isinstance(request, socket.socket):
            tell_here(request, self.limits.overload)
        if self.core.wants(type(objection)):
            self.core.emit(objection)
        return False

    def _objection(self, arrival: Arrival[R, A]) -> Event | None:
        """Say why *arrival* is not to be served, if so, by whom it comes from."""
        if self.census is not None and not self.census.begin(arrival):
            return self._refusal(arrival, "per_peer")
        if self.verify is None:
            return None
        objection: Event | None = self._refusal(arrival, "verify")
        try:
            if self.verify(arrival.request, arrival.client_address):
                objection = None
        except Exception as error:  # noqa: BLE001 - reported, and the server goes on
            objection = VerifyFailed(
                server_address=self.core.address, client_address=arrival.client_address, error=error
            )
        finally:
            if objection is not None and self.census is not None:
                self.census.end(arrival)
        return objection

    def _refusal(self, arrival: AnyArrival, reason: str) -> Refused:
        return Refused(server_address=self.core.address, client_address=arrival.client_address, reason=reason)

    def _turn_away(self, arrival: Arrival[R, A], event: Event) -> None:
        try:
            self.core.refused(event)  # first: whoever has been told finds himself counted
        finally:
            self._dismiss(arrival, self._farewells if _told(event) else None)

    def _dismiss(self, arrival: Arrival[R, A], farewells: Farewells | None) -> None:
        request: object = arrival.request
        match request:
            case socket.socket() as sock if farewells is not None:
                farewells.tell(sock)
            case (_, socket.socket() as sock) if farewells is not None:
                farewells.answer(sock, arrival.client_address)
            case _:
                arrival.finish()


def _told(event: Event) -> bool:
    """Whether who is turned away so is told the words of `Limits`: by a limit, not by ``verify``."""
    return isinstance(event, Refused) and event.reason != "verify"


@attrs.define(eq=False)
class Bounded(Generic[R, A]):
    """
    A runner that is full, too, where so many requests are in flight.

    Args:
        most: So many.
        core: Knows how many there are.
        inner: The strategy's runner.
        loop: Where nothing is accepted meanwhile.
    """

    most: int
    core: "ServerCore[R, A]"
    inner: Runner
    loop: Loop
    #: See `sockserve.abc.Runner.submit`.
    submit: Callable[[Job], None] = attrs.field(init=False)
    #: Holds something while the limit counts as reached: until half of the requests have ended. At a limit that
    #: is reached and left with each client, every word of it would be one too many.
    _said: list[bool] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.submit = self.inner.submit

    @property
    def full(self) -> bool:
        """See `sockserve.abc.Runner.full`. The loop asks after each request: here is where the limit is met."""
        if self.core.active < self.most:
            return self.inner.full
        if not self._said:
            self._said.append(True)
            if self.core.wants(LimitReached):
                self.core.emit(LimitReached(server_address=self.core.address, connections=self.most))
        return True

    def ended(self, _arrival: AnyArrival) -> None:
        """Take note, in any thread, that a request has ended."""
        if not self._said:
            return  # nobody waits: who finds it full says so, and then asks once more
        self.loop.resume()
        if self.core.active <= self.most // 2:
            with contextlib.suppress(IndexError):  # another thread was quicker
                self._said.pop()
                if self.core.wants(LimitRelieved):
                    self.core.emit(LimitRelieved(server_address=self.core.address, connections=self.most))

    def move(self, loop: Loop, /) -> None:
        """See `sockserve.abc.Runner.move`. Made anew for each time of serving, this one never moves."""

    def close(self, deadline: float | None, /) -> None:
        """See `sockserve.abc.Runner.close`: the server closes the inner one."""
