"""The rounds: everybody in turns, within the time."""

from collections.abc import Callable, Sequence

import attrs

from ..measure import BenchmarkError
from .budget import Budget, Share
from .entries import Entry
from .measuring import Measure, TimeOverError
from .results import Results

__all__ = ("Run",)

#: Failures of a contestant under one load after which it is not tried again.
_GIVEN_UP = 2


@attrs.define
class Run:
    """
    All rounds.

    Args:
        rounds: How many.
        budget: The time.
        measure: Measures once.
        say: Is told what happens.
    """

    rounds: int
    budget: Budget
    measure: Measure
    say: Callable[[str], object]

    def __call__(self, entries: Sequence[Entry], results: Results) -> None:
        """
        Measure round by round; within a round, load by load, everybody who takes part, one after the other.

        What else the machine does meets all alike. Each round begins with another contestant.
        """
        results.cells = [entry.cell for entry in entries]
        for entry in entries:
            if entry.cell.skipped is not None:
                self.say(f"{entry.name}: skipped: {entry.cell.skipped}")
        todo = [(number, entry) for number in range(self.rounds) for entry in turns(entries, number)]
        while todo:
            number, entry = todo[0]
            share = self.budget.share(entry, [later for _, later in todo[1:]])
            if share is None or not self._once(number, entry, share):
                results.remarks.append(f"the time was over in round {number + 1}; measurements left: {len(todo)}")
                self.say(results.remarks[-1])
                return
            todo = [(later, entry) for later, entry in todo[1:] if len(entry.cell.failures) < _GIVEN_UP]

    def _once(self, number: int, entry: Entry, share: Share) -> bool:
        """Measure; return False if the time is over."""
        name = f"round {number + 1}: {entry.name}"
        known = entry.cell.summary("throughput")
        began = self.budget.clock()
        try:
            sample = self.measure(entry, share, None if known is None else known.median)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are measured
            if isinstance(error, TimeOverError) and share.last:
                return False
            entry.cell.failures.append(f"round {number + 1}: {_text(error)}")
            self.say(f"{name}: FAILED: {_text(error)}")
        else:
            entry.cell.samples.append(sample)
            self.say(f"{name}: " + ", ".join(f"{measure} {value:,.2f}" for measure, value in sample.items()))
            self.budget.took(entry, self.budget.clock() - began - share.seconds)
        return True


def _text(error: Exception) -> str:
    """Return what went wrong, in one line."""
    said = str(error) if isinstance(error, BenchmarkError) else repr(error)
    return " ".join(said.split())


def turns(entries: Sequence[Entry], number: int) -> list[Entry]:
    """Return what is measured in one round, in order."""
    order = []
    for scenario in dict.fromkeys(entry.scenario for entry in entries):
        here = [entry for entry in entries if entry.scenario == scenario and entry.cell.skipped is None]
        if here and (scenario.rounds is None or number < scenario.rounds):
            first = number % len(here)
            order += here[first:] + here[:first]
    return order
