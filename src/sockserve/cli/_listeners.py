"""Transports from what was typed for each listener: ``127.0.0.1:9000,backlog=100``."""

import os
from collections.abc import Callable, Iterator

from .._named.parts import AnyTransport, make_transport
from ..errors import CompositionError, OptionError
from ..transports import AdoptedTransport
from ._options import Listen
from ._usage import UsageError

__all__ = ("systemd_descriptors", "transports")

#: The first descriptor that systemd hands over (sd_listen_fds(3), SD_LISTEN_FDS_START).
_FIRST = 3

Secure = Callable[[AnyTransport], AnyTransport]


def transports(listen: Listen, secure: Secure | None) -> Iterator[AnyTransport]:
    """
    Make the transports of one listener; `--systemd` may stand for several.

    Args:
        listen: As typed.
        secure: Adds TLS to a transport of connections. None: without.

    Raises:
        UsageError: Something of it cannot work; the text names the option.
    """
    shown = f"--{listen.transport} {listen.text}".rstrip()
    try:
        address, settings = _split(listen.text)
        tls = _take_tls(settings)
        if listen.transport == "systemd":
            made: list[AnyTransport] = _adopt_systemd(address, settings)
        else:
            made = [make_transport(listen.transport, address, settings)]
    except (OptionError, CompositionError) as error:
        raise UsageError(f"{shown}: {error}") from error
    if tls and secure is None:
        raise UsageError(f"{shown}: tls=true needs --tls-cert")
    for transport in made:
        yield secure(transport) if secure is not None and transport.stream and tls is not False else transport


def _split(text: str) -> tuple[str, list[str]]:
    """Divide an address from its options; two commas are one that belongs to a value."""
    parts = [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]
    return parts[0], parts[1:]


def _take_tls(settings: list[str]) -> bool | None:
    """Take ``tls=false`` or ``tls=true`` out of the options of a listener: it is no option of a transport."""
    said: bool | None = None
    for setting in tuple(settings):
        name, _, value = setting.partition("=")
        if name == "tls":
            if value not in {"true", "false"}:
                raise OptionError(f"tls must be true or false, not {value!r}")
            said = value == "true"
            settings.remove(setting)
    return said


def _adopt_systemd(name: str, settings: list[str]) -> list[AnyTransport]:
    if settings:
        raise OptionError(f"{settings[0]!r}: options of these sockets belong into systemd's .socket unit")
    return [AdoptedTransport(fd) for fd in systemd_descriptors(name)]


def systemd_descriptors(name: str = "") -> list[int]:
    """
    Return the descriptors that systemd has handed over (sd_listen_fds(3)): all, or those with this name.

    Raises:
        OptionError: There are none for this process, or none of that name.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise OptionError(
            "systemd has handed no socket to this process (LISTEN_PID): start it by its .socket unit, or "
            "`systemd-socket-activate -l 9000 sockserve serve ...`"
        )
    count = int(os.environ.get("LISTEN_FDS", "0"))
    found = list(range(_FIRST, _FIRST + count))
    for fd in found:
        os.set_inheritable(fd, False)
    if not name:
        return found
    named = os.environ.get("LISTEN_FDNAMES", "").split(":")
    chosen = [fd for fd, each in zip(found, named, strict=False) if each == name]
    if not chosen:
        raise OptionError(f"none of systemd's sockets has the name {name!r}; there are {', '.join(named)}")
    return chosen
