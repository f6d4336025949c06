"""
Socket servers composed from a transport, a concurrency strategy and a handler.

Server(TcpTransport(address), ThreadStrategy(daemon=True), Handler)
"""

from ._table.alongside import alongside
from ._table.cooperation import cooperative
from ._table.locks import Event, Lock, Queue
from ._table.sleeping import sleep
from .addresses import Address, InetAddress, UnixAddress
from .deadlines import Deadlines
from .errors import (
    CompositionError,
    DatagramTruncated,
    ListenError,
    OptionError,
    OptionTypeError,
    PeerGoneError,
    RequestAborted,
    ServerStateError,
    SockserveError,
    SockserveWarning,
    TlsHandshakeError,
)
from .handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from .observers import LogEvents, Observer, log_events
from .server import Server, serve
from .starttls import start_tls
from .stats import Stats
from .strategies import ForkStrategy, SelectorStrategy, SyncStrategy, ThreadPoolStrategy, ThreadStrategy
from .transports import (
    AdoptedTransport,
    TcpTransport,
    TlsTransport,
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
    "Deadlines",
    "Event",
    "ForkStrategy",
    "InetAddress",
    "ListenError",
    "Lock",
    "LogEvents",
    "Observer",
    "OptionError",
    "OptionTypeError",
    "PeerGoneError",
    "Queue",
    "RequestAborted",
    "SelectorStrategy",
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
    "TlsHandshakeError",
    "TlsTransport",
    "UdpTransport",
    "UnixAddress",
    "UnixDatagramTransport",
    "UnixStreamTransport",
    "alongside",
    "cooperative",
    "log_events",
    "serve",
    "sleep",
    "start_tls",
)

__version__ = "0.1.0"
