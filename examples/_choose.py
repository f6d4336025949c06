"""
What the examples share: a command line that chooses transport and strategy, and serving until a signal.

Both choices are tables. What is in them can be combined freely; a row is all that it takes to offer more.
"""

import argparse
import contextlib
import inspect
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from bounded_threads import BoundedThreads
from sockserve import (
    Address,
    ForkStrategy,
    InetAddress,
    SelectorStrategy,
    Server,
    SockserveError,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UdpTransport,
    UnixDatagramTransport,
    UnixStreamTransport,
    serve,
)
from sockserve.abc import DatagramRequest, Handler, Strategy, Transport

__all__ = (
    "SHARED_MEMORY",
    "STRATEGIES",
    "TCP",
    "UDP",
    "UNIX",
    "UNIX_DATAGRAM",
    "CommandLine",
    "Way",
    "checked",
    "endpoint",
)

R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T")


def endpoint(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; an empty host means every interface, an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isdecimal()):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def shown(address: object) -> str:
    """Write an address as `endpoint` reads it."""
    if isinstance(address, InetAddress):
        return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
    return str(address)


def checked(make: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show what is wrong with a value in the words of *make*."""

    def parse(text: str) -> T:
        try:
            return make(text)
        except (OSError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


@attrs.frozen
class Way(Generic[R, A]):
    """A way for requests to arrive: an option of the command line, and what its value makes."""

    flag: str
    metavar: str
    help: str
    make: Callable[[str], Transport[R, A]]


TCP: Way[socket.socket, Address] = Way(
    "--tcp", "HOST:PORT", "TCP; port 0 takes a free one", lambda text: TcpTransport(endpoint(text))
)
UNIX: Way[socket.socket, Address] = Way("--unix", "PATH", "a Unix stream socket", UnixStreamTransport)
UDP: Way[DatagramRequest, Address] = Way(
    "--udp", "HOST:PORT", "UDP; port 0 takes a free one", lambda text: UdpTransport(endpoint(text))
)
UNIX_DATAGRAM: Way[DatagramRequest, Address] = Way(
    "--unix-datagram", "PATH", "a Unix datagram socket", UnixDatagramTransport
)

#: What a name stands for: a class, or any function, with keyword arguments that are named in `OPTIONS`.
Strategies: TypeAlias = Mapping[str, Callable[..., Strategy]]

#: Strategies whose requests see one another's changes.
SHARED_MEMORY: Strategies = {
    "sync": SyncStrategy,
    "thread": ThreadStrategy,
    "pool": ThreadPoolStrategy,
    "bounded": BoundedThreads,  # not from the package: a row like the others
    "selector": SelectorStrategy,
}
STRATEGIES: Strategies = {**SHARED_MEMORY, "fork": ForkStrategy}

#: Options of strategies. Each strategy has those that its signature names; any other is an error.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "workers": {"type": int, "metavar": "N", "help": "threads, or processes, at a time, at most"},
    "max_children": {"type": int, "metavar": "N", "help": "processes at a time, at most"},
    "slow": {"type": float, "metavar": "SECONDS", "help": "that a handler may hold all others without a warning"},
    "daemon": {"action": "store_const", "const": True, "help": "leave without waiting for the threads"},
}


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _options_of(make: Callable[..., Strategy]) -> list[str]:
    return [name for name in inspect.signature(make).parameters if name in OPTIONS]


def _summary(strategies: Strategies) -> str:
    """Say for each strategy which options it has."""
    return "; ".join(" ".join([name, *map(_flag, _options_of(make))]) for name, make in strategies.items())


class CommandLine(argparse.ArgumentParser, Generic[R, A]):
    """
    The parser of an example, which adds its own arguments and then calls `serve`.

    Args:
        description: The example's docstring.
        ways: The transports on offer; any number of them may be listened at, side by side.
        strategies: The strategies on offer.
    """

    def __init__(self, description: str | None, *ways: Way[R, A], strategies: Strategies = STRATEGIES) -> None:
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        self.strategies = strategies
        where = self.add_argument_group("where to listen (once or more)")
        for way in ways:
            where.add_argument(
                way.flag,
                metavar=way.metavar,
                help=way.help,
                type=checked(way.make),
                action="append",
                dest="transports",
            )
        how = self.add_argument_group("where requests run")
        how.add_argument("--strategy", choices=strategies, default="thread", help=_summary(strategies))
        for name, keywords in OPTIONS.items():
            how.add_argument(_flag(name), **keywords)
        self.add_argument(
            "--grace",
            type=float,
            default=5.0,
            metavar="SECONDS",
            help="that requests in flight have left after SIGTERM (5)",
        )

    def serve(
        self,
        options: argparse.Namespace,
        handler: Handler[R, A],
        *,
        beside: Sequence[Server[R, A]] = (),
        on_terminate: Callable[[], object] = lambda: None,
        notice: float = 0.0,
    ) -> None:
        """
        Serve as *options* say until SIGTERM, or until Ctrl-C, which ends the process with status 130.

        Args:
            options: What was parsed.
            handler: What answers.
            beside: Servers that go on until the others have ended.
            on_terminate: Called at SIGTERM.
            notice: Seconds from then until nothing more is accepted.
        """
        transports: Sequence[Transport[R, A]] = options.transports or self.error("say where to listen")
        strategy = self._strategy(options)
        servers = [Server(transport, strategy, handler) for transport in transports]

        def stop() -> None:
            for server in servers:
                server.request_stop(grace=options.grace)

        def terminate(number: int, frame: FrameType | None) -> None:
            on_terminate()
            if notice:
                timer = threading.Timer(notice, stop)
                timer.daemon = True  # Ctrl-C does not wait for it
                timer.start()
            else:
                stop()

        try:
            _serve(servers, beside, terminate)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except SockserveError as error:
            self.exit(1, f"{self.prog}: {error}\n")

    def _strategy(self, options: argparse.Namespace) -> Strategy:
        make = self.strategies[options.strategy]
        given = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
        for name in given.keys() - set(_options_of(make)):
            self.error(f"--strategy {options.strategy} has no {_flag(name)}")
        try:
            return make(**given)
        except ValueError as error:
            self.error(str(error))


def _serve(
    servers: Sequence[Server[R, A]],
    beside: Sequence[Server[R, A]],
    terminate: Callable[[int, FrameType | None], object],
) -> None:
    """Open all, say so, serve all on one loop, close all."""
    with contextlib.ExitStack() as stack:
        for server in (*servers, *beside):
            stack.enter_context(server)
        signal.signal(signal.SIGTERM, terminate)
        for server in (*servers, *beside):
            print(f"listening at {shown(server.address)}", flush=True)
        serve(*servers, beside=beside)
