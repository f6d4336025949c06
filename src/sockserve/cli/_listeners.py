"""Transports from what was typed for each listener: ``127.0.0.1:9000,backlog=100``."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from .. import systemd
from .._named.parts import AnyTransport, make_transport
from ..errors import CompositionError, OptionError
from ..transports import AdoptedTransport
from ._options import Listen
from ._usage import UsageError

__all__ = ("Wrap", "transports")

#: Puts a transport of connections into another: TLS, the PROXY protocol.
Wrap: TypeAlias = Callable[[AnyTransport], AnyTransport]

#: What a listener may say of each wrapping: its name, and the option that there has to be for it.
_WRAPPINGS = {"proxy": "--proxy-from", "tls": "--tls-cert"}


def transports(listen: Listen, wrappings: Mapping[str, Wrap | None]) -> Iterator[AnyTransport]:
    """
    Make the transports of one listener; `--systemd` may stand for several.

    Args:
        listen: As typed.
        wrappings: By name, from the inside out: what is put around transports of connections, unless a listener
            says otherwise, as by ``tls=false``. None: nothing.

    Raises:
        UsageError: Something of it cannot work; the text names the option.
    """
    shown = f"--{listen.transport} {listen.text}".rstrip()
    try:
        address, settings = _split(listen.text)
        said = {name: _take_boolean(name, settings) for name in wrappings}
        if listen.transport == "systemd":
            made: list[AnyTransport] = _adopt_systemd(address, settings)
        else:
            made = [make_transport(listen.transport, address, settings)]
    except (OptionError, CompositionError) as error:
        raise UsageError(f"{shown}: {error}") from error
    for name, wrap in wrappings.items():
        if said[name] and wrap is None:
            raise UsageError(f"{shown}: {name}=true needs {_WRAPPINGS[name]}")
    wanted = [wrap for name, wrap in wrappings.items() if wrap is not None and said[name] is not False]
    for each in made:
        transport = each
        for wrap in wanted if transport.stream else ():
            try:
                transport = wrap(transport)
            except (OptionError, CompositionError) as error:
                raise UsageError(f"{shown}: {error}") from error
        yield transport


def _split(text: str) -> tuple[str, list[str]]:
    """Divide an address from its options; two commas are one that belongs to a value."""
    parts = [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]
    return parts[0], parts[1:]


def _take_boolean(name: str, settings: list[str]) -> bool | None:
    """Take ``name=false`` or ``name=true`` out of the options of a listener: it is no option of a transport."""
    said: bool | None = None
    for setting in tuple(settings):
        key, _, value = setting.partition("=")
        if key == name:
            if value not in {"true", "false"}:
                raise OptionError(f"{name} must be true or false, not {value!r}")
            said = value == "true"
            settings.remove(setting)
    return said


def _adopt_systemd(name: str, settings: list[str]) -> list[AnyTransport]:
    """Adopt all sockets that systemd has handed over, or those with this name."""
    if settings:
        raise OptionError(f"{settings[0]!r}: options of these sockets belong into systemd's .socket unit")
    found = systemd.activated()
    if not found:
        raise OptionError(
            "systemd has handed no socket to this process (LISTEN_PID): start it by its .socket unit, or "
            "`systemd-socket-activate -l 9000 sockserve serve ...`"
        )
    chosen = [each for each in found if name in {"", each.name}]
    if not chosen:
        names = ", ".join(each.name for each in found)
        raise OptionError(f"none of systemd's sockets has the name {name!r}; there are {names}")
    return [AdoptedTransport(each.fd) for each in chosen]
