"""A page that shows what servers are doing, served on their own loop."""

from ._server import status_server

__all__ = ("status_server",)
