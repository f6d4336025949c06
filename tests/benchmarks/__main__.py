"""The command: ``PYTHONPATH=tests python -m benchmarks``. See README.md beside this file."""

import argparse
import fnmatch
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from .cases import Case, all_cases
from .loads import missing
from .measure import BenchmarkError, Pair, interleave
from .probes import IdleProbe, LoadProbe
from .report import Result, table, write_json
from .servers import lacking


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Compare sockserve with the standard library's socketserver."
    )
    parser.add_argument("--rounds", type=_positive, default=7, help="pairs of measurements (%(default)s)")
    parser.add_argument("--requests", type=_positive, default=6000, help="requests of a run (about %(default)s)")
    parser.add_argument(
        "--only", action="append", metavar="CASE", help="run this case, or those that match; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write everything that was measured")
    parser.add_argument("--list", action="store_true", help="name the cases")
    return parser


def _chosen(cases: Sequence[Case], patterns: Sequence[str] | None) -> list[Case]:
    if patterns is None:
        return list(cases)
    return [case for case in cases if any(fnmatch.fnmatchcase(case.name, pattern) for pattern in patterns)]


def _run(case: Case, rounds: int) -> Result | None:
    """Measure one case, or say why that is not possible."""
    if case.load is not None and missing(case.load):
        _say(f"{case.name}: skipped, there is no {case.load.tool} (Debian: apt install {case.load.package})")
        return None

    for probe in (case.ours, case.peer):
        needed = lacking(probe.server) if isinstance(probe, LoadProbe | IdleProbe) else None
        if needed is not None:
            _say(f"{case.name}: skipped, there is no {needed}")
            return None

    def progress(pair: Pair) -> None:
        ratios = ", ".join(f"{name} {value / pair.peer[name]:.3f}" for name, value in pair.ours.items())
        _say(f"{case.name}: {ratios}")

    return Result(case, interleave(case.ours, case.peer, case.rounds or rounds, progress))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _terminated(number: int, _frame: FrameType | None) -> None:
    """Leave by way of every ``finally``: no server stays behind."""
    sys.exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 if all that could run has run, and something has."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    cases = _chosen(all_cases(options.requests), options.only)
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        return 0
    results, failed = [], False
    for case in cases:
        try:
            result = _run(case, options.rounds)
        except BenchmarkError as error:
            _say(f"{case.name}: {error}")
            failed = True
        else:
            if result is not None:
                results.append(result)
    if not results:
        _say("nothing was measured")
        return 1
    print(table(results))
    if options.json is not None:
        write_json(options.json, results, {"rounds": options.rounds, "requests": options.requests})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
