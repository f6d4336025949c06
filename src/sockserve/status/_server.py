"""The server of a status page."""

import functools
import ipaddress
import socket
from collections.abc import Collection

from .._validators import fail_type
from ..addresses import InetAddress
from ..deadlines import Deadlines
from ..errors import OptionError
from ..limits import Limits
from ..metrics._watched import Servers, Watched
from ..observers import LogEvents, Observer
from ..server import Server
from ..strategies import SelectorStrategy
from ..transports import TcpTransport
from ._handler import StatusHandler
from ._site import Site

__all__ = ("is_loopback", "status_server")

_NAME = "status_server"
#: A browser opens six connections to a host, at most. A crowd of viewers is not to take every descriptor.
_LIMITS = Limits(connections=64, overload="close")
#: Nor are viewers that have gone without a word. A page asks once a second; Prometheus once a minute, mostly, and
#: else connects anew.
_DEADLINES = Deadlines(idle=75.0)
#: Viewers come and go: that can be silenced by itself.
_log_events = LogEvents("sockserve.status")


def status_server(
    servers: Servers,
    address: tuple[str, int] = ("127.0.0.1", 0),
    *,
    remote: bool = False,
    hosts: Collection[str] = (),
    observer: Observer = _log_events,
) -> Server[socket.socket, InetAddress]:
    """
    Make a server that shows what *servers* are doing.

    It has ``/`` for people, ``/status.json``, ``/metrics`` for Prometheus, and ``/healthz`` for a load balancer:
    200 while all of them serve, else 503. Serve it beside them, on their loop::

        serve(server, beside=[status_server(server, ("127.0.0.1", 8081))])

    So it answers whatever their threads and processes do. Only what holds the loop's own thread (a handler under
    `SyncStrategy`, or one that blocks the table) holds the page, too. From here on requests are timed and events
    counted, as by `Server.measure`.

    Args:
        servers: A server, several, or a dict of names for them to them.
        address: Where to listen: host and port. Port 0, the default, lets the system choose.
        remote: Whether *address* may be one that other machines reach. They see the addresses of clients and the
            names of handlers, and nothing asks who they are: put a proxy in between that does.
        hosts: Names that the page is asked for by, besides IP addresses and ``localhost``: that of a proxy, for
            instance. Others are refused, since any page in a browser could point a name of its own here (DNS
            rebinding).
        observer: Told of what happens to the page's own requests: by default the logger ``sockserve.status``.

    Raises:
        OptionError: *address* is no loopback address, and *remote* is not set; or there is no server.
        OptionTypeError: A value is of the wrong type.
    """
    transport = TcpTransport(_checked(address, remote=remote))
    if isinstance(hosts, str) or not all(isinstance(host, str) for host in hosts):
        raise fail_type(_NAME, "hosts", hosts, "several names")
    site = Site(Watched.of(servers, _NAME), frozenset(host.lower() for host in hosts))
    handler = functools.partial(StatusHandler, site=site)
    return Server(transport, SelectorStrategy(), handler, limits=_LIMITS, deadlines=_DEADLINES, observer=observer)


def _checked(address: tuple[str, int], *, remote: bool) -> tuple[str, int]:
    if not isinstance(address, tuple) or len(address) != 2:  # type: ignore[redundant-expr]
        raise fail_type(_NAME, "address", address, 'a host and a port, such as ("127.0.0.1", 8081)')
    if not isinstance(remote, bool):
        raise fail_type(_NAME, "remote", remote, "True or False")
    if not remote and not is_loopback(address[0]):
        raise OptionError(
            f"{_NAME}: {address!r} can be reached from other machines, and nothing asks who is there: "
            'use "127.0.0.1" or "::1", or say remote=True'
        )
    return address


def is_loopback(host: object) -> bool:
    """Whether *host* is this machine alone, whatever a name server says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else "").is_loopback
    except ValueError:
        return False  # a name, which may be anything tomorrow; "", which is every interface
