"""The pages as their readers type them: files are written, servers started and stopped, clients run."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import attrs
import pytest

from docs_kit import BLOCKS, COMMANDS, DOCS, TYPED, note
from sockserve import cli
from tls_kit import NAME, authority

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md

pytestmark = pytest.mark.timeout(60)

_FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SERVES = ("$ sockserve serve ", "$ python main.py")
_SECONDS = re.compile(r"\d+\.\d+s")
#: systemctl needs a machine that systemd runs: tests/test_systemd.py tries the example of that page.
_ELSEWHERE = {DOCS / "deploy.md"}
_PORT = re.compile(r":\d{4}\b")


#: Seconds that a program may take, while others run.
PATIENCE = 40


@attrs.frozen
class Terminal:
    """A folder, and an environment in which ``python`` and ``sockserve`` are those that are tested."""

    folder: Path

    def start(self, command: str) -> subprocess.Popen[str]:
        """Run a command, both of whose outputs are one."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a command to its end, and return what it prints."""
        with self.start(command) as process:
            try:
                return process.communicate(timeout=PATIENCE)[0]
            finally:
                process.kill()

    @contextlib.contextmanager
    def serving(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a server, which ends well at SIGTERM."""
        with self.start(f"exec {command}") as process:
            try:
                yield process
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A new one."""
    (tmp_path / "bin").mkdir()
    for name, module in (("python", ""), ("sockserve", "-m sockserve")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error {module} "$@"\n')
        script.chmod(0o755)
    return Terminal(tmp_path)


def listens(process: subprocess.Popen[str]) -> None:
    stream: IO[str] | None = process.stdout
    assert stream
    line = stream.readline()
    assert "listening at" in line


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_the_tutorial_works_as_it_is_typed(terminal: Terminal) -> None:
    """Each program of the page is the file that its first line names; each command prints what is below it."""
    if shutil.which("nc") is None:
        pytest.skip("nc is not installed; on Debian it is in the package netcat-openbsd")
    with contextlib.ExitStack() as running:
        for language, block in _FENCE.findall(TYPED.read_text().replace("9000", free_port())):
            if language == "python":
                name = re.match(r"# (\w+\.py)\n", block)
                assert name, block
                (terminal.folder / name[1]).write_text(block)
            elif block.startswith(_SERVES):
                running.close()  # Ctrl-C
                listens(running.enter_context(terminal.serving(block.strip().removeprefix("$ "))))
            else:
                typed = "\n".join(line.removeprefix("$ ") for line in block.splitlines() if line[0] == "$")
                expected = "".join(line for line in block.splitlines(True) if line[0] != "$")
                assert _SECONDS.sub("", terminal.run(typed)) == _SECONDS.sub("", expected)
    note(TYPED, len(BLOCKS[TYPED]), len(COMMANDS[TYPED]))


@pytest.mark.parametrize(
    "page",
    [page for page in COMMANDS if page not in {TYPED, DOCS / "index.md", *_ELSEWHERE}],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_work(
    page: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Those with something below them are mistakes, and told so; the others serve.

    The handler is that of the page on the command line; ports are chosen by the system.
    """
    monkeypatch.chdir(terminal.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the command adds the current folder
    (terminal.folder / "app.py").write_text(BLOCKS[DOCS / "cli.md"][0])
    certificate = authority().issue_cert(NAME)
    certificate.private_key_pem.write_to_path(str(terminal.folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(terminal.folder / "cert.pem"))
    with contextlib.ExitStack() as running:
        started = [  # all at once: most of the time is that of starting
            running.enter_context(terminal.serving(_PORT.sub(":0", command)))
            for command, expected in COMMANDS[page]
            if not expected
        ]
        for command, expected in COMMANDS[page]:
            if expected:
                assert cli.main(shlex.split(command)[1:]) == 2
                assert capsys.readouterr().err == expected
        for process in started:
            listens(process)
    sys.modules.pop("app", None)
    note(page, 0, len(COMMANDS[page]))
