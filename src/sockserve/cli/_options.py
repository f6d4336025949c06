"""The arguments of ``sockserve serve``: what there is to type, and what it means."""

import argparse
import math
from collections.abc import Iterable, Sequence
from typing import Literal, NoReturn, get_args, get_origin

import attrs

from .._named.parts import argument_docs, options_of
from .._named.registry import STRATEGIES, TRANSPORTS, names, nearest
from .._named.texts import members
from .._typing import override
from ..deadlines import Deadlines
from ..limits import Limits
from ._status import StatusOptions, add_status_arguments
from ._usage import UsageError

__all__ = ("Listen", "Parser", "ServeOptions", "add_serve_arguments", "serve_options")

#: Seconds of grace: `docker stop` kills after 10, systemd after 90, Kubernetes after 30.
GRACE = 10.0

#: Values whose fields are options, as ``--deadline-idle 60``: the prefix of each, and the class.
VALUES: dict[str, type] = {"limit": Limits, "deadline": Deadlines}


@attrs.frozen
class Listen:
    """One listener: the transport's name, and its address with options, as typed."""

    transport: str
    text: str


@attrs.frozen(kw_only=True)
class ServeOptions:
    """What ``sockserve serve`` was told, each value as typed where its meaning is decided later."""

    handler: str
    listen: tuple[Listen, ...]
    strategy: str
    settings: tuple[str, ...]
    values: dict[str, dict[str, str]]
    workers: int | None
    proxy_from: tuple[str, ...]
    tls_cert: str | None
    tls_key: str | None
    grace: float
    status: StatusOptions
    log_format: str | None
    log_level: str | None
    reload: bool


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and what was probably meant by an option that there is not."""

    @override
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)

    def refuse(self, extras: Sequence[str], known: Iterable[str]) -> None:
        """Refuse what no option has taken."""
        if not extras:
            return
        word = extras[0].partition("=")[0]
        if word.startswith("-"):
            said = nearest(word, known)
            raise UsageError(f"there is no option {word}{said if 'did you mean' in said else ''}")
        raise UsageError(f"{word!r} is one argument too many: options begin with --, and there is one handler")


class _Listening(argparse.Action):
    """Append to the one list of listeners, in the order in which they were typed."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        found: list[Listen] = getattr(namespace, "listen", None) or []
        found.append(Listen(self.dest, str(values or "")))
        namespace.listen = found


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"seconds, not below 0, are meant, not {text!r}")
    return value


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add everything that ``sockserve serve`` takes."""
    parser.add_argument(
        "handler",
        metavar="module:Handler",
        help="what answers: a handler class, a function of (request, client_address, server), or a handler of the "
        "standard library such as http.server:SimpleHTTPRequestHandler. The current folder can be imported from",
    )
    _add_listeners(parser.add_argument_group("where requests come from (any number, on one loop)", _ADDRESSES))
    _add_strategy(parser.add_argument_group("where they run"))
    proxies = parser.add_argument_group(
        "behind a proxy, on every listener of connections but those with ,proxy=false"
    )
    proxies.add_argument(
        "--proxy-from",
        action="append",
        default=[],
        metavar="NETWORK",
        help="believe proxies at these addresses, such as 10.0.0.0/8, whom they connect for (PROXY protocol)",
    )
    tls = parser.add_argument_group("TLS, on every listener of connections but those with ,tls=false")
    tls.add_argument("--tls-cert", metavar="FILE", help="the certificate, and those that lead to its root (PEM)")
    tls.add_argument("--tls-key", metavar="FILE", help="its private key; left out: in the certificate's file")
    _add_values(
        parser.add_argument_group("how many requests at a time, on each listener; none: no limit"), "limit"
    )
    _add_values(
        parser.add_argument_group("how long a connection may take, in seconds; none: no limit"), "deadline"
    )
    add_status_arguments(parser.add_argument_group("watching it"))
    _add_stopping(parser.add_argument_group("stopping and logs"))
    _add_development(parser.add_argument_group("while you write it"))


_ADDRESSES = (
    "Options of a listener follow its address, such as --unix /run/upper.sock,mode=660:\n"
    "`sockserve list` shows them. Two commas stand for one in an address."
)

_LISTENERS = {
    "tcp": ("HOST:PORT", "connections over TCP: 127.0.0.1:9000, [::1]:9000, or :9000 for every interface"),
    "udp": ("HOST:PORT", "datagrams over UDP"),
    "unix": ("PATH", "connections at a Unix socket; @name is an abstract name"),
    "unix-datagram": ("PATH", "datagrams at a Unix socket"),
    "fd": ("NUMBER", "an open descriptor of a listening or bound socket, from a parent process"),
}


def _add_listeners(group: "argparse._ArgumentGroup") -> None:
    for name in (*_LISTENERS, *sorted(set(names(TRANSPORTS)) - set(_LISTENERS))):
        metavar, text = _LISTENERS.get(name, ("ADDRESS", f"the registered transport {name}"))
        group.add_argument(f"--{name}", action=_Listening, dest=name, metavar=metavar, help=text)
    group.add_argument(
        "--systemd",
        action=_Listening,
        dest="systemd",
        nargs="?",
        metavar="NAME",
        help="the sockets that systemd hands over (LISTEN_FDS), or those of this FileDescriptorName alone",
    )


def _add_strategy(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--strategy",
        default="thread",
        metavar="NAME",
        help=f"one of {', '.join(names(STRATEGIES))} (thread, unless told otherwise)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="an option of the strategy, such as daemon=true; `sockserve list` shows them",
    )

    group.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="serve from so many processes, each under that strategy",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"a whole number is meant, not {text!r}")
    return int(text)


def _add_values(group: "argparse._ArgumentGroup", prefix: str) -> None:
    """Add an option for each field of a class of `VALUES`, explained by its docstring."""
    docs = argument_docs(VALUES[prefix])
    for name, option in options_of(VALUES[prefix]).items():
        group.add_argument(
            f"--{prefix}-{name.replace('_', '-')}",
            dest=f"{prefix}.{name}",
            metavar=_metavar(option.kind),
            help=f"{docs.get(name, name).split('. ')[0].rstrip('.')} ({option.default})".replace("%", "%%"),
        )


def _metavar(kind: object) -> str:
    """Say what is typed for a value of this type: ``N``, ``wait|close|TEXT``."""
    found: list[str] = []
    for member in members(kind):
        if get_origin(member) is Literal:
            found += map(str, get_args(member))
        elif member is not type(None):
            found.append(_METAVARS.get(member, "VALUE"))
    return "|".join(found)


_METAVARS: dict[object, str] = {int: "N", float: "SECONDS", bool: "true|false", str: "TEXT", bytes: "TEXT"}


def _add_stopping(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--grace",
        type=_seconds,
        default=GRACE,
        metavar="SECONDS",
        help=f"how long requests in flight have to finish at the first Ctrl-C or SIGTERM ({GRACE:g}); the second "
        "ends them at once",
    )
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="of the lines on stderr (text, unless the handler's module has configured logging)",
    )
    group.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="the lowest that is logged; debug has two lines for each request (info, unless as above)",
    )


def _add_development(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--reload",
        action="store_true",
        help="start again when a file changes that the program has imported; what is in flight has a second then",
    )


def serve_options(found: argparse.Namespace) -> ServeOptions:
    """Take what was parsed out of the untyped namespace."""
    values: dict[str, dict[str, str]] = {
        prefix: {
            name: text for name in options_of(part) if (text := getattr(found, f"{prefix}.{name}")) is not None
        }
        for prefix, part in VALUES.items()
    }
    return ServeOptions(
        handler=found.handler,
        listen=tuple(getattr(found, "listen", None) or ()),
        strategy=found.strategy,
        settings=tuple(found.settings),
        values=values,
        workers=found.workers,
        proxy_from=tuple(found.proxy_from),
        tls_cert=found.tls_cert,
        tls_key=found.tls_key,
        grace=found.grace,
        status=StatusOptions(address=found.status, remote=found.status_remote, hosts=tuple(found.status_host)),
        log_format=found.log_format,
        log_level=found.log_level,
        reload=found.reload,
    )
