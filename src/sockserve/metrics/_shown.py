"""Addresses, as text that does no harm where people read it."""

from .._text import printable
from ..addresses import InetAddress, UnixAddress

__all__ = ("address_text",)


def address_text(address: object) -> str:
    """Write an address as people do: ``127.0.0.1:80``, ``[::1]:80``, a path, ``@name`` where it is abstract."""
    if isinstance(address, UnixAddress):
        return printable(_unix_text(address))
    return printable(str(address) if isinstance(address, str | InetAddress) else repr(address))


def _unix_text(address: UnixAddress) -> str:
    if address.abstract:
        return "@" + address[1:]
    if not address:
        return "unnamed"
    if address == "unix:" and address.pid is not None:
        return f"unix: pid {address.pid}, uid {address.uid}"
    return str(address)
