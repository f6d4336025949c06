"""Which servers are told about, and by what name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import attrs

from ..addresses import InetAddress, UnixAddress
from ..errors import OptionError, OptionTypeError
from ..server import AnyServer, Server
from ..transports import TlsTransport
from ._shown import address_text

__all__ = ("Servers", "Watched")

#: One server, several, or several by names of one's own.
Servers: TypeAlias = AnyServer | Iterable[AnyServer] | Mapping[str, AnyServer]


@attrs.frozen
class Watched:
    """
    Servers that are measured from here on.

    Args:
        servers: By their names; None as a name stands for what the address says, once there is one.
    """

    servers: tuple[tuple[str | None, AnyServer], ...]

    @classmethod
    def of(cls, servers: Servers, owner: str) -> "Watched":
        """
        Begin to measure *servers*.

        Raises:
            OptionError: There is none.
            OptionTypeError: One of them is no server. Both name the *owner*, whose argument it is.
        """
        named = tuple(_checked(name, server, owner) for name, server in _named(servers))
        if not named:
            raise OptionError(f"{owner} needs at least one server to tell about")
        for _, server in named:
            server.measure()
        return cls(named)

    def by_name(self) -> dict[str, AnyServer]:
        """Return those that have been opened, each by a name of its own."""
        found: dict[str, AnyServer] = {}
        for given, server in self.servers:
            if server.state != "new":
                name = server_name(server) if given is None else given
                found[_unused(name, found)] = server
        return found


def _named(servers: object) -> Iterator[tuple[object, object]]:
    if isinstance(servers, Mapping):
        yield from servers.items()
    elif isinstance(servers, Iterable):
        for server in servers:
            yield None, server
    else:
        yield None, servers


def _checked(name: object, server: object, owner: str) -> tuple[str | None, AnyServer]:
    if isinstance(server, Server) and isinstance(name, str | None):
        return name, server
    raise OptionTypeError(
        f"{owner}: servers must be a Server, several, or a dict of names to them; there is {server!r}"
    )


def server_name(server: AnyServer) -> str:
    """Say where a server listens, as a URL does: ``tcp://127.0.0.1:9000``, ``unix:///run/x``."""
    return f"{_scheme(server)}://{address_text(server._core.address)}"


def _scheme(server: AnyServer) -> str:
    address, stream = server._core.address, server.transport.stream
    if isinstance(server.transport, TlsTransport):
        return "tls"
    if isinstance(address, InetAddress):
        return "tcp" if stream else "udp"
    if isinstance(address, UnixAddress):
        return "unix" if stream else "unix-datagram"
    return type(server.transport).__name__.removesuffix("Transport").lower()


def _unused(name: str, taken: Mapping[str, object]) -> str:
    """Give *name*, with a number behind where another server has it: SO_REUSEPORT lets them share an address."""
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}#{number}"
    return unique
