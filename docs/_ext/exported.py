"""What the package makes public, and where the reference shows it: nothing here needs Sphinx."""

import importlib
import inspect

PACKAGE = "sockserve"

#: Bases that say nothing of what a class is for.
_SILENT = {"object", "Generic", "Protocol"}


def shortest(module: str, name: str) -> str:
    """Say by which module *name* is imported: by the package, if that has the same thing."""
    package = importlib.import_module(PACKAGE)
    found = getattr(importlib.import_module(module), name)
    return PACKAGE if getattr(package, name, None) is found and name in package.__all__ else module


def own(module: str) -> list[str]:
    """List what a module makes public, without the classes and functions that it has from another one."""
    loaded = importlib.import_module(module)
    return [
        name
        for name in loaded.__all__
        if kind(found := getattr(loaded, name)) == "autodata" or inside(found, module)
    ]


def inside(found: object, module: str) -> bool:
    """Whether a class or a function is a module's own, or comes from within its package."""
    return f"{getattr(found, '__module__', None)}.".startswith(f"{module}.")


def kind(found: object) -> str:
    """Say which directive of autodoc shows it."""
    if inspect.isclass(found):
        return "autoexception" if issubclass(found, BaseException) else "autoclass"
    return "autofunction" if inspect.isfunction(found) else "autodata"


def derived(found: type) -> bool:
    """Whether its bases tell a reader something."""
    return any(base.__name__ not in _SILENT for base in found.__bases__)
