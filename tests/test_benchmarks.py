"""The benchmarks: dividing the time, reading what load generators print, writing results, one measurement."""

import itertools
import json
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from benchmarks import load_dns, load_redis, load_wrk
from benchmarks.field.axes import Axis, apart, decades, short_number, steps, uncrowded
from benchmarks.field.budget import Budget, Share
from benchmarks.field.checks import check
from benchmarks.field.contestants import CONTESTANTS, Contestant
from benchmarks.field.drawing import COLOURS
from benchmarks.field.entries import Entry, entered
from benchmarks.field.measuring import TimeOverError
from benchmarks.field.plot import plot
from benchmarks.field.results import Cell, Results
from benchmarks.field.running import Run, turns
from benchmarks.field.scenarios import SCENARIOS, Scenario
from benchmarks.field.tables import markdown
from benchmarks.load_redis import RedisBenchmark
from benchmarks.measure import BenchmarkError, Outcome
from benchmarks.servers import SERVERS
from sockserve import BaseRequestHandler, InetAddress, Server, TcpTransport, ThreadStrategy

_SVG = "{http://www.w3.org/2000/svg}"

# What redis-benchmark 7, wrk 4.1 and dnsperf 2.10 print, with numbers of our own.

REDIS = """\
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"PING_MBULK","4000.50","1.100","0.200","0.900","2.500","3.250","9.000"
"""
OLD_REDIS = """\
"test","rps"
"PING_INLINE","120.00"
"""
WRK = """\
Running 2s test @ http://127.0.0.1:1/
  1 threads and 40 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.10ms    1.20ms  80.00ms   91.00%
    Req/Sec     8.00k     1.00k    9.00k    60.00%
  Latency Distribution
     50%  500.00us
     75%    1.36ms
     90%    3.78ms
     99%    1.50s{space}
  16000 requests in 2.00s, 2.21MB read
Requests/sec:   8000.25
Transfer/sec:      1.10MB
""".format(space=" ")  # a unit of one letter is followed by a space
DNSPERF = """\
[Status] Command line: dnsperf -v
{queries}
Statistics:

  Queries sent:         2000
  Queries completed:    {completed} (99.95%)
  Queries lost:         1 (0.05%)

  Run time (s):         0.100000
  Queries per second:   19990.500000

  Average Latency (s):  0.002 (min 0.001, max 0.003)
"""


def test_redis_benchmark_is_read() -> None:
    """Requests a second, and percentiles where it has them: it has since 6.2."""
    assert load_redis.parsed(REDIS, 700) == Outcome(700, 4000.5, 0.9, 3.25)
    assert load_redis.parsed(OLD_REDIS, 5) == Outcome(5, 120.0)
    assert load_redis.parsed(OLD_REDIS.replace("120.00", "inf"), 5) == Outcome(5, 5000.0)


@pytest.mark.parametrize(
    "output", ["", "Could not connect", REDIS + REDIS.splitlines()[1] + "\n", '"test","x"\n"a","b"\n']
)
def test_redis_benchmark_without_one_result_has_failed(output: str) -> None:
    """Whatever it printed instead is in the error."""
    with pytest.raises(BenchmarkError, match="no result"):
        load_redis.parsed(output, 1)


def test_wrk_is_read() -> None:
    """Its latencies have units of their own."""
    assert load_wrk.parsed(WRK) == Outcome(16000, 8000.25, 0.5, 1500.0)


@pytest.mark.parametrize(
    "line",
    [
        "  Socket errors: connect 0, read 0, write 0, timeout 3",
        "  Socket errors: connect 1, read 0, write 0, timeout 0",
        "  Non-2xx or 3xx responses: 12",
    ],
)
def test_wrk_with_errors_has_failed(line: str) -> None:
    """A request without its answer spoils the measurement."""
    with pytest.raises(BenchmarkError, match=line.split(":", maxsplit=1)[0].strip()):
        load_wrk.parsed(WRK.replace("Requests/sec", f"{line}\nRequests/sec"))


