"""Names that somebody else has chosen, as text that does no harm where people read it."""

from ..addresses import InetAddress, UnixAddress

__all__ = ("address_text", "printable")


def printable(text: str) -> str:
    r"""
    Write what cannot be seen, or would turn the text around, as Python escapes it: ``\n``, ``\u202e``, ``\udcff``.

    A peer on a Unix socket chooses its own address: it is not to write lines, nor to disguise itself.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def address_text(address: object) -> str:
    """Write an address as people do: ``127.0.0.1:80``, ``[::1]:80``, a path, ``@name`` where it is abstract."""
    if isinstance(address, InetAddress):
        host = f"[{address.host}]" if ":" in address.host else address.host
        return printable(f"{host}:{address.port}")
    if isinstance(address, UnixAddress):
        return printable(_unix_text(address))
    return printable(address if isinstance(address, str) else repr(address))


def _unix_text(address: UnixAddress) -> str:
    if address.abstract:
        return "@" + address[1:]
    if not address:
        return "unnamed"
    if address == "unix:" and address.pid is not None:
        return f"unix: pid {address.pid}, uid {address.uid}"
    return str(address)
