"""``sockserve list``: what can be named, with its options, as their classes say."""

import inspect
import textwrap

import attrs

from .._named.parts import Option, argument_docs, options_of
from .._named.registry import STRATEGIES, TRANSPORTS, load, names
from ..errors import OptionError

__all__ = ("listing",)

_WIDTH = 100


def listing() -> str:
    """Return the text: each strategy and transport, what it does, and its options with their defaults."""
    lines = ["Strategies (--strategy NAME --set OPTION=VALUE):", ""]
    for name in names(STRATEGIES):
        lines += _part(STRATEGIES, name, name)
    lines += ["Transports (--NAME ADDRESS,OPTION=VALUE):", ""]
    for name in names(TRANSPORTS):
        lines += _part(TRANSPORTS, name, f"--{name}")
    return "\n".join(lines)


def _part(group: str, name: str, title: str) -> list[str]:
    try:
        part = load(group, name)
    except OptionError as error:
        return [f"  {title}", f"      {error}", ""]
    first = (inspect.getdoc(part) or "").split("\n\n")[0]
    docs = argument_docs(part)
    lines = [f"  {title}", *_wrapped(first, 6)]
    for option in options_of(part).values():
        if not option.positional or group == STRATEGIES:
            lines += [f"      {option.name}{_default(option)}", *_wrapped(docs.get(option.name, ""), 10)]
    return [*lines, ""]


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text.replace("``", ""), _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent
    )


def _default(option: Option) -> str:
    if option.default is attrs.NOTHING:
        return ", which has to be given"
    if isinstance(option.default, attrs.Factory):  # type: ignore[arg-type]
        return ""
    return f" = {str(option.default).lower()}"
