"""
Socket servers composed from a transport, a concurrency strategy and a handler.

Server(TcpTransport(address), ThreadStrategy(daemon=True), Handler)
"""

from .addresses import Address, InetAddress, UnixAddress
from .errors import (
    CompositionError,
    DatagramTruncated,
    ListenError,
    OptionError,
    OptionTypeError,
    PeerGoneError,
    ServerStateError,
    SockserveError,
    SockserveWarning,
)
from .handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from .observers import LogEvents, Observer, log_events
from .server import Server, serve
from .stats import Stats
from .strategies import ForkStrategy, SyncStrategy, ThreadPoolStrategy, ThreadStrategy
from .transports import (
    AdoptedTransport,
    TcpTransport,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)

__all__ = (
    "Address",
    "AdoptedTransport",
    "BaseRequestHandler",
    "CompositionError",
    "DatagramRequestHandler",
    "DatagramTruncated",
    "ForkStrategy",
    "InetAddress",
    "ListenError",
    "LogEvents",
    "Observer",
    "OptionError",
    "OptionTypeError",
    "PeerGoneError",
    "Server",
    "ServerStateError",
    "SockserveError",
    "SockserveWarning",
    "Stats",
    "StreamRequestHandler",
    "SyncStrategy",
    "TcpTransport",
    "ThreadPoolStrategy",
    "ThreadStrategy",
    "UdpTransport",
    "UnixAddress",
    "UnixDatagramTransport",
    "UnixStreamTransport",
    "log_events",
    "serve",
)

__version__ = "0.1.0"
