"""Validators and converters of options: each error names the class, the field, the value and what fits."""

import math
from collections.abc import Callable
from typing import TypeVar

import attrs

from .errors import OptionError, OptionTypeError

__all__ = ("TEXT", "boolean", "callable_or_none", "count", "fail", "fail_type", "octal", "seconds")

#: Where the metadata of an attrs field may have a function that reads its value from text, for the command line:
#: called with the text, raising ValueError with what fits. Needed only where the field's type does not say how.
TEXT = "sockserve.text"

T = TypeVar("T")


def fail(owner: object, name: str, value: object, expected: str) -> OptionError:
    """Make the error for a value that is of the right type and cannot work."""
    return OptionError(f"{_label(owner)}: {name} must be {expected}, not {value!r}")


def fail_type(owner: object, name: str, value: object, expected: str) -> OptionTypeError:
    """Make the error for a value of the wrong type."""
    return OptionTypeError(f"{_label(owner)}: {name} must be {expected}, not {value!r} (a {type(value).__name__})")


def _label(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__


def boolean(owner: object, attribute: "attrs.Attribute[bool]", value: object) -> None:
    """Accept True and False only: 0 and "no" are mistakes more often than not."""
    if not isinstance(value, bool):
        raise fail_type(owner, attribute.name, value, "True or False")


def count(low: int, high: int = 2**31 - 1) -> Callable[[object, "attrs.Attribute[int]", object], None]:
    """Accept whole numbers from *low* to *high*."""
    expected = f"a whole number from {low} to {high}"

    def validate(owner: object, attribute: "attrs.Attribute[int]", value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise fail_type(owner, attribute.name, value, expected)
        if not low <= value <= high:
            raise fail(owner, attribute.name, value, expected)

    return validate


def seconds(owner: object, name: str, value: object, *, zero: bool = True) -> None:
    """Accept a finite number of seconds, not negative, and above 0 unless *zero*."""
    expected = "seconds, a finite number " + ("not below 0" if zero else "above 0")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise fail_type(owner, name, value, expected)
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise fail(owner, name, value, expected)


def optional_seconds(owner: object, name: str, value: object) -> None:
    """Accept None or a finite number of seconds, not negative."""
    if value is not None:
        seconds(owner, name, value)


def callable_or_none(owner: object, attribute: "attrs.Attribute[T]", value: T) -> None:
    """Accept None and whatever can be called."""
    if value is not None and not callable(value):
        raise fail_type(owner, attribute.name, value, "something callable, or None")


def octal(text: str) -> int:
    """Read permission bits, which nobody writes in decimal: ``660``, ``0660``, ``0o660``."""
    digits = text.lower().removeprefix("0o")
    if not digits or set(digits) - set("01234567"):
        raise ValueError("permission bits in octal, such as 660")
    return int(digits, 8)
