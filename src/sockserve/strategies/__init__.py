"""Where requests run: one file for each strategy."""

from ._executor import ExecutorStrategy
from ._fork import ForkStrategy
from ._prefork import PreforkStrategy
from ._selector import SelectorStrategy
from ._sync import SyncStrategy
from ._thread import ThreadStrategy
from ._thread_pool import ThreadPoolStrategy

__all__ = (
    "ExecutorStrategy",
    "ForkStrategy",
    "PreforkStrategy",
    "SelectorStrategy",
    "SyncStrategy",
    "ThreadPoolStrategy",
    "ThreadStrategy",
)
