"""The command: ``PYTHONPATH=tests python -m benchmarks.field``. See README.md beside the package."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..probes import raise_limit
from .budget import Budget
from .contestants import CONTESTANTS
from .entries import entered
from .machine import facts
from .measuring import measure
from .plot import plot
from .results import Results
from .running import Run
from .scenarios import SCENARIOS
from .tables import markdown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field", description="Measure sockserve and its peers side by side."
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="measurements of each (%(default)s)")
    parser.add_argument("--minutes", type=_some, default=20.0, help="the most that it may take (%(default)g)")
    parser.add_argument("--seconds", type=_some, default=10.0, help="the most of a load (%(default)g)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="a load, a contestant or LOAD/CONTESTANT; may hold *; repeat",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write field.json, field.md and field.svg there"
    )
    parser.add_argument("--note", default="", help="what a reader has to know first, in one line")
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="measure nothing: write from what was measured"
    )
    parser.add_argument("--list", action="store_true", help="name the loads and the contestants")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _some(text: str) -> float:
    number = float(text)
    if not 0 < number < 10_000:
        raise ValueError
    return number


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measured(options: argparse.Namespace) -> Results:
    deadline = time.monotonic() + 60 * options.minutes
    raise_limit()
    results = Results(
        machine=facts(), options={"rounds": options.rounds, "minutes": options.minutes}, note=options.note
    )
    run = Run(options.rounds, Budget(deadline, time.monotonic, most=options.seconds), measure, _say)
    try:
        run(entered(options.only), results)
    except KeyboardInterrupt:
        results.remarks.append("it was interrupted")
    return results


def _write(folder: Path, results: Results) -> None:
    (folder / "field.json").write_text(json.dumps(results.as_json(), indent=1, ensure_ascii=False) + "\n")
    (folder / "field.md").write_text(markdown(results))
    (folder / "field.svg").write_text(plot(results))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 if all that could be measured was, and something was."""
    options = _parser().parse_args(arguments)
    if options.list:
        print(*(scenario.name for scenario in SCENARIOS), "", *(who.name for who in CONTESTANTS), sep="\n")
        return 0
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # no server stays behind, and what there is is written
    if options.write is not None:
        options.write.mkdir(parents=True, exist_ok=True)  # now: what has been measured would be lost
    if options.render is not None:
        results = Results.from_json(json.loads(options.render.read_text()))
    else:
        results = _measured(options)
    if not any(cell.samples for cell in results.cells):
        _say("nothing was measured")
        return 1
    if options.write is not None:
        _write(options.write, results)
    else:
        print(markdown(results), end="")
    return int(results.failed())


if __name__ == "__main__":
    sys.exit(main())
