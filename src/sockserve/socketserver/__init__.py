"""
The standard library's socketserver, on sockserve's strategies.

``from sockserve import socketserver`` in place of ``import socketserver``: the same classes, methods, attributes,
defaults and order of calls. Servers with strategies that it lacks (``ThreadPoolTCPServer`` and others) are
here too, and `mixin_for` makes a mix-in from any strategy.
"""

# ruff: noqa: E402 - what the other modules look up here comes before them

import os as os
import selectors as selectors
import socket as socket
import sys as sys
import threading as threading
import time as _time
from collections.abc import Callable as _Callable

# Programs replace the modules above and the private names below in this module: the others look them up here each
# time. poll(2) needs no descriptor of its own.
time: _Callable[[], float] = _time.monotonic
_ServerSelector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)

from ..handlers import _SocketWriter as _SocketWriter
from . import _combinations
from ._base import BaseServer
from ._combinations import *  # noqa: F403 - generated, with what this platform has
from ._handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from ._strategy_mixin import StrategyMixIn, mixin_for
from ._threading import _NoThreads as _NoThreads
from ._threading import _Threads as _Threads

__version__ = "0.4"  # of the module that this one stands for

__all__ = [
    "BaseRequestHandler",
    "BaseServer",
    "DatagramRequestHandler",
    "StrategyMixIn",
    "StreamRequestHandler",
    "mixin_for",
]
__all__ += _combinations.__all__
