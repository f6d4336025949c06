"""
Writes `_combinations.py` from the table: ``python -m sockserve.socketserver._generate``.

Source text, committed, rather than classes made at run time: so that type checkers and readers see every name.
"""

from collections.abc import Iterator
from pathlib import Path

from ._table import FORK, SOCKETS, STRATEGIES, UNIX, Sockets, Strategies

__all__ = ("TARGET", "generated_source")

#: The generated module.
TARGET = Path(__file__).with_name("_combinations.py")

_HEAD = '"""The servers of the table. Written by `_generate` from `_table`: not to be edited."""\n'

#: What a name may need, and thereby in which part of the module it stands.
_PARTS: tuple[tuple[str, ...], ...] = ((), (UNIX,), (FORK,), (UNIX, FORK))


def generated_source() -> str:
    """Return the text of the module."""
    return "\n".join([_HEAD, *(line for needs in _PARTS for line in _part(needs))]) + "\n"


def _part(needs: tuple[str, ...]) -> Iterator[str]:
    """Write the names that are there where the platform has *needs*, imports and all."""
    classes = [lines for row in STRATEGIES for lines in _classes(row, needs)]
    if not needs:
        yield from ("import os", "import socket", "import sys", "", *_imports(needs), "", *_all(needs))
        yield from (line for lines in classes for line in ("", "", *lines))
    else:
        lines = [*_imports(needs), "", *_all(needs), *(line for each in classes for line in ("", *each))]
        yield from ("", "", f"if {_condition(needs)}:", *(f"    {line}" if line else "" for line in lines))


def _imports(needs: tuple[str, ...]) -> Iterator[str]:
    """Import what stands in one part, and no other part can be sure of."""
    strategies = sorted(row.strategy for row in STRATEGIES if row.strategy and _needs(row) == needs)
    if strategies:
        yield f"from ..strategies import {', '.join(strategies)}"
    modules = {
        row.module: f"{row.prefix}MixIn"
        for row in STRATEGIES
        if row.module and (_needs(row) == needs or (row.needs and row.needs in needs))
    }
    servers = [each.server for each in SOCKETS if _needs(each) == needs or (each.needs and each.needs in needs)]
    modules["_servers"] = ", ".join(sorted(servers))
    if strategies:
        modules["_strategy_mixin"] = "StrategyMixIn"
    yield from (f"from .{module} import {names}" for module, names in sorted(modules.items()) if names)


def _names(needs: tuple[str, ...]) -> list[str]:
    names = [each.server for each in SOCKETS if _needs(each) == needs]
    for row in STRATEGIES:
        if _needs(row) == needs:
            names.append(f"{row.prefix}MixIn")
        names += [f"{row.prefix}{each.server}" for each in SOCKETS if _needs(row, each) == needs]
    return sorted(names)


def _needs(*rows: Sockets | Strategies) -> tuple[str, ...]:
    found = {row.needs for row in rows}
    return tuple(needs for needs in (UNIX, FORK) if needs in found)


def _all(needs: tuple[str, ...]) -> list[str]:
    return ["__all__ += [" if needs else "__all__ = [", *(f'    "{name}",' for name in _names(needs)), "]"]


def _condition(needs: tuple[str, ...]) -> str:
    """Join conditions, of which the first parts are the same."""
    first, *others = needs
    return " and ".join([first, *(other.removeprefix('sys.platform != "win32" and ') for other in others)])


def _classes(row: Strategies, needs: tuple[str, ...]) -> Iterator[list[str]]:
    if row.strategy and _needs(row) == needs:
        yield _mixin(row)
    for each in SOCKETS:
        if _needs(row, each) == needs:
            yield _combination(row, each)


def _mixin(row: Strategies) -> list[str]:
    names = f", names={_dict(row.names)}" if row.names else ""
    return [
        f"class {row.prefix}MixIn(StrategyMixIn, strategy={row.strategy}(){names}):",
        '    """',
        f"    Answer {row.how}: `sockserve.{row.strategy}`.",
        "",
        "    To be named before the server class.",
        '    """',
        "",
        *(f"    {attribute}: {kind}" for attribute, kind in row.attributes.items()),
    ]


def _dict(names: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{field}": "{attribute}"' for field, attribute in names.items()) + "}"


def _combination(row: Strategies, each: Sockets) -> list[str]:
    return [
        f"class {row.prefix}{each.server}({row.prefix}MixIn, {each.server}):",
        f'    """{each.what}, {row.how}."""',
    ]


if __name__ == "__main__":
    TARGET.write_text(generated_source())
