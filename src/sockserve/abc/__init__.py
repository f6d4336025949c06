"""
The interfaces between the parts. Who writes a transport or a strategy implements these and nothing else.

A transport makes a `Listener`, whose arrivals become jobs; a strategy makes a `Runner`, which is given jobs. A
strategy knows neither transports nor handlers, a transport neither strategies nor handlers.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from .._typing import TypeVar
from ._arrival import Arrival, DatagramRequest, Keeper
from ._loop import EDGE, PEER_CLOSED, READ, URGENT, WRITE, Loop, Timer
from ._message import BulkFraming, Conversation, Decoder, Framing, Reply
from ._strategy import Core, Job, ListingRunner, LoopRunner, Runner, Strategy