def test_dnsperf_is_read() -> None:
    """Its statistics, and what it says of each query."""
    queries = "> NOERROR host1.example A 0.003000\n> T host2.example\n> NOERROR host3.example A 0.000250"
    output = DNSPERF.format(queries=queries, completed=1999)
    assert load_dns.parsed(output) == Outcome(1999, 19990.5)
    assert load_dns.latencies(output) == pytest.approx([0.25, 3.0])


def test_dnsperf_with_lost_queries_has_failed() -> None:
    """More than one in a thousand."""
    with pytest.raises(BenchmarkError, match="3 of 2000 queries were lost"):
        load_dns.parsed(DNSPERF.format(queries="", completed=1997))


def test_percentiles_are_values_that_were_measured() -> None:
    """The least that so many do not exceed."""
    hundred = [float(number) for number in range(1, 101)]
    assert [load_dns.percentile(percent, hundred) for percent in (50, 99)] == [50.0, 99.0]
    assert load_dns.percentile(99, [7.0]) == 7.0


# The field: who takes part, in which order, for how long.


def test_each_server_of_the_field_belongs_to_a_contestant() -> None:
    """Names are unique, and each contestant takes part in something."""
    assert len({who.name for who in CONTESTANTS}) == len(CONTESTANTS)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    kinds = {scenario.kind for scenario in SCENARIOS}
    for who in CONTESTANTS:
        assert any(who.server(kind) in SERVERS for kind in kinds), who
        assert who.family in COLOURS


def test_only_names_loads_contestants_or_both() -> None:
    """As the shell's patterns."""
    assert [entry.name for entry in entered(["kept-50/gevent", "dns/*-sync"])] == [
        "kept-50/gevent", "dns/sockserve-sync", "dns/stdlib-sync",
    ]  # fmt: skip
    assert {entry.contestant.name for entry in entered(["trio"])} == {"trio"}
    assert len(entered(None)) > len(entered(["kept-*"])) > 0


def test_what_cannot_keep_its_clients_says_so() -> None:
    """A pool of 64 workers has no place for 500 connections."""
    assert entered(["kept-500/sockserve-pool"])[0].cell.skipped == "its 64 workers have a connection each"
    assert "process" in (entered(["idle/stdlib-fork"])[0].cell.skipped or "")


