"""The generated classes are what the table says, and nobody has touched them."""

from typing import Any

import attrs
import pytest

from sockserve import socketserver, strategies
from sockserve.socketserver import _generate, _table


def test_the_generated_module_is_up_to_date() -> None:
    """If not: ``python -m sockserve.socketserver._generate``."""
    assert _generate.TARGET.read_text() == _generate.generated_source()


@pytest.mark.parametrize("row", _table.STRATEGIES, ids=lambda row: row.prefix)
def test_every_combination_has_its_bases(row: _table.Strategies) -> None:
    """The mix-in first, then the server, and nothing of its own."""
    mixin = getattr(socketserver, f"{row.prefix}MixIn")
    for each in _table.SOCKETS:
        found = getattr(socketserver, f"{row.prefix}{each.server}")
        assert found.__bases__ == (mixin, getattr(socketserver, each.server))
        assert {name for name in vars(found) if not name.startswith("__")} == set()
        assert found.__name__ in socketserver.__all__


@pytest.mark.parametrize("row", _table.STRATEGIES, ids=lambda row: row.prefix)
def test_the_attributes_are_the_strategy_s_fields(row: _table.Strategies) -> None:
    """Under their documented names, with their defaults."""
    documented: dict[str, tuple[Any, dict[str, str]]] = {
        "Threading": (strategies.ThreadStrategy, {"daemon": "daemon_threads"}),
        "Forking": (strategies.ForkStrategy, {}),
        "Prefork": (strategies.PreforkStrategy, {}),
    }
    kind, names = documented.get(row.prefix) or (vars(strategies)[str(row.strategy)], row.names)
    mixin, default = getattr(socketserver, f"{row.prefix}MixIn"), kind()
    own: list[str] = [each.name for each in attrs.fields(kind)]
    fields = {names.get(field, field): getattr(default, field) for field in own}
    assert {name: getattr(mixin, name) for name in fields} == fields
    if row.attributes:
        assert fields.keys() == row.attributes.keys() == vars(mixin)["__annotations__"].keys()


def test_the_table_names_every_strategy_that_has_a_mixin() -> None:
    """A strategy that is added to the package is either in the table or said to be none of it."""
    # What the servers do by themselves; and what only serves handlers whose requests their methods do not answer.
    without = {"SyncStrategy", "ExecutorStrategy"}
    by_hand = {"_threading": "ThreadStrategy", "_forking": "ForkStrategy", "_preforking": "PreforkStrategy"}
    named = {row.strategy or by_hand[row.module or ""] for row in _table.STRATEGIES}
    assert named | without == set(strategies.__all__)
