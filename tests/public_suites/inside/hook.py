"""
Chooses which module is ``socketserver``, before anything imports it, and takes note of every request it serves.

A ``.pth`` file imports this module when an interpreter of the environment starts: so the suite's subprocesses are
served by the same module, whatever variables they get.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType

from .breaks import BREAKS

__all__ = ("CHOICE", "choose")

#: Written before each run, beside this file: an environment variable would not reach every subprocess.
CHOICE = Path(__file__).with_name("choice.json")


def choose() -> None:
    """Put the module of the choice in its place, broken if that is asked for."""
    choice = json.loads(CHOICE.read_text())
    module = importlib.import_module(choice["module"])
    if choice["break"] is not None:
        BREAKS[choice["break"]].apply(module)
    if choice["poll_interval"] is not None:
        module.BaseServer.serve_forever.__defaults__ = (choice["poll_interval"],)
    _take_note(module, choice["served"])
    sys.modules["socketserver"] = module


def _take_note(module: ModuleType, path: str) -> None:
    """Write a line for each request that arrives: whose BaseServer serves it, and of which class the server is."""
    arrived = module.BaseServer._handle_request_noblock

    def _handle_request_noblock(server: object) -> object:
        kind = type(server)
        bases = [base.__module__ for base in kind.__mro__ if base.__name__ == "BaseServer"]
        # Opened each time: suites count descriptors, and fork.
        note = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(note, f"{','.join(bases)} {kind.__module__}.{kind.__qualname__}\n".encode())
        finally:
            os.close(note)
        return arrived(server)

    module.BaseServer._handle_request_noblock = _handle_request_noblock


if CHOICE.exists():
    choose()
