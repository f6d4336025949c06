"""Values of options from text, by the types of their fields."""

import enum
import os
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, Union, get_args, get_origin

from .._validators import TEXT
from ..addresses import InetAddress
from ..errors import OptionError
from .references import resolve

__all__ = ("Reader", "inet_address", "members", "read")

#: Reads a value from text. Raises ValueError, whose text says what fits: "a whole number".
Reader: TypeAlias = Callable[[str], object]


def inet_address(text: str) -> InetAddress:
    """
    Read ``host:port``, ``[::1]:port`` or ``:port``.

    Raises:
        ValueError: It is none of them; the text says what fits.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or bracketed != (":" in bare):
        raise ValueError("host:port, such as 127.0.0.1:9000, [::1]:9000, or :9000 for every interface")
    return InetAddress(bare, int(port))


def _boolean(text: str) -> bool:
    word = text.casefold()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    raise ValueError("true or false")


def _integer(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _none(text: str) -> None:
    if text.casefold() != "none":
        raise ValueError("none")


def _bytes(text: str) -> bytes:
    r"""Read text that may have the escapes of a bytes literal: ``busy\r\n``."""
    try:
        return text.encode().decode("unicode_escape").encode("latin-1")
    except ValueError:
        raise ValueError(r"text, with \n and \xff for what cannot be typed") from None


def _reference(text: str) -> object:
    if ":" not in text:
        raise ValueError("something to import, as module:attribute")
    return resolve(text)


_SCALARS: dict[object, Reader] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: str,
    bytes: _bytes,
    Path: Path,
    os.PathLike: Path,
    types.NoneType: _none,
    InetAddress: inet_address,
}


def read(kind: object, metadata: Mapping[object, object], text: str, more: Mapping[object, Reader]) -> object:
    """
    Read a value of the type *kind* from *text*.

    Args:
        kind: The type of the field. What is not known here is imported, as ``module:attribute``.
        metadata: Of the field: what it has at `TEXT` reads it, before the type is asked.
        text: As it was written.
        more: Further types, and what reads each.

    Raises:
        ValueError: It does not fit; the text says what does.
        OptionError: Nothing can be imported by it.
    """
    own = metadata.get(TEXT)
    if callable(own):
        return None if text.casefold() == "none" and _may_be_none(kind) else own(text)
    expected: list[str] = []
    for reader in _readers(kind, more):
        try:
            return reader(text)
        except OptionError:
            raise
        except ValueError as error:
            expected.append(str(error))
    raise ValueError(" or ".join(dict.fromkeys(expected)))


def _may_be_none(kind: object) -> bool:
    return types.NoneType in get_args(kind)


def _readers(kind: object, more: Mapping[object, Reader]) -> Iterable[Reader]:
    """What may read a value of the type, the strictest first: a str or bytes takes anything."""
    found = [_reader(each, more) for each in members(kind)]
    ranks: dict[Reader, int] = {_none: 0, _boolean: 1, _integer: 2, _number: 3, _reference: 5, _bytes: 6, str: 7}
    return sorted(dict.fromkeys(found), key=lambda reader: ranks.get(reader, 4))


def members(kind: object) -> tuple[object, ...]:
    """Return the types of a union; any other type by itself."""
    if get_origin(kind) in {Union, types.UnionType}:
        return get_args(kind)
    return (kind,)


def _reader(kind: object, more: Mapping[object, Reader]) -> Reader:
    origin = get_origin(kind)
    if kind in more:
        return more[kind]
    if kind in _SCALARS or origin in _SCALARS:
        return _SCALARS[kind if kind in _SCALARS else origin]
    if origin is Literal:
        return _choice({str(value): value for value in get_args(kind)})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice({member.name.casefold(): member for member in kind})
    if origin is tuple and get_args(kind) == (str, int):
        return inet_address
    return _reference


def _choice(choices: Mapping[str, object]) -> Reader:
    def choose(text: str) -> object:
        if text.casefold() not in choices:
            raise ValueError(" or ".join(choices))
        return choices[text.casefold()]

    return choose
