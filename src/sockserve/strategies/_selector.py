"""All requests in the loop's thread, parked in a table while they wait."""

import importlib
from typing import TYPE_CHECKING

import attrs

from .._validators import seconds
from ..abc import Core, Loop

if TYPE_CHECKING:
    from .._table.runner import TableRunner

__all__ = ("SelectorStrategy",)

#: What `SelectorStrategy.start` imports, and with it greenlet.
_RUNNER = f"{__name__.partition('.')[0]}._table.runner"


def _slow(owner: object, attribute: "attrs.Attribute[float]", value: object) -> None:
    seconds(owner, attribute.name, value, zero=False)


@attrs.frozen(kw_only=True)
class SelectorStrategy:
    """
    Run all requests in the thread that serves; one that has to wait is parked, and the others go on.

    Handlers are the same as under threads: the socket that they are given parks the request where it would block.
    What else they wait for has to park too: `cooperative` for sockets that they open, `sleep`, `Lock`, `Event` and
    `Queue`. A handler that computes, or waits for anything else, holds all others meanwhile.

    When serving stops without a grace, requests in flight are ended: their waits raise `RequestAborted`.

    Args:
        slow: Seconds that a handler may hold the thread without being reported (`HandlerSlow`). 0.1: what a user
            notices.

    Raises:
        OptionError: ``slow`` is not above 0, or not finite.
        OptionTypeError: ``slow`` is no number.
    """

    slow: float = attrs.field(default=0.1, validator=_slow)

    def load(self) -> None:
        """See `sockserve.abc.LoadingStrategy`."""
        importlib.import_module(_RUNNER)

    def start(self, loop: Loop, core: Core, /) -> "TableRunner":
        """Make the runner of one server. Only here greenlet is imported."""
        from .._table.runner import TableRunner  # noqa: PLC0415 - a program without a table is not to load greenlet

        return TableRunner(self.slow, loop, core)
