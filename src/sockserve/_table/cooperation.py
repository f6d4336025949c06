"""Making the sockets that a handler opens park like the one that it was given."""

import socket

from .current import current_row

__all__ = ("cooperative",)


def cooperative(sock: socket.socket) -> socket.socket:
    """
    Let *sock* park the request that uses it, as the request's own socket does.

    Under `SelectorStrategy` the result is a new socket object that has taken over the descriptor, with the same
    timeout; *sock* itself is closed by that, as `ssl.SSLContext.wrap_socket` does it. Elsewhere it is *sock*.
    Resolving names blocks in either case: connect to an address, or resolve it in a thread.

    Args:
        sock: A plain socket, connected or not.

    Raises:
        TypeError: It is of a subclass, which may do more than a socket (encrypt, for instance).
    """
    if current_row() is None:
        return sock
    from .sockets import adopt  # noqa: PLC0415 - loaded already, with the table that the row is in

    return adopt(sock)
