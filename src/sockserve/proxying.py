"""What a proxy has said of a connection, for the handler that serves it."""

import attrs

from .abc._arrival import current_job
from .addresses import Address

__all__ = ("Proxied", "proxied")


@attrs.frozen(kw_only=True)
class Proxied:
    """
    What a proxy has said of a connection, by the header of the PROXY protocol.

    Attributes:
        proxy: The proxy's own address: who is at the other end of the connection.
        client: Whom it speaks for, as ``client_address`` then is (but for a Unix client behind TCP, whose path is
            here only). None where it did not say: it speaks for itself
            (a health check; LOCAL in version 2), or does not know (UNKNOWN, UNSPEC). ``client_address`` is the
            proxy's own then.
        destination: Where that client has connected to, at the proxy; None as for ``client``.
        version: Of the header: 1 (a line of text) or 2 (binary).
    """

    proxy: Address
    client: Address | None
    destination: Address | None
    version: int


def proxied() -> Proxied | None:
    """
    Return what a proxy has said of the connection of the request that calls; None where no proxy was asked.

    To be called by a handler, in the thread, process or row that runs the request. `ProxyProtocolTransport` puts
    it there.
    """
    job = current_job.get()
    found: Proxied | None = getattr(job, "proxied", None)
    return found
