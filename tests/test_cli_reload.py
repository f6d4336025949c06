"""--reload: what makes the program start again, and what ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinds import receive
from recorder import FAILSAFE
from sockserve.cli import _announcing, _reload, main
from sockserve.cli._announcing import Announcer

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

HANDLER = """
import {module}

def handler(request, client_address, server):
    request.sendall({module}.word)
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder has a program of two modules."""
    (tmp_path / "reloaded.py").write_text(HANDLER.format(module="words_of_it"))
    (tmp_path / "words_of_it.py").write_text("word = b'one'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(_reload, "INTERVAL", 0.02)
    return tmp_path


def rewrite(file: Path, text: str) -> None:
    """Write a file so that its time differs from before, whatever the file system's clock."""
    before = _announcing.written(str(file))
    file.write_text(text)
    os.utime(file, ns=(before + 10**9, before + 10**9))


def test_a_changed_file_starts_the_program_again(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    One that the handler's module imports, too; a mistake in it is waited out; SIGTERM ends all with status 0.

    The socket is ours, so that clients queue while the program starts.
    """
    said: list[str] = []
    told: dict[str, threading.Event] = {"waiting": threading.Event()}

    def ask() -> bytes:
        with socket.create_connection(listening.getsockname()) as client:
            client.settimeout(FAILSAFE)
            return receive(client, 100)

    def develop() -> None:
        try:
            answers.append(ask())
            rewrite(app / "words_of_it.py", "word = ")
            assert told["waiting"].wait(FAILSAFE)
            rewrite(app / "words_of_it.py", "word = b'two'\n")
            answers.append(ask())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def say(text: str) -> None:
        said.append(text)
        told.get(text.split(maxsplit=1)[0], threading.Event()).set()

    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        words = ["serve", "reloaded:handler", "--fd", str(listening.fileno()), "--reload"]
        developer = threading.Thread(target=develop)
        developer.start()
        assert _reload.supervise(words, say) == 0
        developer.join()
    assert answers == [b"one", b"two"]
    changed = "words_of_it.py has changed: starting again"
    assert said == [changed, "waiting for a file to change; Ctrl-C ends", changed]


def test_what_no_file_can_mend_ends_it(app: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line: the status is that of the program."""
    assert main(["serve", "reloaded:handler", "--tcp", "127.0.0.1:0", "--strategy", "tread", "--reload"]) == 2
    assert "did you mean 'thread'?" in capfd.readouterr().err


def test_systemds_sockets_are_not_for_children(app: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is refused, rather than found to have no sockets."""
    assert main(["serve", "reloaded:handler", "--systemd", "--reload"]) == 2
    assert "--reload and --systemd" in capfd.readouterr().err


# The parent, with children that do what a test needs.


class Process:
    """A child that ends when the test says so."""

    def __init__(self, *statuses: int | None, stubborn: bool = False) -> None:
        self.statuses = list(statuses)
        self.stubborn = stubborn
        self.signals: list[str] = []
        self.returncode = 0

    def poll(self) -> int | None:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def wait(self, timeout: float | None = None) -> int:
        if self.stubborn and "kill" not in self.signals:
            raise subprocess.TimeoutExpired("child", timeout or 0.0)
        return 0

    def terminate(self) -> None:
        self.signals.append("terminate")

    def kill(self) -> None:
        self.signals.append("kill")


def child(process: Process, files: dict[str, int] | None = None) -> Any:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.close(writer)
    as_popen: Any = process
    return _reload._Child(as_popen, reader, files or {})


def test_a_child_that_ignores_its_signal_is_killed() -> None:
    """After some seconds."""
    process = Process(None, stubborn=True)
    made = child(process)
    made.stop()
    assert process.signals == ["terminate", "kill"]
    os.close(made.reader)


@pytest.mark.parametrize(
    ("number", "statuses", "sent"),
    [
        (signal.SIGTERM, [None, 0], ["terminate"]),
        (signal.SIGINT, [None, 0], []),  # the terminal has sent it to the child, too
    ],
)
def test_signals_are_passed_on(number: int, statuses: list[int | None], sent: list[str]) -> None:
    """To a child that has not got them by itself."""
    process = Process(*statuses)
    made = child(process)
    assert _reload._end(made, [number]) == 0
    assert process.signals == sent
    os.close(made.reader)


def test_a_child_that_ctrl_c_has_not_reached_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while: somebody has sent SIGINT to the parent alone."""
    monkeypatch.setattr(_reload, "OWN_END", -1.0)
    process = Process(None, None, -15)
    process.returncode = -15
    made = child(process)
    assert _reload._end(made, [signal.SIGINT]) == 0
    assert process.signals[0] == "terminate"
    os.close(made.reader)


@pytest.mark.parametrize(
    ("status", "first", "over"), [(0, True, 0), (130, True, 130), (2, True, 2), (0, False, 0)]
)
def test_a_program_that_ends_by_itself_ends_all(status: int, first: bool, over: int) -> None:
    """Unless a change could mend it."""
    made = child(Process(status))
    assert _reload._watch(made, [], print, first=first) == over
    os.close(made.reader)


@pytest.mark.parametrize(("status", "first"), [(1, True), (-11, True), (2, False)])
def test_a_program_that_fails_is_waited_for(status: int, first: bool, app: Path) -> None:
    """Until a file changes that it had told of, or that the run before had."""
    said: list[str] = []
    made = child(Process(status), {str(app / "reloaded.py"): -2})
    assert _reload._watch(made, [], said.append, first=first) is None
    assert said == ["reloaded.py has changed: starting again"]
    os.close(made.reader)


def test_the_files_of_the_run_before_are_still_looked_at(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next fails before it has told any: its module may be gone for a moment."""
    file = str(app / "reloaded.py")
    children = [child(Process(None), {file: -2}), child(Process(2)), child(Process(0))]
    known: list[list[str]] = []
    said: list[str] = []

    def start(words: list[str], files: dict[str, int]) -> Any:
        known.append([*files])
        made = children.pop(0)
        made.files |= files
        return made

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("waiting"):
            rewrite(app / "reloaded.py", "")

    monkeypatch.setattr(_reload, "_start", start)
    assert _reload.supervise(["serve"], say) == 0
    assert known == [[], [file], [file]]
    assert [text.split()[0] for text in said] == ["reloaded.py", "waiting", "reloaded.py"]


# The child.


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where a child tells."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setenv(_announcing.VARIABLE, str(writer))
    yield lambda: [json.loads(line) for line in os.read(reader, 2**20).splitlines()]
    os.close(reader)
    os.close(writer)


def test_a_program_tells_its_files_once(
    app: Path, pipe: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own, not those of Python and of packages; those that are imported later, later."""
    announcer = Announcer()
    assert announcer.supervised
    announcer.announce()
    (told,) = pipe()
    assert __file__ in told["files"]
    assert os.__file__ not in told["files"]
    assert pytest.__file__ not in told["files"]
    announcer.announce()
    monkeypatch.syspath_prepend(str(app))
    __import__("words_of_it")
    announcer.announce()
    (told,) = pipe()
    file = str(app / "words_of_it.py")
    assert told == {"files": {file: _announcing.written(file)}, "broken": False}
    del sys.modules["words_of_it"]


def test_a_program_that_cannot_be_imported_tells_where(app: Path, pipe: Callable[[], Any]) -> None:
    """The file with the mistake is no module."""
    announcer = Announcer()
    failure = ValueError()
    failure.__cause__ = SyntaxError("invalid syntax", (str(app / "words_of_it.py"), 1, 8, "word = "))
    announcer.announce_failure(failure)
    (told,) = pipe()
    assert told["broken"]
    assert str(app / "words_of_it.py") in told["files"]


def test_a_program_without_its_parent_ends(pipe: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It would serve for ever what nobody sees; its signal handler drains."""
    announcer = Announcer()
    seen: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    monkeypatch.setattr(os, "getppid", lambda: 1)
    announcer.announce()
    signal.signal(signal.SIGTERM, former)
    assert seen == [signal.SIGTERM]


def test_without_a_parent_nothing_is_told() -> None:
    """And there is nobody to tell."""
    announcer = Announcer()
    assert not announcer.supervised
    announcer.announce()
    announcer.announce_failure(ValueError())
