"""Any strategy, by inheritance."""

import types
from collections.abc import Mapping
from typing import ClassVar, cast

from .._typing import override
from ..abc import Strategy
from ._host import close_host, look_away, run_ready, take_request
from ._job import answer_in_thread
from ._looping import serve_with
from ._mistakes import warn_if_shadowed
from ._polling import serve_one
from ._row import Row
from ._state import known_state
from ._types import ClientAddress, Polled, Request, ServerBase

__all__ = ("StrategyMixIn", "mixin_for")


class StrategyMixIn:
    """
    Answer requests where a strategy runs them. To be named before the server class, this module's or another's.

    A mix-in is made by deriving from this class with the strategy: ``class BoundedMixIn(StrategyMixIn,
    strategy=BoundedThreads(limit=8))``. The strategy's fields become class attributes, which programs set on a
    class or a server as they do with those of ``ThreadingMixIn``.

    Args:
        strategy: With the values that hold where a class says nothing else. Not given: the base class's.
        names: Field → attribute, for the fields whose attribute is to be called otherwise.
    """

    _sockserve_row: ClassVar[Row | None] = None

    @override
    def __init_subclass__(
        cls, *, strategy: Strategy | None = None, names: Mapping[str, str] | None = None, **keywords: object
    ) -> None:
        super().__init_subclass__(**keywords)
        if strategy is not None:
            cls._sockserve_row = row = Row(strategy, names or {})
            for attribute, value in row.defaults().items():
                if attribute not in vars(cls):
                    setattr(cls, attribute, value)
        warn_if_shadowed(cls, StrategyMixIn)

    def process_request(self, request: Request, client_address: ClientAddress) -> None:
        """Hand the request to the strategy."""
        take_request(self, self._sockserve_row_of(), request, client_address)

    def process_request_thread(self, request: Request, client_address: ClientAddress) -> None:
        """Answer, where the strategy runs it; the handler's errors end here."""
        answer_in_thread(self, request, client_address)

    # Of its own also where the server class has them: a loop that does not know when the strategy is full would
    # accept, and then wait with what it has accepted.

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until ``shutdown``; while the strategy is full nothing is accepted, and the kernel queues."""
        serve_with(self._sockserve_row_of(), self, poll_interval)

    def handle_request(self) -> None:
        """Serve one request, when the strategy has room for it."""
        return serve_one(self)

    def shutdown(self) -> None:
        """
        Let ``serve_forever`` return, and wait until it has.

        Called in the thread that serves, where a table runs its requests, it only asks.
        """
        state = known_state(self)
        if state is not None and state.polls_here:
            cast("Polled", self)._BaseServer__shutdown_request = True
            state.wake()
        else:
            cast("ServerBase", super()).shutdown()

    def service_actions(self) -> None:
        """Give the strategy its turn."""
        run_ready(self)
        cast("ServerBase", super()).service_actions()

    def server_close(self) -> None:
        """Close the server, then wait for the requests in flight as the strategy's options say."""
        look_away(self)
        cast("ServerBase", super()).server_close()
        close_host(self)

    def _sockserve_row_of(self) -> Row:
        row = self._sockserve_row
        if row is None:
            raise TypeError(f"{type(self).__name__}: no strategy; derive from a mix-in made with one")
        return row


def mixin_for(
    strategy: Strategy, *, name: str | None = None, names: Mapping[str, str] | None = None
) -> type[StrategyMixIn]:
    """
    Make a mix-in from a strategy; where type checkers are to see it, derive from `StrategyMixIn` instead.

    Args:
        strategy: With the values that hold where a class says nothing else.
        name: Of the class; by default from the strategy's: ``FooStrategy`` gives ``FooMixIn``.
        names: Field → attribute, for the fields whose attribute is to be called otherwise.
    """
    called = name or type(strategy).__name__.removesuffix("Strategy") + "MixIn"
    made = types.new_class(called, (StrategyMixIn,), {"strategy": strategy, "names": names})
    return cast("type[StrategyMixIn]", made)
