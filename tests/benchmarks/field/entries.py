"""Who takes part in what."""

import fnmatch
from collections.abc import Sequence

import attrs

from ..loads import missing
from ..probes import descriptors
from ..servers import lacking
from .contestants import CONTESTANTS, Contestant
from .results import Cell
from .scenarios import SCENARIOS, Scenario

__all__ = ("Entry", "entered")

#: Descriptors that a server or a load generator may have besides its connections.
_BESIDES = 100


@attrs.frozen
class Entry:
    """One contestant under one load, by the name of its server; and what is measured of it."""

    scenario: Scenario
    contestant: Contestant
    server: str
    cell: Cell

    @property
    def name(self) -> str:
        """For people, and for ``--only``."""
        return f"{self.scenario.name}/{self.contestant.name}"


def entered(patterns: Sequence[str] | None) -> list[Entry]:
    """
    Return all that can be measured, and all that cannot be measured here, with the reason.

    Args:
        patterns: Names of scenarios, of contestants, or scenario/contestant; may hold ``*``. None: all.
    """
    chosen = []
    for scenario in SCENARIOS:
        for contestant in CONTESTANTS:
            server = contestant.server(scenario.kind)
            if server is None:
                continue
            skipped = _obstacle(scenario, contestant, server)
            cell = Cell(scenario=scenario.name, contestant=contestant.name, skipped=skipped)
            entry = Entry(scenario, contestant, server, cell)
            if patterns is None or _matches((scenario.name, contestant.name, entry.name), patterns):
                chosen.append(entry)
    return chosen


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _obstacle(scenario: Scenario, contestant: Contestant, server: str) -> str | None:
    """Say why this cannot be measured here, if so."""
    if contestant.most is not None and scenario.connections > contestant.most:
        return contestant.why
    needed = lacking(server)
    if needed is not None:
        return f"there is no {needed}"
    if scenario.load is not None and missing(scenario.load):
        return f"there is no {scenario.load.tool} (Debian: apt install {scenario.load.package})"
    if scenario.connections + _BESIDES > (most := descriptors()):
        return f"a process may open {most} descriptors (ulimit -Hn)"
    return None
