"""Telling systemd how the service is (sd_notify(3))."""

import os
import socket
import sys
import time

import attrs

from .._validators import fail, fail_type
from ..errors import CompositionError, SockserveError

__all__ = ("Notifier", "NotifyError")

#: Seconds, at most, that a message waits where systemd does not read: whoever sends it may be the loop.
_PATIENCE = 1.0


class NotifyError(SockserveError, OSError):
    """systemd could not be told something. ``errno`` is the system's."""


def _from_environment() -> str | None:
    return os.environ.get("NOTIFY_SOCKET") or None


def _check_address(owner: object, attribute: "attrs.Attribute[str | None]", address: object) -> None:
    if address is None:
        return
    if not isinstance(address, str):
        raise fail_type(owner, attribute.name, address, "a path, '@name', or None")
    if address[:1] not in {"/", "@"} or "\0" in address:
        raise fail(owner, attribute.name, address, "an absolute path, or '@' and an abstract name (no vsock)")
    if sys.platform == "win32":
        raise CompositionError("Notifier: this platform has no Unix sockets, and no systemd")


@attrs.frozen
class Notifier:
    """
    Tells systemd, or whoever has started the service in its place, how it is. Any thread.

    It is false where there is nobody to tell, and its methods then do nothing.

    Args:
        address: Of the socket to tell it to; ``"@name"`` is an abstract name. By default what the environment says
            (``NOTIFY_SOCKET``): systemd sets it where the unit has ``Type=notify``, or ``NotifyAccess=``.

    Raises:
        OptionError: The address is neither an absolute path nor an abstract name.

    Resource handling:
        Each message has its own socket: nothing stays open.
    """

    address: str | None = attrs.field(factory=_from_environment, validator=_check_address)

    def __bool__(self) -> bool:
        """Whether there is somebody to tell."""
        return self.address is not None

    def ready(self, status: str | None = None) -> None:
        """Tell that the service is up, or has read its configuration again. *status* as for `status`."""
        self._tell("READY=1", status)

    def stopping(self, status: str | None = None) -> None:
        """Tell that it begins to end."""
        self._tell("STOPPING=1", status)

    def reloading(self, status: str | None = None) -> None:
        """Tell that it reads its configuration again; `ready` ends that (``Type=notify-reload``)."""
        if sys.platform != "win32":
            # systemd compares with this clock, which is not `time.monotonic`'s everywhere.
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}", status)

    def status(self, text: str) -> None:
        """
        Show a line of *text* to who asks for the service's status (``systemctl status``).

        Raises:
            OptionError: It has more than one line.
        """
        self._tell("", text)

    def watchdog(self) -> None:
        """Tell that it is alive; see `Watchdog`, which does so by itself."""
        self._tell("WATCHDOG=1", None)

    def _tell(self, state: str, status: str | None) -> None:
        if status is not None:
            if "\n" in status:
                raise fail(self, "status", status, "one line")
            state = f"{state}\nSTATUS={status}".lstrip("\n")
        self.send(state)

    def send(self, state: str) -> None:
        r"""
        Send what sd_notify(3) knows, or will: lines of ``NAME=value``.

        Raises:
            NotifyError: It could not be sent, for a second at most.
        """
        if sys.platform == "win32" or self.address is None:
            return
        target = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_PATIENCE)
                sock.connect(target)
                sock.sendall(state.encode())
        except OSError as error:
            raise NotifyError(
                error.errno, f"could not tell systemd {state!r} at {self.address!r}: {error}"
            ) from error
