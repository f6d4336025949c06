"""The command line: ``sockserve serve module:Handler --tcp 127.0.0.1:9000``. See docs/cli.md."""

from ._main import main

__all__ = ("main",)
