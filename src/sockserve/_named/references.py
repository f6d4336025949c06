"""What ``module:attribute`` stands for, and what is wrong with it where it stands for nothing."""

import importlib
import importlib.util
import os
import pkgutil
import traceback
from types import ModuleType

from ..errors import OptionError
from .registry import nearest

__all__ = ("resolve",)


def resolve(reference: str) -> object:
    """
    Import *reference*, such as ``http.server:SimpleHTTPRequestHandler``.

    Raises:
        OptionError: It is written otherwise, or there is no such module or attribute, or the module cannot be
            imported. The text is one line; the error of an import is its ``__cause__``.
    """
    name, colon, path = reference.partition(":")
    if not colon or not name or not path:
        raise OptionError(f"{reference!r} is not of the form module:attribute{_meant(reference)}")
    if name.endswith(".py") or os.sep in name:
        raise OptionError(f"{reference!r} names a file; a module is meant, such as {_as_module(name)}:{path}")
    found: object = _import(name)
    where = name
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = [each for each in dir(found) if not each.startswith("_")]
            raise OptionError(f"{where} has no {part!r}{_nearest_few(part, there)}") from None
        where = f"{where}.{part}"
    return found


def _meant(reference: str) -> str:
    """Guess at what was meant by a reference that has no colon."""
    if reference.endswith(".py") or os.sep in reference:
        return f", such as {_as_module(reference)}:Handler"
    module, dot, attribute = reference.rpartition(".")
    if dot and module and attribute and ":" not in reference:
        return f"; did you mean {module}:{attribute}?"
    return ", such as app:Handler"


def _as_module(path: str) -> str:
    return os.path.normpath(path).removesuffix(".py").replace(os.sep, ".").lstrip(".") or "app"


def _nearest_few(word: str, there: list[str]) -> str:
    """Name the nearest; all there are only where these are few."""
    said = nearest(word, there)
    return said if len(there) <= 12 or "did you mean" in said else ""


def _import(name: str) -> ModuleType:
    parent, _, _ = name.rpartition(".")
    inside = _import(parent) if parent else None
    try:
        missing = importlib.util.find_spec(name) is None
    except (ImportError, ValueError):  # a parent that is no package; __main__ without a specification
        missing = True
    if missing:
        raise OptionError(_missing(name, inside))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise OptionError(f"{name} cannot be imported: {_said(error)}") from error


def _missing(name: str, inside: ModuleType | None) -> str:
    parent, _, last = name.rpartition(".")
    if inside is None:
        there = [info.name for info in pkgutil.iter_modules([os.getcwd()])]
        return f"there is no module {name!r}, neither here nor installed{_nearest_few(last, there)}"
    paths = getattr(inside, "__path__", None)
    if paths is None:
        return f"there is no module {name!r}: {parent} is a module and no package"
    return (
        f"{parent} has no module {last!r}{_nearest_few(last, [info.name for info in pkgutil.iter_modules(paths)])}"
    )


def _said(error: BaseException) -> str:
    """Give an error of an import in one line, with the place that raised it."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    frames = [frame for frame in frames if frame.filename != __file__]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
