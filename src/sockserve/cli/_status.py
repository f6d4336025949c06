"""``--status``: a page that shows what is served."""

import argparse
from collections.abc import Sequence

import attrs

from .._named.texts import inet_address
from ..server import AnyServer
from ..status import status_server
from ..status._server import is_loopback
from ._usage import UsageError

__all__ = ("StatusOptions", "add_status_arguments", "status_servers")


@attrs.frozen(kw_only=True)
class StatusOptions:
    """What was typed of the page: where it is, None for nowhere; whether others may look; names that it has."""

    address: str | None
    remote: bool
    hosts: tuple[str, ...]


def add_status_arguments(group: "argparse._ArgumentGroup") -> None:
    """Add the options of the page."""
    group.add_argument(
        "--status",
        metavar="HOST:PORT",
        help="a page that shows what is served, live, with /status.json, /metrics for Prometheus and /healthz",
    )
    group.add_argument(
        "--status-remote",
        action="store_true",
        help="let it be at an address that other machines reach: nothing asks who is there",
    )
    group.add_argument(
        "--status-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that it is asked for by, such as a proxy's; IP addresses and localhost need none",
    )


def status_servers(servers: Sequence[AnyServer], options: StatusOptions) -> list[AnyServer]:
    """
    Make the server of the page about *servers*, if there is to be one.

    Raises:
        UsageError: It cannot be there.
    """
    text = options.address
    if text is None:
        if options.remote or options.hosts:
            raise UsageError("--status-remote and --status-host are about a page: add --status 127.0.0.1:8081")
        return []
    try:
        address = inet_address(text)
    except ValueError as error:
        raise UsageError(f"--status {text}: {error} is meant") from error
    if not options.remote and not is_loopback(address.host):
        raise UsageError(
            f"--status {text}: other machines can reach it, and nothing asks who is there; use "
            f"127.0.0.1:{address.port}, or add --status-remote"
        )
    return [status_server(servers, address, remote=options.remote, hosts=options.hosts)]
