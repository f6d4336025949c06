"""
The standard library's socketserver, on sockserve's strategies.

``from sockserve import socketserver`` in place of ``import socketserver``: the same classes, with the same methods,
attributes, defaults and order of calls. Servers of the same kinds with strategies that the standard library lacks
(``ThreadPoolTCPServer`` …) are here too, and `mixin_for` makes a mix-in from any strategy.
"""

import os as os
import selectors as selectors
import socket as socket
import sys as sys
import threading as threading
from time import monotonic as time

from ..handlers import _SocketWriter as _SocketWriter

# Programs replace these names, the modules above and the private ones, in this module: the others look them up here
# each time. poll(2) needs no descriptor of its own.
_ServerSelector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)

from ._base import BaseServer
from ._combinations import *
from ._handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from ._servers import *
from ._strategy_mixin import StrategyMixIn, mixin_for
from ._threading import ThreadingMixIn, _NoThreads, _Threads
