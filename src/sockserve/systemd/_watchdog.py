"""Telling systemd that the loop turns (sd_watchdog_enabled(3))."""

import os
from time import monotonic
from typing import Self

import attrs

from .._validators import seconds
from ..errors import OptionError
from ._notify import Notifier

__all__ = ("Watchdog",)


def _check_seconds(owner: object, attribute: "attrs.Attribute[float]", value: object) -> None:
    seconds(owner, attribute.name, value, zero=False)


@attrs.define(eq=False)
class Watchdog:
    """
    Tells systemd that the loop turns, for services with ``WatchdogSec=``: one that hangs is killed and restarted.

    Call it from the loop, as ``Server(..., service_actions=watchdog)``. It tells at every half of the time, and
    costs a look at the clock otherwise. ``serve_forever`` calls it every ``poll_interval`` seconds, 0.5 by
    default, which is enough for ``WatchdogSec=2`` and more; for less give it a quarter of that time. Under
    `PreforkStrategy` it is called in the workers: the unit then needs ``NotifyAccess=all``.

    Args:
        seconds: How long systemd waits for a word.
        notifier: Who is told.

    Raises:
        OptionError: ``seconds`` is not above 0, or not finite.
    """

    seconds: float = attrs.field(validator=_check_seconds)
    notifier: Notifier = attrs.field(factory=Notifier)
    _last: float | None = attrs.field(init=False, default=None)

    @classmethod
    def from_environment(cls) -> Self | None:
        """
        Make the one that systemd asks this process for (``WATCHDOG_USEC``); None where it asks for none.

        Raises:
            OptionError: What the environment says is no time.
        """
        said = os.environ.get("WATCHDOG_USEC")
        if said is None or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        if not (said.isascii() and said.isdigit() and int(said)):
            raise OptionError(f"WATCHDOG_USEC must be microseconds, above 0, not {said!r}; systemd sets it")
        return cls(int(said) / 1e6)

    def __call__(self) -> None:
        """Tell, if half of the time has passed since the last time."""
        now = monotonic()
        if self._last is None or now - self._last >= self.seconds / 2:
            self._last = now
            self.notifier.watchdog()
