"""
For tests of servers, and of transports and strategies of one's own. See docs/testing.md.

`Serving` is what the pytest fixture ``serve`` gives. `check_transport`, `check_strategy` and `check_concurrency`
are lists of laws. Nothing here needs pytest; the plugin that brings the fixture loads itself.
"""

from ._clients import Client, Connect, connect
from ._clock import FakeClock
from ._failures import Failure
from ._fakes import FakeCore, FakeJob, FakeLoop
from ._gate import Gate
from ._kit import Kit, Law
from ._memory import MemoryTransport
from ._recorder import Recorder
from ._serving import Served, ServeFailed, Serving
from ._strategy_laws import check_concurrency, check_strategy
from ._transport_laws import check_transport

__all__ = (
    "Client",
    "Connect",
    "Failure",
    "FakeClock",
    "FakeCore",
    "FakeJob",
    "FakeLoop",
    "Gate",
    "Kit",
    "Law",
    "MemoryTransport",
    "Recorder",
    "ServeFailed",
    "Served",
    "Serving",
    "check_concurrency",
    "check_strategy",
    "check_transport",
    "connect",
)
