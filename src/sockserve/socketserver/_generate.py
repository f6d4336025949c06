"""
Writes `_combinations.py` from the table: ``python -m sockserve.socketserver._generate``.

Source text, committed, rather than classes made at run time: so that type checkers and readers see every name.
"""

from collections.abc import Iterable, Iterator
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
    parts = (line for needs in _PARTS for line in _part(needs))
    return "\n".join([_HEAD, *_imports(), "", *_all(), *parts]) + "\n"


def _imports() -> Iterator[str]:
    yield from ("import os", "import socket", "import sys", "")
    yield f"from ..strategies import {', '.join(sorted(row.strategy for row in STRATEGIES if row.strategy))}"
    yield f"from ._servers import {', '.join(sorted(each.server for each in SOCKETS if not each.needs))}"
    yield "from ._strategy_mixin import StrategyMixIn"
    yield from _mixin_imports(None)
    for needs in (UNIX, FORK):
        yield f"\nif {needs}:"
        servers = sorted(each.server for each in SOCKETS if each.needs == needs)
        if servers:
            yield f"    from ._servers import {', '.join(servers)}"
        yield from (f"    {line}" for line in _mixin_imports(needs))


def _mixin_imports(needs: str | None) -> Iterator[str]:
    for row in STRATEGIES:
        if row.module and row.needs == needs:
            yield f"from .{row.module} import {row.prefix}MixIn"


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


def _all() -> Iterator[str]:
    for needs in _PARTS:
        names = [f'    "{name}",' for name in _names(needs)]
        lines = ["__all__ += [" if needs else "__all__ = [", *names, "]"]
        yield from _under(needs, lines)


def _under(needs: tuple[str, ...], lines: Iterable[str]) -> Iterator[str]:
    """Put *lines* under their condition, where they have one."""
    if not needs:
        yield from lines
        return
    yield f"if {_condition(needs)}:"
    yield from (f"    {line}" if line else "" for line in lines)


def _condition(needs: tuple[str, ...]) -> str:
    """Join conditions, of which the first parts are the same."""
    first, *others = needs
    return " and ".join([first, *(other.removeprefix('sys.platform != "win32" and ') for other in others)])


def _part(needs: tuple[str, ...]) -> Iterator[str]:
    classes = [lines for row in STRATEGIES for lines in _classes(row, needs)]
    if needs:
        yield from ("", "", *_under(needs, (line for lines in classes for line in ("", *lines))))
    else:
        yield from (line for lines in classes for line in ("", "", *lines))


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
