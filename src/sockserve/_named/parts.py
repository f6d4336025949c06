"""Parts from their registered names and options as text: ``thread`` and ``daemon=true``."""

import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

import attrs

from ..abc import Strategy, Transport
from ..errors import OptionError
from .registry import STRATEGIES, TRANSPORTS, load, nearest
from .texts import Reader, read

__all__ = ("Option", "argument_docs", "make_strategy", "make_transport", "options_of", "read_option")

AnyTransport: TypeAlias = Transport[object, object]


@attrs.frozen
class Option:
    """
    One option of a class, as its attrs field says.

    Attributes:
        name: As it is written.
        kind: Its type.
        metadata: Of the field.
        default: `attrs.NOTHING` where it has to be given, `attrs.Factory` where it is made.
        positional: Whether it comes first, without its name.
    """

    name: str
    kind: object
    metadata: Mapping[object, object]
    default: object
    positional: bool


def options_of(part: object) -> dict[str, Option]:
    """Return the options of a class by their names; none where it is no attrs class."""
    if not isinstance(part, type) or not attrs.has(part):
        return {}
    try:
        hints = typing.get_type_hints(part)
    except NameError:  # a type that is imported for type checkers only: such an option is a reference
        hints = {}
    return {
        field.alias: Option(
            field.alias,
            hints.get(field.name, field.type),
            field.metadata,
            field.default,
            positional=not field.kw_only,
        )
        for field in attrs.fields(part)
        if field.init and field.alias is not None
    }


def read_option(option: Option, text: str) -> object:
    """
    Read the value of *option*.

    Raises:
        OptionError: It does not fit; the text says what does.
    """
    try:
        return read(option.kind, option.metadata, text, _PARTS)
    except OptionError:
        raise
    except ValueError as error:
        raise OptionError(f"{option.name} must be {error}, not {text!r}") from None


def make_strategy(name: str, settings: Iterable[str] = ()) -> Strategy:
    """
    Make the strategy *name*, with *settings* such as ``workers=4``; ``inner.workers=4`` is one of an inner one.

    Raises:
        OptionError: There is no such strategy or option, or the value does not fit.
    """
    return cast("Strategy", _make(load(STRATEGIES, name), f"the strategy {name}", _split(settings)))


def make_transport(name: str, address: str, settings: Iterable[str] = ()) -> AnyTransport:
    """
    Make the transport *name* for *address*, which is its first option, as `make_strategy` does.

    Raises:
        OptionError: There is no such transport or option, or the value does not fit.
    """
    part = load(TRANSPORTS, name)
    first = next((option for option in options_of(part).values() if option.positional), None)
    if first is None:
        raise OptionError(f"the transport {name} cannot be made from an address: its class has no first option")
    values = {first.name: address, **_split(settings)}
    return cast("AnyTransport", _make(part, f"the transport {name}", values))


def _split(settings: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise OptionError(f"{setting!r} is not of the form name=value")
        if name in found:
            raise OptionError(f"{name} is set twice: {found[name]!r} and {text!r}")
        found[name] = text
    return found


def _make(part: object, what: str, texts: Mapping[str, str]) -> object:
    if not callable(part):
        raise OptionError(f"{what} is registered as {part!r}, which is no class")
    known = options_of(part)
    own: dict[str, str] = {}
    inner: dict[str, dict[str, str]] = {}
    for name, text in texts.items():
        head, dot, rest = name.partition(".")
        if head not in known:
            some = nearest(head, known) if known else "; it has none"
            raise OptionError(f"{what} has no option {head!r}{some}")
        if dot:
            inner.setdefault(head, {})[rest] = text
        else:
            own[head] = text
    values = {name: read_option(known[name], text) for name, text in own.items()}
    for head, rest_of in inner.items():
        values[head] = _refined(known[head], own.get(head), what, rest_of)
    for name, option in known.items():
        if name not in values and option.default is attrs.NOTHING:
            raise OptionError(f"{what} has to be given its option {name!r}: say {name}=..., too")
    return part(**values)


def _refined(option: Option, name: str | None, what: str, texts: Mapping[str, str]) -> object:
    """Make the strategy within another, with options of its own."""
    if option.kind is not Strategy:
        raise OptionError(f"{what}: {option.name} has no options of its own")
    if name is None:
        raise OptionError(f"{what}: say which strategy {option.name} is, too, such as {option.name}=thread-pool")
    return _make(load(STRATEGIES, name), f"the strategy {name}", texts)


_PARTS: dict[object, Reader] = {Strategy: make_strategy}


def argument_docs(part: object) -> dict[str, str]:
    """Return what the class's docstring says of each argument (its section ``Args``), in one paragraph each."""
    lines = (inspect.getdoc(part) or "").partition("\nArgs:\n")[2].splitlines()
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if line and not line.startswith(" "):
            break  # the next section
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = text.partition(": ")
        if name and text:
            found[name] = f"{found[name]} {text}" if name in found else text
    return found
