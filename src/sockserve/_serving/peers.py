"""Who is one peer, and how many requests of his are in flight."""

import socket
import threading
from collections import deque
from collections.abc import Hashable

import attrs

from ..abc._arrival import AnyArrival
from ..addresses import InetAddress, UnixAddress

__all__ = ("Census", "peer_of")

#: The network's part of a global IPv6 address, in bytes: the least that anybody is given (RFC 6177).
_NETWORK = 8
#: ``::ffff:0:0/96``: IPv4 addresses in the form of IPv6 (RFC 4291, 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"


def peer_of(address: object) -> Hashable | None:
    """Say who is behind a client's *address*: the same for all that is his; None where nobody can tell."""
    match address:
        case InetAddress(host, _):
            return _of_ipv6(host) if ":" in host else host
        case UnixAddress():
            return address.uid
        case (Hashable() as host, *_):  # of a transport of somebody else's, in the order of all sockets
            return host
        case _:
            return None


def _of_ipv6(host: str) -> Hashable:
    try:
        packed = socket.inet_pton(socket.AF_INET6, host)
    except OSError:  # with its scope: of this link, where each host has one
        return host
    if packed.startswith(_MAPPED):
        return socket.inet_ntoa(packed[len(_MAPPED) :])
    is_global = packed[0] & 0xE0 == 0x20  # 2000::/3 (RFC 4291, 2.4); others are an organisation's own, or a link's
    return packed[:_NETWORK] if is_global else packed


@attrs.define(eq=False)
class Census:
    """
    Counts the requests in flight of each peer.

    They end in any thread: who has ended is put into a queue, and counted out before the next is counted in. So an
    end takes no lock, and neither does a beginning, while all begin in the loop's thread.

    Args:
        most: Of one peer.
    """

    most: int
    #: Whether requests begin in other threads, too.
    shared: bool = attrs.field(init=False, default=False)
    _counts: dict[Hashable, int] = attrs.field(init=False, factory=dict)
    _ended: deque[Hashable] = attrs.field(init=False, factory=deque)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def begin(self, arrival: AnyArrival) -> bool:
        """Count a request in; whether there is room for it. If not, it is not counted."""
        address = arrival.client_address
        # For each connection over IPv4, which most are, without a call.
        peer = address[0] if type(address) is InetAddress and ":" not in address[0] else peer_of(address)
        if peer is None:
            return True
        if self.shared:
            with self._lock:
                arrival.peer = peer if self._count_in(peer) else None
        else:
            arrival.peer = peer if self._count_in(peer) else None
        return arrival.peer is not None

    def _count_in(self, peer: Hashable) -> bool:
        counts, ended = self._counts, self._ended
        while ended:
            other = ended.popleft()
            number = counts[other]
            if number > 1:
                counts[other] = number - 1
            else:
                del counts[other]  # memory is that of the peers of this moment
        number = counts.get(peer, 0)
        if number >= self.most:
            return False
        counts[peer] = number + 1
        return True

    def end(self, arrival: AnyArrival) -> None:
        """Count a request out, if it was counted in. Any thread. Again: no effect."""
        peer = arrival.peer
        if peer is not None:
            arrival.peer = None
            self._ended.append(peer)
