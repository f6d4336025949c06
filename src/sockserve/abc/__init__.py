"""
The interfaces between the parts. Who writes a transport or a strategy implements these and nothing else.

A transport makes a `Listener`, whose arrivals become jobs; a strategy makes a `Runner`, which is given jobs. A
strategy knows neither transports nor handlers, a transport neither strategies nor handlers.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from .._typing import TypeVar
from ._arrival import Arrival, DatagramRequest, Keeper, Unwelcome
from ._loop import EDGE, EXCLUSIVE, PEER_CLOSED, READ, URGENT, WRITE, Loop, Timer
from ._message import BulkFraming, Conversation, Decoder, Framing, PartialDecoder, Reply
from ._opening import Opening, Patience
from ._runners import (
    DrainingRunner,
    HoldingRunner,
    ListingRunner,
    LoopRunner,
    PulseRunner,
    SilenceRunner,
    StaffedRunner,
    TurningRunner,
)
from ._strategy import (
    CheckingStrategy,
    Core,
    Job,
    LoadingStrategy,
    OpeningStrategy,
    Runner,
    Strategy,
)
from ._transport import Configure, Listener, PulseListener, SharingTransport, Transport
from ._workers import Cells, Order, Overseer, Supervisor, Tally, WorkerCore, Workplace

__all__ = (
    "EDGE",
    "EXCLUSIVE",
    "PEER_CLOSED",
    "READ",
    "URGENT",
    "WRITE",
    "Arrival",
    "BulkFraming",
    "Cells",
    "CheckingStrategy",
    "Configure",
    "Conversation",
    "Core",
    "DatagramRequest",
    "Decoder",
    "DrainingRunner",
    "Framing",
    "Handler",
    "HoldingRunner",
    "Job",
    "Keeper",
    "Listener",
    "ListingRunner",
    "LoadingStrategy",
    "Loop",
    "LoopRunner",
    "Opening",
    "OpeningStrategy",
    "Order",
    "Overseer",
    "PartialDecoder",
    "Patience",
    "PulseListener",
    "PulseRunner",
    "Reply",
    "Runner",
    "SharingTransport",
    "SilenceRunner",
    "StaffedRunner",
    "Strategy",
    "Supervisor",
    "Tally",
    "Timer",
    "Transport",
    "TurningRunner",
    "Unwelcome",
    "WorkerCore",
    "Workplace",
)

R = TypeVar("R")
A = TypeVar("A")

#: What answers: called with the request, the client's address and the server. The result is not used. A plain
#: callable type and neither a callback protocol nor ``type[...]``, since only so do type checkers explain a
#: handler that does not fit (docs/design/0003-typing.md).
Handler: TypeAlias = Callable[[R, A, Any], object]  # type: ignore[explicit-any]  # servers of any type variables
