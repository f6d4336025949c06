"""The command that runs public projects' suites: what it concludes, and what it puts in socketserver's place."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from public_suites import inside
from public_suites.inside.breaks import BREAKS
from public_suites.outcomes import NEVER_ENDED, Run, differences, outcomes_of, red, requests_of
from public_suites.projects import PROJECTS, Project
from public_suites.report import complaints, suite_row
from public_suites.variants import HASTY, SHIM, STDLIB, Variant, broken
from sockserve import socketserver


def written(*reports: tuple[str, str, str]) -> list[str]:
    """Return lines as the plugin writes them."""
    return [json.dumps(dict(zip(("test", "when", "outcome"), report, strict=True))) for report in reports]


def run_of(outcomes: dict[str, str], module: str = STDLIB.module, ended: str = "itself") -> Run:
    """Return a run in which one request was served."""
    return Run(outcomes, {(module, "Server"): 1}, 1.0, ended)


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "failed"), ("teardown", "passed")], "failed"),
        ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
        ([("setup", "passed"), ("call", "expected failure"), ("teardown", "passed")], "expected failure"),
        ([("setup", "passed"), ("call", "passed")], NEVER_ENDED),
        ([("setup", "passed"), ("call", "failed")], "failed"),
        ([], NEVER_ENDED),
    ],
)
def test_the_outcome_of_a_test(reports: Sequence[tuple[str, str]], outcome: str) -> None:
    """A test is green if all of it was; what began and is not heard of again has hung."""
    lines = written(("t", "start", "started"), *(("t", *report) for report in reports))
    assert outcomes_of(lines) == {"t": outcome}


def test_what_cannot_be_collected() -> None:
    """A module that is not imported has failed."""
    assert outcomes_of(written(("tests/test_a.py", "collect", "failed"))) == {"tests/test_a.py": "failed"}


def test_requests() -> None:
    """They are counted by who has served them; the package of the shim is many modules."""
    requests = requests_of(
        ["socketserver a.B", "sockserve.socketserver._base a.B", "sockserve.socketserver._base a.B"]
    )
    run = Run({}, requests, 1.0, "itself")
    assert run.served_by(STDLIB.module) == 1
    assert run.served_by(SHIM.module) == 2


def test_differences() -> None:
    """Whatever became of a test in one run only."""
    before = run_of({"same": "passed", "worse": "passed", "better": "failed", "gone": "passed"})
    after = run_of({"same": "passed", "worse": "skipped", "better": "passed", "new": "failed"})
    found = {each.test: each.is_worse for each in differences(before, after)}
    assert found == {"worse": True, "better": False, "gone": True, "new": False}
    assert red(before, after) == []  # neither a skipped test nor one that was not reached shows a defect
    assert red(before, run_of({"same": "failed", "worse": NEVER_ENDED, "better": "failed"})) == ["same", "worse"]


def test_what_is_complained_of() -> None:
    """A test that got worse, unless it is a race; and a run that proves nothing."""
    project = PROJECTS[0]
    stdlib = run_of({"a": "passed", "b": "passed"})
    shim = run_of({"a": "passed", "b": "failed"}, "sockserve.socketserver._base")
    assert [text.split(": ")[1] for text in complaints(project, stdlib, shim, [])] == ["b"]
    assert complaints(project, stdlib, shim, ["b"]) == []
    assert suite_row(project, stdlib, shim, ["b"])[-3:] == ("0", "1", "0")
    (text,) = complaints(project, stdlib, run_of(dict(stdlib.outcomes), "sockserve.socketserver", "the bound"), [])
    assert "ended by the bound" in text
    strangers = complaints(project, stdlib, stdlib, [])  # the shim's run, served by the standard library
    assert [text.partition(": ")[2] for text in strangers] == [
        "sockserve.socketserver has served nothing",
        "1 requests were not served by sockserve.socketserver",
    ]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_everything_is_pinned(project: Project) -> None:
    """What a project's tests need, too: else figures cannot be compared."""
    assert all("==" in need for need in project.needs)


SERVES = """
import socket, sys, threading
import socketserver
class Server(socketserver.TCPServer): pass
with Server(("127.0.0.1", 0), lambda request, *_: request.sendall(b"!")) as server:
    print(socketserver.__name__, server.serve_forever.__defaults__)
    with socket.create_connection(server.server_address[:2]) as client:
        server.handle_request()
        client.settimeout(10)
        print(client.recv(1))
"""


@pytest.mark.parametrize(
    ("variant", "printed", "whose"),
    [
        (STDLIB, "socketserver (0.5,) b'!'", "socketserver"),
        (HASTY, "socketserver (0.001,) b'!'", "socketserver"),
        (SHIM, "sockserve.socketserver (0.5,) b'!'", "sockserve.socketserver._base"),
        (broken("unanswered"), "sockserve.socketserver (0.5,) b''", "sockserve.socketserver._base"),
    ],
    ids=lambda value: value.name if isinstance(value, Variant) else "",
)
def test_what_a_suite_finds(variant: Variant, printed: str, whose: str, tmp_path: Path) -> None:
    """The module of the choice, broken as it says, and each request is noted."""
    package = tmp_path / "sockserve_public_suite"
    shutil.copytree(Path(str(inside.__file__)).parent, package)
    served = tmp_path / "served"
    choice = {"module": variant.module, "break": variant.broken, "poll_interval": variant.poll_interval}
    (package / "choice.json").write_text(json.dumps({**choice, "served": str(served), "outcomes": ""}))
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import sockserve_public_suite.hook\n{SERVES}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert " ".join(done.stdout.splitlines()) == printed
    assert served.read_text().splitlines() == [f"{whose} __main__.Server"]


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_changes_the_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replaces a method where the module has it: elsewhere it would break nothing, or something else."""
    kind, method = BREAKS[name].kind, BREAKS[name].method
    original = vars(getattr(socketserver, kind))[method]
    monkeypatch.setattr(getattr(socketserver, kind), method, original)  # put back after the test
    BREAKS[name].apply(socketserver)
    assert vars(getattr(socketserver, kind))[method] is not original
