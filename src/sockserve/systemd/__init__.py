"""
What a service says to systemd, and gets of it: sockets that are open already, readiness, a watchdog.

Nothing is loaded of systemd's: it is environment variables, descriptors and a datagram socket (sd_listen_fds(3),
sd_notify(3), sd_watchdog_enabled(3)). Where the program was not started by systemd, each part does nothing.
"""

from ._notify import Notifier, NotifyError
from ._observer import SystemdObserver
from ._sockets import ActivatedSocket, activated, transport
from ._watchdog import Watchdog

__all__ = (
    "ActivatedSocket",
    "Notifier",
    "NotifyError",
    "SystemdObserver",
    "Watchdog",
    "activated",
    "transport",
)
