"""What a program tells the parent that starts it again when a file changes: what it is made of."""

import json
import os
import signal
import sys
import sysconfig
import traceback
from collections.abc import Iterator

__all__ = ("VARIABLE", "Announcer", "written")

#: Where the child finds the descriptor of its pipe to the parent.
VARIABLE = "SOCKSERVE_RELOAD_FD"


def written(file: str) -> int:
    """Say when *file* was last written, in nanoseconds; -1 where it is not there: editors replace files."""
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return -1


class Announcer:
    """Tells the parent, if there is one, which files this process has imported, once each."""

    def __init__(self) -> None:
        text = os.environ.pop(VARIABLE, None)
        self._fd = None if text is None else int(text)
        self._pid, self._parent = os.getpid(), os.getppid()
        self._told: set[str] = set()
        self._modules = 0
        if self._fd is not None:
            os.set_inheritable(self._fd, False)

    @property
    def supervised(self) -> bool:
        """Whether there is a parent that listens."""
        return self._fd is not None

    def announce(self) -> None:
        """
        Tell the files of the modules that were imported since. To be called now and then.

        Without its parent nobody would start it again, nor end it: it ends itself.
        """
        if self._fd is None or os.getpid() != self._pid:  # a process that a handler has forked
            return
        if os.getppid() != self._parent:
            signal.raise_signal(signal.SIGTERM)
        elif len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            self._tell(_imported(), broken=False)

    def announce_failure(self, error: BaseException) -> None:
        """Tell that the program has a mistake, and its files: those that failed are not among the modules."""
        cause = error.__cause__
        if self._fd is not None:
            self._tell([*_imported(), *(() if cause is None else _files_of(cause))], broken=True)

    def _tell(self, files: "Iterator[str] | list[str]", *, broken: bool) -> None:
        new = {file: written(file) for file in files if file not in self._told}
        self._told |= set(new)
        if self._fd is not None and (new or broken):
            os.write(self._fd, json.dumps({"files": new, "broken": broken}).encode() + b"\n")


def _imported() -> Iterator[str]:
    """Find the source files of the program: not the standard library's, nor those of installed packages."""
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and _is_ours(file):
            yield os.path.abspath(file)


def _files_of(error: BaseException) -> Iterator[str]:
    """Find the files that an error of an import has come from."""
    found = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        found.append(error.filename)
    for file in found:
        if _is_ours(file):
            yield os.path.abspath(file)


def _is_ours(file: str) -> bool:
    return file.endswith(".py") and not file.startswith(_INSTALLED)


_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
