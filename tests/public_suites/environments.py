"""A folder with a project's source distribution and a virtual environment that has what its tests need."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import attrs

from .projects import RUNNER, Project
from .variants import Variant

__all__ = ("Environment", "PreparationError", "prepare")

_ROOT = Path(__file__).resolve().parents[2]
_INSIDE = Path(__file__).with_name("inside")
_PACKAGE = "sockserve_public_suite"
_SECONDS = 500.0  # for one call of pip


class PreparationError(Exception):
    """A distribution could not be fetched or installed; the text says what pip says."""


@attrs.frozen
class Environment:
    """
    Where one project's tests run.

    Args:
        python: The interpreter of the virtual environment.
        source: The unpacked source distribution.
        folder: The folder around both, for what runs leave behind.
        package: Where `inside` has been copied to.
    """

    python: Path
    source: Path
    folder: Path
    package: Path

    def choose(self, variant: Variant, served: Path, outcomes: Path) -> None:
        """Say what is to be ``socketserver`` in this environment from now on, and where to write what happens."""
        choice = {
            "module": variant.module,
            "break": variant.broken,
            "poll_interval": variant.poll_interval,
            "served": str(served),
            "outcomes": str(outcomes),
        }
        (self.package / "choice.json").write_text(json.dumps(choice))


def prepare(project: Project, python: str, folder: Path) -> Environment:
    """
    Fetch, unpack and install; what is there already, of an earlier run in the same folder, is used again.

    Args:
        project: The row.
        python: The interpreter that the environment is made from.
        folder: For this project alone.

    Raises:
        PreparationError: pip, or the interpreter, has failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = _unpacked(project, folder)
    venv = folder / "venv"
    inside = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(venv, ignore_errors=True)
        _call(python, "-m", "venv", str(venv))
        _pip(inside, "install", "--quiet", *RUNNER, *project.needs, str(source))
        ready.touch()
    # The checkout as it is now.
    _pip(inside, "install", "--quiet", "--force-reinstall", "--no-deps", str(_ROOT))
    _pip(inside, "install", "--quiet", "sockserve")  # its own needs
    return Environment(inside, source, folder, _place_inside(inside))


def _unpacked(project: Project, folder: Path) -> Path:
    target = folder / "source"
    if not target.exists():
        download = folder / "download"
        options = ("--quiet", "--no-deps", "--no-binary", project.name, "--dest", str(download))
        _pip(Path(sys.executable), "download", *options, project.requirement)
        (archive,) = download.iterdir()
        unpacking = folder / "unpacking"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacking, filter="data")
        (top,) = unpacking.iterdir()
        top.rename(target)
    return target


def _place_inside(python: Path) -> Path:
    """Copy what chooses the module, and have each interpreter of the environment import it."""
    found = _call(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    packages = Path(found.strip())
    target = packages / _PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(_INSIDE, target, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / f"{_PACKAGE}.pth").write_text(f"import {_PACKAGE}.hook\n")
    return target


def _pip(python: Path, *arguments: str) -> None:
    _call(str(python), "-m", "pip", "--disable-pip-version-check", *arguments)


def _call(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreparationError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise PreparationError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout
