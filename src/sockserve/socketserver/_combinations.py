"""The servers of the table. Written by `_generate` from `_table`: not to be edited."""

import os
import socket
import sys

from ..strategies import SelectorStrategy, ThreadPoolStrategy
from ._servers import TCPServer, UDPServer
from ._strategy_mixin import StrategyMixIn
from ._threading import ThreadingMixIn

__all__ = [
    "SelectorMixIn",
    "SelectorTCPServer",
    "SelectorUDPServer",
    "TCPServer",
    "ThreadPoolMixIn",
    "ThreadPoolTCPServer",
    "ThreadPoolUDPServer",
    "ThreadingMixIn",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "UDPServer",
]


class ThreadingTCPServer(ThreadingMixIn, TCPServer):
    """TCP, each request in a new thread."""


class ThreadingUDPServer(ThreadingMixIn, UDPServer):
    """UDP, each request in a new thread."""


class ThreadPoolMixIn(StrategyMixIn, strategy=ThreadPoolStrategy(), names={"daemon": "daemon_threads"}):
    """
    Answer requests in at most ``workers`` threads, which are reused: `sockserve.ThreadPoolStrategy`.

    To be named before the server class.
    """

    workers: int
    daemon_threads: bool


class ThreadPoolTCPServer(ThreadPoolMixIn, TCPServer):
    """TCP, requests in at most ``workers`` threads, which are reused."""


class ThreadPoolUDPServer(ThreadPoolMixIn, UDPServer):
    """UDP, requests in at most ``workers`` threads, which are reused."""


class SelectorMixIn(StrategyMixIn, strategy=SelectorStrategy()):
    """
    Answer all requests in the thread that serves, parked while they wait: `sockserve.SelectorStrategy`.

    To be named before the server class.
    """

    slow: float


class SelectorTCPServer(SelectorMixIn, TCPServer):
    """TCP, all requests in the thread that serves, parked while they wait."""


class SelectorUDPServer(SelectorMixIn, UDPServer):
    """UDP, all requests in the thread that serves, parked while they wait."""


if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
    from ._servers import UnixDatagramServer, UnixStreamServer

    __all__ += [
        "SelectorUnixDatagramServer",
        "SelectorUnixStreamServer",
        "ThreadPoolUnixDatagramServer",
        "ThreadPoolUnixStreamServer",
        "ThreadingUnixDatagramServer",
        "ThreadingUnixStreamServer",
        "UnixDatagramServer",
        "UnixStreamServer",
    ]

    class ThreadingUnixStreamServer(ThreadingMixIn, UnixStreamServer):
        """Unix stream sockets, each request in a new thread."""

    class ThreadingUnixDatagramServer(ThreadingMixIn, UnixDatagramServer):
        """Unix datagram sockets, each request in a new thread."""

    class ThreadPoolUnixStreamServer(ThreadPoolMixIn, UnixStreamServer):
        """Unix stream sockets, requests in at most ``workers`` threads, which are reused."""

    class ThreadPoolUnixDatagramServer(ThreadPoolMixIn, UnixDatagramServer):
        """Unix datagram sockets, requests in at most ``workers`` threads, which are reused."""

    class SelectorUnixStreamServer(SelectorMixIn, UnixStreamServer):
        """Unix stream sockets, all requests in the thread that serves, parked while they wait."""

    class SelectorUnixDatagramServer(SelectorMixIn, UnixDatagramServer):
        """Unix datagram sockets, all requests in the thread that serves, parked while they wait."""


if sys.platform != "win32" and hasattr(os, "fork"):
    from ._forking import ForkingMixIn
    from ._preforking import PreforkMixIn

    __all__ += [
        "ForkingMixIn",
        "ForkingTCPServer",
        "ForkingUDPServer",
        "PreforkMixIn",
        "PreforkTCPServer",
        "PreforkUDPServer",
    ]

    class ForkingTCPServer(ForkingMixIn, TCPServer):
        """TCP, each request in a new process."""

    class ForkingUDPServer(ForkingMixIn, UDPServer):
        """UDP, each request in a new process."""

    class PreforkTCPServer(PreforkMixIn, TCPServer):
        """TCP, requests in ``workers`` processes, which are supervised."""

    class PreforkUDPServer(PreforkMixIn, UDPServer):
        """UDP, requests in ``workers`` processes, which are supervised."""


if sys.platform != "win32" and hasattr(socket, "AF_UNIX") and hasattr(os, "fork"):
    from ._forking import ForkingMixIn
    from ._preforking import PreforkMixIn
    from ._servers import UnixDatagramServer, UnixStreamServer

    __all__ += [
        "ForkingUnixDatagramServer",
        "ForkingUnixStreamServer",
        "PreforkUnixDatagramServer",
        "PreforkUnixStreamServer",
    ]

    class ForkingUnixStreamServer(ForkingMixIn, UnixStreamServer):
        """Unix stream sockets, each request in a new process."""

    class ForkingUnixDatagramServer(ForkingMixIn, UnixDatagramServer):
        """Unix datagram sockets, each request in a new process."""

    class PreforkUnixStreamServer(PreforkMixIn, UnixStreamServer):
        """Unix stream sockets, requests in ``workers`` processes, which are supervised."""

    class PreforkUnixDatagramServer(PreforkMixIn, UnixDatagramServer):
        """Unix datagram sockets, requests in ``workers`` processes, which are supervised."""
