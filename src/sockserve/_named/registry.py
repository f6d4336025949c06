"""
Strategies and transports by name: what packages have registered as entry points, this one among them.

Nothing here knows the built-in parts. They are named in pyproject.toml, in the same two groups as anybody's, so
that a part from elsewhere is on the command line like one of ours.
"""

import difflib
from collections.abc import Iterable
from importlib import metadata

from ..errors import OptionError

__all__ = ("STRATEGIES", "TRANSPORTS", "load", "names", "nearest")

#: The groups of entry points: each name is loaded to a class of strategies, or of transports.
STRATEGIES = "sockserve.strategies"
TRANSPORTS = "sockserve.transports"

_WHAT = {STRATEGIES: "strategy", TRANSPORTS: "transport"}


def names(group: str) -> list[str]:
    """Return what is registered in *group*, sorted. Nothing of it is imported."""
    return sorted(metadata.entry_points(group=group).names)


def load(group: str, name: str) -> object:
    """
    Import what is registered as *name*.

    Raises:
        OptionError: There is no such name, two packages claim it, or its package cannot be imported.
    """
    found = metadata.entry_points(group=group, name=name)
    if not found:
        there = names(group)
        if not there:
            raise OptionError(f"no {_WHAT[group]} is registered: install sockserve again, its metadata is too old")
        raise OptionError(f"there is no {_WHAT[group]} {name!r}{nearest(name, there)}")
    values = {entry.value for entry in found}
    if len(values) > 1:
        claims = " and ".join(sorted(values))
        raise OptionError(f"the {_WHAT[group]} {name!r} is claimed by {claims}: uninstall one of the packages")
    try:
        return next(iter(found)).load()
    except Exception as error:
        raise OptionError(f"the {_WHAT[group]} {name!r} cannot be imported: {error!r}") from error


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the *known* words was probably meant by *word*, or which there are; to append to a sentence."""
    there = sorted(known)
    close = difflib.get_close_matches(word.casefold(), {name.casefold(): name for name in there}, n=1, cutoff=0.6)
    if close:
        meant = next(name for name in there if name.casefold() == close[0])
        return f"; did you mean {meant!r}?"
    return f"; there are {', '.join(there)}" if there else ""
