"""
What happens in a server, as frozen records handed to its observer.

The core logs nothing itself. Every record has ``server_address``, the address that the server listens at, and
``client_address`` where one request is meant. Durations are seconds of the monotonic clock.
"""

from ._base import (
    Event,
)
from ._processes import (
    ChildDied,
    ForkedBesideThreads,
    WorkerDied,
    WorkerEnded,
    WorkerFailed,
    WorkerReplaced,
    WorkerStarted,
)
from ._requests import (
    Accepted,
    DeadlinePassed,
    Finished,
    HandlerFailed,
    HandlerSlow,
    MessageDropped,
    MessageRefused,
    NotOpened,
    NotStarted,
    PeerGone,
    ProxyFailed,
    Refused,
    RequestAbandoned,
    TaskLost,
    TlsFailed,
    VerifyFailed,
)
from ._servers import (
    AcceptFailed,
    AcceptPaused,
    AcceptResumed,
    Closed,
    Drained,
    Draining,
    LimitReached,
    LimitRelieved,
    Listening,
    RequestsAbandoned,
)

__all__ = (
    "AcceptFailed",
    "AcceptPaused",
    "AcceptResumed",
    "Accepted",
    "ChildDied",
    "Closed",
    "DeadlinePassed",
    "Drained",
    "Draining",
    "Event",
    "Finished",
    "ForkedBesideThreads",
    "HandlerFailed",
    "HandlerSlow",
    "LimitReached",
    "LimitRelieved",
    "Listening",
    "MessageDropped",
    "MessageRefused",
    "NotOpened",
    "NotStarted",
    "PeerGone",
    "ProxyFailed",
    "Refused",
    "RequestAbandoned",
    "RequestsAbandoned",
    "TaskLost",
    "TlsFailed",
    "VerifyFailed",
    "WorkerDied",
    "WorkerEnded",
    "WorkerFailed",
    "WorkerReplaced",
    "WorkerStarted",
)
