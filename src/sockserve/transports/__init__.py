"""How requests arrive: one file for each transport."""

from ._adopted import AdoptedTransport
from ._proxy import ProxyProtocolTransport
from ._tcp import TcpTransport
from ._tls import TlsTransport
from ._udp import UdpTransport
from ._unix_datagram import UnixDatagramTransport
from ._unix_stream import UnixStreamTransport

__all__ = (
    "AdoptedTransport",
    "ProxyProtocolTransport",
    "TcpTransport",
    "TlsTransport",
    "UdpTransport",
    "UnixDatagramTransport",
    "UnixStreamTransport",
)
