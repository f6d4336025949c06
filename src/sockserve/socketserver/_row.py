"""What a mix-in says of its strategy: where its options are, and how it is started."""

import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from ..abc import Loop, Runner, Strategy
from ._job import Face

__all__ = ("Row", "start_anew")

#: Makes the runner for a strategy, and is given the one before, if the options of a server that serves changed.
Start: TypeAlias = Callable[[Strategy, Loop, Face, Runner | None], Runner]


def start_anew(strategy: Strategy, loop: Loop, face: Face, before: Runner | None) -> Runner:
    """Start a strategy; what was submitted to the runner before stays there until the server is closed."""
    return strategy.start(loop, face)


class Row:
    """
    A strategy, and the class attributes that stand for its fields.

    Args:
        strategy: With the values that hold where a class says nothing else.
        names: Field → attribute, for the fields whose documented attribute is called otherwise.
        start: Makes the runner.
        fixed: The strategy is one with its values: no attribute stands for a field.
    """

    def __init__(
        self,
        strategy: Strategy,
        names: Mapping[str, str] | None = None,
        start: Start = start_anew,
        *,
        fixed: bool = False,
    ) -> None:
        self.strategy = strategy
        self.start = start
        kind = type(strategy)
        self.fields: tuple[str, ...] = (
            tuple(each.name for each in attrs.fields(kind) if each.init) if attrs.has(kind) and not fixed else ()
        )
        self.attributes = tuple((names or {}).get(field, field) for field in self.fields)
        self._read: Callable[[object], object] = operator.attrgetter(*self.attributes) if self.fields else type
        self._make: Callable[..., Strategy] = kind  # type: ignore[explicit-any]  # of whatever fields

    def defaults(self) -> dict[str, object]:
        """Return the class attributes and their values."""
        values = (getattr(self.strategy, field) for field in self.fields)
        return dict(zip(self.attributes, values, strict=True))

    def read(self, server: object) -> object:
        """Return the present values of all attributes as one value: to see whether something was changed."""
        return self._read(server)

    def strategy_for(self, server: object) -> Strategy:
        """Return the strategy with the fields that the server's attributes say."""
        changes = {}
        for field, attribute in zip(self.fields, self.attributes, strict=True):
            changes[field] = _as_option(getattr(self.strategy, field), getattr(server, attribute))
        if not changes:
            return self.strategy
        return self._make(**changes)


def _as_option(default: object, value: object) -> object:
    """Take what class attributes are in use for: 0 and 1 for a bool, a large or infinite number for no limit."""
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, int) and isinstance(value, int | float):
        return int(min(value, 2**31 - 1))
    return value