class Clock:
    """Tells the time, which passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _scenario(name: str, *, least: float = 0.25, overhead: float = 2.0, rounds: int | None = None) -> Scenario:
    load = RedisBenchmark() if least else None
    return Scenario(
        name=name,
        title=name,
        kind="kept",
        load=load,
        least=least,
        overhead=overhead,
        rounds=rounds,
        connections=50,
    )


def _entry(scenario: Scenario, name: str) -> Entry:
    contestant = Contestant(name=name, label=name, short=name, family="trio")
    return Entry(scenario, contestant, "", Cell(scenario=scenario.name, contestant=name))


def test_a_round_is_everybody_in_turns() -> None:
    """Load by load; the next round begins with the next contestant; long loads have fewer rounds."""
    load, long = _scenario("load"), _scenario("long", rounds=1)
    entries = [*(_entry(load, name) for name in "abc"), _entry(long, "a")]
    entries[1].cell.skipped = "no b"
    orders = [[entry.name for entry in turns(entries, number)] for number in range(3)]
    assert orders == [["load/a", "load/c", "long/a"], ["load/c", "load/a"], ["load/a", "load/c"]]


def test_what_is_left_of_the_time_is_divided() -> None:
    """What each takes besides its load comes off first: as guessed, as others under that load, as measured."""
    clock = Clock()
    load, idle = _scenario("load", overhead=2.0), _scenario("idle", least=0.0, overhead=6.0)
    one, other, third = _entry(load, "one"), _entry(load, "other"), _entry(idle, "third")
    budget = Budget(clock.now + 100.0, clock, most=60.0, reserve=10.0)
    assert budget.share(one, [other, third]) == Share((90.0 - 2.0 - 2.0 - 6.0) / 2, 90.0, last=True)
    budget.took(one, 5.0)
    assert budget.share(other, [one, third]) == Share((90.0 - 5.0 - 5.0 - 6.0) / 2, 90.0, last=True)
    budget.took(other, 1.0)
    clock.now += 60.0
    assert budget.share(one, [other]) == Share((30.0 - 5.0 - 1.0) / 2, 30.0, last=True)
    assert budget.share(third, []) == Share(0.0, 10.0 + 3 * 6.0)


def test_a_load_is_no_longer_than_is_worth_it_and_no_shorter_than_makes_sense() -> None:
    """Where the time would allow more, it ends sooner; where it does not allow the least, it does not begin."""
    clock = Clock()
    entry = _entry(_scenario("load", least=0.25, overhead=2.0), "one")
    budget = Budget(clock.now + 1000.0, clock, most=10.0, reserve=0.0)
    assert budget.share(entry, []) == Share(10.0, 10.0 + 3 * 2.0 + 10 * 10.0)
    clock.now += 990.0
    assert budget.share(entry, [entry] * 99) == Share(0.25, 10.0, last=True)
    clock.now += 7.75
    assert budget.share(entry, []) == Share(0.25, 2.25, last=True)
    clock.now += 0.01
    assert budget.share(entry, []) is None


@settings(max_examples=40, deadline=None)
@given(
    minutes=st.floats(0.1, 5.0),
    rounds=st.integers(1, 4),
    spent=st.lists(st.floats(0.0, 40.0), min_size=1, max_size=6),
    least=st.sampled_from([0.0, 0.25, 1.0]),
)
def test_the_time_is_never_exceeded(minutes: float, rounds: int, spent: list[float], least: float) -> None:
    """However long measurements take: who is not done when it is over is interrupted, and has not failed."""
    clock = Clock()
    deadline = clock.now + 60 * minutes
    scenario = _scenario("load", least=least)
    entries = [_entry(scenario, str(number)) for number in range(len(spent))]

    def measure(entry: Entry, share: Share, rate: float | None) -> Mapping[str, float]:
        needed = spent[int(entry.contestant.name)] + share.seconds
        clock.now += min(needed, share.patience)
        if needed > share.patience:
            raise TimeOverError("not done")
        return {"throughput": 1.0}

    results = Results(machine={}, options={})
    Run(rounds, Budget(deadline, clock, reserve=5.0), measure, lambda text: None)(entries, results)
    assert clock.now <= deadline - 5.0 + 1e-6
    complete = all(len(cell.samples) == rounds for cell in results.cells)
    assert complete or results.remarks or results.failed()


def test_who_fails_does_not_stop_the_others() -> None:
    """Whatever it raises: it is reported, not tried a third time, and the exit status tells."""
    scenario = _scenario("load")
    entries = [_entry(scenario, name) for name in ("good", "bad", "odd")]

    def measure(entry: Entry, share: Share, rate: float | None) -> Mapping[str, float]:
        if entry.contestant.name == "bad":
            raise BenchmarkError("refused\n  by   design")
        if entry.contestant.name == "odd" and rate is not None:
            raise ValueError("nobody thought of that")
        return {"throughput": 7.0}

    results, said = Results(machine={}, options={}), list[str]()
    clock = Clock()
    Run(4, Budget(clock.now + 1000.0, clock), measure, said.append)(entries, results)
    good, bad, odd = results.cells
    assert (len(good.samples), good.failures) == (4, [])
    assert (bad.samples, bad.failures) == ([], ["round 1: refused by design", "round 2: refused by design"])
    assert len(odd.samples) == 1
    assert odd.failures == [f"round {number}: ValueError('nobody thought of that')" for number in (2, 3)]
    assert results.failed()
    assert "- bad: **failed** in round 1: refused by design." not in markdown(
        results
    )  # no contestant of the field


def test_who_is_interrupted_by_the_end_has_not_failed() -> None:
    """What hangs earlier has, and the others go on."""
    clock = Clock()
    entries = [_entry(_scenario("load"), name) for name in ("hangs", "good")]

    def measure(entry: Entry, share: Share, rate: float | None) -> Mapping[str, float]:
        if entry.contestant.name == "hangs":
            clock.now += share.patience
            raise TimeOverError("not done")
        clock.now += share.seconds + 1.0
        return {"throughput": 7.0}

    results, said = Results(machine={}, options={}), list[str]()
    Run(3, Budget(clock.now + 70.0, clock, most=1.0, reserve=5.0), measure, said.append)(entries, results)
    hangs, good = results.cells
    assert hangs.failures == ["round 1: not done", "round 2: not done"]
    assert len(good.samples) == 3
    results = Results(machine={}, options={})
    entries = [_entry(_scenario("load"), "hangs")]
    Run(3, Budget(clock.now + 12.0, clock, most=1.0, reserve=5.0), measure, said.append)(entries, results)
    assert results.cells[0].failures == []
    assert results.remarks == ["the time was over in round 1; measurements left: 3"]
    assert results.failed()


class PongTwice(BaseRequestHandler[socket.socket, InetAddress]):
    """Answers whatever comes, twice, and goes away."""

    @override
    def handle(self) -> None:
        for _ in range(2):
            self.request.recv(4096)
            self.request.sendall(b"+PONG\r\n")


def test_who_answers_wrongly_is_not_measured() -> None:
    """Sixteen requests need sixteen answers, and a page is a page."""
    with Server(TcpTransport(("127.0.0.1", 0)), ThreadStrategy(), PongTwice).running() as server:
        _, port = server.address
        with pytest.raises(BenchmarkError, match="16 times"):
            check("kept", ("127.0.0.1", port))
        with pytest.raises(BenchmarkError, match="does not answer"):
            check("http", ("127.0.0.1", port))


# What is written.


def _results() -> Results:
    """Two rounds of the whole field, of which nothing was measured."""
    cells = []
    for number, entry in enumerate(entered(None)):
        samples: list[Mapping[str, float]] = [{"memory": 100.0 * number}, {"memory": 120.0 * number + 9}]
        if entry.scenario.load is not None:
            samples = [
                {"throughput": 1000.0 * (number + more), "p50": 0.5, "p99": 9.25, "cpu": 20.0 + more}
                for more in (1, 3)
            ]
        cells.append(Cell(scenario=entry.scenario.name, contestant=entry.contestant.name, samples=samples))
    cells[0] = attrs.evolve(cells[0], samples=[], skipped="there is no <b>cc</b> & no other")
    cells[1] = attrs.evolve(cells[1], failures=["round 2: it went away"])
    cells[2] = attrs.evolve(cells[2], samples=[])
    machine = {"python": "CPython 3.0 <&>", "cores": "3"}
    return Results(machine=machine, options={"rounds": 2, "minutes": 0.5}, note="not measured", cells=cells)


def test_results_survive_their_json() -> None:
    """They can be written anew from what was written; medians and extremes stand there for other readers."""
    results = _results()
    document = json.loads(json.dumps(results.as_json()))
    assert Results.from_json(document) == results
    assert document["cells"][3]["summary"]["throughput"] == {"median": 5000.0, "lowest": 4000.0, "highest": 6000.0}


def test_the_table_has_everybody() -> None:
    """Best first under each load; who is missing, and why, below."""
    page = markdown(_results())
    assert "**not measured**" in page
    first = page[page.index("## One kept connection\n") :].split("## ")[1]
    names = [line.split(" | ")[0].strip("|* ") for line in first.splitlines() if line.startswith("| ")][1:]
    measured = [entry.contestant.label for entry in entered(["kept-1"])]
    assert names == [label for label in reversed(measured) if label not in (measured[0], measured[2])]
    assert "there is no <b>cc</b> & no other" in first
    assert f"- {measured[1]}: **failed** in round 2: it went away." in first
    assert f"- {measured[2]}: not measured: the time was over." in first
    for line in page.splitlines():
        assert not line.startswith("| ") or line.count("|") in {4, 8}, line


def test_the_plot_is_well_formed_and_shows_everybody() -> None:
    """Text is escaped, no number is missing, each colour is there on light ground and on dark."""
    results = _results()
    root = ET.fromstring(plot(results))
    words = {element.text for element in root.iter(f"{_SVG}text")}
    for entry in entered(["kept-50", "dns", "idle"]):
        assert entry.contestant.short in words
    assert any("CPython 3.0 <&>" in (text or "") for text in words)
    style = root.findtext(f"{_SVG}style") or ""
    assert "@media(prefers-color-scheme:dark)" in style
    for light, dark in COLOURS.values():
        assert light in style
        assert dark in style
    for element in root.iter():
        assert "nan" not in "".join(element.attrib.values())


def test_nothing_of_the_plot_is_outside_of_it() -> None:
    """Nor are words cut off at its sides, whatever font they are in."""
    root = ET.fromstring(plot(_results()))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{_SVG}rect"):
        assert 0 <= float(rect.attrib["x"]) <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
    for text in root.iter(f"{_SVG}text"):
        assert 0 < float(text.attrib["y"]) < height
        reach = 6.5 * len(text.text or "") * {"start": 1, "end": -1, "middle": 0.5}[text.attrib["text-anchor"]]
        assert 0 <= float(text.attrib["x"]) + reach <= width, text.text
        if text.attrib["class"].endswith("title"):
            assert 7.3 * len(text.text or "") < width / 2 - 30, "it would run into the panel beside it"


def test_a_plot_of_one_measurement_is_a_plot() -> None:
    """Of anything less than everything, too."""
    one = Cell(scenario="kept-50", contestant="gevent", samples=[{"throughput": 5.0, "cpu": 1.0}])
    nothing = Cell(scenario="dns", contestant="gevent")
    for cells in ([one], [nothing], [one, nothing], []):
        assert ET.fromstring(plot(Results(machine={}, options={}, cells=cells))).tag == f"{_SVG}svg"


def test_axes_have_round_numbers() -> None:
    """Of three digits at most."""
    assert steps(23_000.0) == [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]
    assert steps(4.1) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert decades(4.0, 120.0) == [5.0, 10.0, 20.0, 50.0, 100.0]
    assert Axis(1.0, 100.0, 0.0, 50.0, logarithmic=True).at(10.0) == pytest.approx(25.0)
    assert Axis(0.0, 10.0, 100.0, 0.0).at(2.5) == pytest.approx(75.0)
    written = [
        short_number(value) for value in (0.0, 0.364, 9.99, 99.6, 999.4, 999.6, 23_650.0, 999_400.0, 1.25e6)
    ]
    assert written == ["0", "0.364", "9.99", "100", "999", "1k", "23.6k", "999k", "1.25M"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 280.0), max_size=20))
def test_names_of_lines_do_not_lie_on_each_other(places: list[float]) -> None:
    """They stay in order and inside, each as near as can be to where it belongs."""
    moved = apart(sorted(places), 14.0, 0.0, 280.0)
    assert all(after - before >= 14.0 - 1e-6 for before, after in itertools.pairwise(moved))
    assert all(-1e-6 <= place <= 280.0 + 1e-6 for place in moved)
    if all(after - before >= 14.0 for before, after in itertools.pairwise(sorted(places))):
        assert moved == sorted(places)


def test_numbers_that_would_touch_are_left_out() -> None:
    """But never the first."""
    assert uncrowded([0.0, 10.0, 26.0, 30.0, 52.0], 26.0) == [0, 2, 4]


def test_one_measurement(tmp_path: Path) -> None:
    """The command measures a server of ours, which answers, and writes what it found."""
    if shutil.which("redis-benchmark") is None:
        pytest.skip("there is no redis-benchmark (Debian: apt install redis-tools)")
    options = [
        "--only",
        "kept-1/sockserve-selector",
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--write",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "benchmarks.field", *options]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (cell,) = Results.from_json(json.loads((tmp_path / "field.json").read_text())).cells
    (sample,) = cell.samples
    assert sample.keys() == {"throughput", "p50", "p99", "cpu"}
    assert all(value > 0 for value in sample.values())
    assert "sockserve, SelectorStrategy" in (tmp_path / "field.md").read_text()
    assert ET.parse(tmp_path / "field.svg").getroot().tag == f"{_SVG}svg"
