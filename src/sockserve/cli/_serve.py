"""``sockserve serve``: compose, listen, serve, drain."""

import contextlib
import inspect
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from .. import logs
from .._named.parts import AnyTransport, make_strategy, options_of, read_option
from .._named.references import resolve
from ..abc import Handler, Strategy
from ..deadlines import Deadlines
from ..errors import CompositionError, ListenError, OptionError
from ..limits import Limits
from ..observers import log_events
from ..server import AnyServer, Server, serve
from ..strategies import PreforkStrategy
from ..systemd import Notifier, SystemdObserver, Watchdog
from ..transports import ProxyProtocolTransport
from ._announcing import Announcer
from ._listeners import Wrap, transports
from ._options import VALUES, ServeOptions
from ._status import status_servers
from ._stopping import Stopper
from ._tls import securing
from ._usage import FAILED, OK, UsageError, one_line, refusal

if TYPE_CHECKING:
    import socket

    from ..abc import Transport

__all__ = ("run",)

AnyHandler: TypeAlias = Handler[object, object]

#: Seconds that requests in flight have when the program is started again: somebody waits for it.
RELOAD_GRACE = 1.0

_log = logging.getLogger("sockserve.cli")


def run(options: ServeOptions, announcer: Announcer) -> int:
    """
    Serve as *options* say, until a signal, a handler or a failure ends it.

    Args:
        options: What was typed.
        announcer: Tells the parent of ``--reload``, if there is one, what was imported.

    Returns:
        The exit status. Where a handler would hold the process for ever, it does not return: the process ends.

    Raises:
        UsageError: It cannot be served; nothing is open any more.
    """
    try:
        servers = _compose(options, announcer)
        beside = status_servers(servers, options.status)
    except (OptionError, CompositionError) as error:
        raise UsageError(str(error)) from error
    logs.configure(options.log_format, options.log_level)

    grace = min(options.grace, RELOAD_GRACE) if announcer.supervised else options.grace
    stopper = Stopper(servers, grace, _log, _leave)
    with stopper.installed():
        status = _serve(servers, beside, options, stopper)
    if any(server.stats.active for server in servers):
        _leave(status)  # else the interpreter would wait for the threads of these requests
    return status


def _leave(status: int = OK) -> None:
    """End the process, whoever else runs in it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or its reader has gone
            stream.flush()
    os._exit(status)


def _serve(servers: list[AnyServer], beside: list[AnyServer], options: ServeOptions, stopper: Stopper) -> int:
    with contextlib.ExitStack() as stack:
        for server in (*servers, *beside):
            try:
                stack.enter_context(server)
            except ListenError as error:
                raise UsageError(refusal(error)) from error
        if stopper.count:  # before there was a server to be stopped
            return OK
        _log.info(
            "serving %s, strategy %s, as process %d; Ctrl-C drains", options.handler, options.strategy, os.getpid()
        )
        for page in beside:
            _log.info("status page: http://%s/", page.address)
        try:
            serve(*servers, beside=beside)
        except Exception:  # noqa: BLE001 - logged with its traceback, and the status says it
            _log.exception("serving failed")
            return FAILED
    return OK


def _compose(options: ServeOptions, announcer: Announcer) -> list[AnyServer]:
    """
    Make a server for each listener, with one strategy and handler.

    Raises:
        UsageError, OptionError, CompositionError: Something is wrong with it.
    """
    if not options.listen:
        raise UsageError("nowhere to listen: add, for example, --tcp 127.0.0.1:9000")
    strategy = _strategy(options)
    try:
        handler = _handler(options.handler)
    except (OptionError, UsageError) as error:
        announcer.announce_failure(error)
        raise
    announcer.announce()
    limits = cast("Limits", _value("limit", options))
    deadlines = cast("Deadlines", _value("deadline", options))
    secure, unwrap = securing(options.tls_cert, options.tls_key), _proxied(options.proxy_from)
    wrappings = {"proxy": unwrap, "tls": secure}  # the header of the PROXY protocol comes first, in clear
    made = [transport for listen in options.listen for transport in transports(listen, wrappings)]
    if not any(transport.stream for transport in made):
        for option, wrap in (("--tls-cert", secure), ("--proxy-from", unwrap)):
            if wrap is not None:
                raise UsageError(f"{option} is for connections, and no listener brings any")
    observer = SystemdObserver(servers=len(made)) if Notifier() else log_events
    # One server of a loop is enough to look for what was imported later, and to say that the loop turns.
    actions = announcer.announce if announcer.supervised else Watchdog.from_environment()
    return [
        Server(
            transport,
            strategy,
            handler,
            limits=limits,
            deadlines=deadlines,
            observer=observer,
            service_actions=actions if transport is made[0] else None,
        )
        for transport in made
    ]


def _proxied(networks: Sequence[str]) -> Wrap | None:
    """Return what believes proxies of these networks about their clients; None without any."""
    if not networks:
        return None

    def unwrap(transport: AnyTransport) -> AnyTransport:
        return ProxyProtocolTransport(cast("Transport[socket.socket, object]", transport), networks)

    return unwrap


def _strategy(options: ServeOptions) -> Strategy:
    try:
        inner = make_strategy(options.strategy, options.settings)
        return inner if options.workers is None else PreforkStrategy(inner, workers=options.workers)
    except (OptionError, CompositionError) as error:
        shown = " ".join(["--strategy", options.strategy, *(f"--set {each}" for each in options.settings)])
        if options.workers is not None:
            shown = f"{shown} --workers {options.workers}"
        raise UsageError(f"{shown}: {error}") from error


def _value(prefix: str, options: ServeOptions) -> object:
    known = options_of(VALUES[prefix])
    given = options.values.get(prefix, {})
    try:
        return VALUES[prefix](**{name: read_option(known[name], text) for name, text in given.items()})
    except OptionError as error:
        shown = " ".join(f"--{prefix}-{name.replace('_', '-')} {text}" for name, text in given.items())
        raise UsageError(f"{shown}: {error}") from error


def _handler(reference: str) -> AnyHandler:
    """Import the handler, from the current folder too, as `python -m` does."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = resolve(reference)
    if isinstance(found, Server):
        raise UsageError(f"{reference} is a whole server: run it by its own serve_forever(), or name its handler")
    if not callable(found):
        raise UsageError(
            f"{reference} is {one_line(repr(found))}, and cannot be called: a handler class or function is"
        )
    _check_signature(reference, found)
    return found


def _check_signature(reference: str, handler: AnyHandler) -> None:
    """Refuse what cannot be called with three arguments, which would else fail for each client."""
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # written in C: it may be anything
    try:
        signature.bind("request", "client_address", "server")
    except TypeError:
        raise UsageError(
            f"{reference}{signature} cannot be called with (request, client_address, server), as a handler is"
        ) from None
