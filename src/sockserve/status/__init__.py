"""A page that shows what servers are doing, served on their own loop."""

from ._server import is_loopback, status_server

__all__ = ("is_loopback", "status_server")
