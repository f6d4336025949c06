"""
Handlers for whom a request is messages: they are given one and return what answers it, and never see a socket.

`MessageHandler` is the class to derive from, `MessageClient` talks to one without a server. The rest is what a
server needs to run them.
"""

from ._client import MessageClient
from ._handler import MessageHandler

__all__ = ("MessageClient", "MessageHandler")
