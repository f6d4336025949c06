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
    ArrivalRefused,
    CompositionError,
    DatagramTruncated,
    IncompleteMessage,
    ListenError,
    MessageError,
    MessageTooLong,
    OpeningError,
    OptionError,
    OptionTypeError,
    PeerGoneError,
    ProxyProtocolError,
    RequestAborted,
    ServerStateError,
    SockserveError,
    SockserveWarning,
    TaskLostError,
    TlsHandshakeError,
    WorkerError,
)
from .framing import Chunks, Delimited, LengthPrefixed, Lines
from .handlers import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler
from .limits import Limits
from .messages import MessageHandler
from .observers import LogEvents, Observer, log_events
from .proxying import Proxied, proxied
from .server import Server, serve
from .starttls import start_tls
from .stats import Distribution, Measurements, RowInfo, Stats, WorkerInfo
from .strategies import (
    ExecutorStrategy,
    ForkStrategy,
    PreforkStrategy,
    SelectorStrategy,
    SyncStrategy,
    ThreadPoolStrategy,
    ThreadStrategy,
)
from .transports import (
    AdoptedTransport,
    ProxyProtocolTransport,
    TcpTransport,
    TlsTransport,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
)

__all__ = (
    "Address",
    "AdoptedTransport",
    "ArrivalRefused",
    "BaseRequestHandler",
    "Chunks",
    "CompositionError",
    "DatagramRequestHandler",
    "DatagramTruncated",
    "Deadlines",
    "Delimited",
    "Distribution",
    "Event",
    "ExecutorStrategy",
    "ForkStrategy",
    "IncompleteMessage",
    "InetAddress",
    "LengthPrefixed",
    "Limits",
    "Lines",
    "ListenError",
    "Lock",
    "LogEvents",
    "Measurements",
    "MessageError",
    "MessageHandler",
    "MessageTooLong",
    "Observer",
    "OpeningError",
    "OptionError",
    "OptionTypeError",
    "PeerGoneError",
    "PreforkStrategy",
    "Proxied",
    "ProxyProtocolError",
    "ProxyProtocolTransport",
    "Queue",
    "RequestAborted",
    "RowInfo",
    "SelectorStrategy",
    "Server",
    "ServerStateError",
    "SockserveError",
    "SockserveWarning",
    "Stats",
    "StreamRequestHandler",
    "SyncStrategy",
    "TaskLostError",
    "TcpTransport",
    "ThreadPoolStrategy",
    "ThreadStrategy",
    "TlsHandshakeError",
    "TlsTransport",
    "UdpTransport",
    "UnixAddress",
    "UnixDatagramTransport",
    "UnixStreamTransport",
    "WorkerError",
    "WorkerInfo",
    "alongside",
    "cooperative",
    "log_events",
    "proxied",
    "serve",
    "sleep",
    "start_tls",
)

__version__ = "0.1.0"
