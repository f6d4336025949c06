"""The servers of server_stdlib, on sockserve's module in the place of socketserver: not a line of them changed."""

import sys

from sockserve import socketserver

assert "socketserver" not in sys.modules
sys.modules["socketserver"] = socketserver

from . import server_stdlib  # noqa: E402 - imports what stands there now

__all__ = ["datagrams", "thread"]

thread = server_stdlib.thread
datagrams = server_stdlib.datagrams

if sys.platform != "win32":
    __all__ += ["fork"]
    fork = server_stdlib.fork
