"""The commands, and what each mistake in them comes to."""

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from .._named.registry import nearest
from ._announcing import Announcer
from ._options import Parser, add_serve_arguments, serve_options
from ._usage import INTERRUPTED, OK, USAGE, UsageError, one_line

__all__ = ("main",)

_EXAMPLES = """\
examples:
  sockserve serve http.server:SimpleHTTPRequestHandler --tcp 127.0.0.1:8000
  sockserve serve app:Upper --tcp :9000 --unix /run/upper.sock,mode=660 --strategy thread-pool --set workers=16
  sockserve serve app:Upper --tcp :9443 --tls-cert cert.pem --tls-key key.pem --strategy selector

exit status:
  0  a signal or a handler ended it; what was in flight finished, or was cut off after --grace
  1  serving failed
  2  the command, or what it names, cannot work; nothing was served
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the command line says.

    Args:
        arguments: Without the name of the program. None: those of this process.

    Returns:
        The exit status: see docs/cli.md.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except UsageError as error:
        _say(str(error))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: list[str]) -> int:
    parser = Parser(
        prog="sockserve",
        description="Serve sockets: a handler, over any transport, under any strategy.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sockserve {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    serving = commands.add_parser(
        "serve",
        help="serve a handler",
        description="Serve a handler until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_serve_arguments(serving)
    commands.add_parser("demo", help="one handler over every transport and strategy, each asked by a client")
    commands.add_parser("list", help="the strategies and transports that there are, with their options")
    if words and not words[0].startswith("-") and words[0] not in commands.choices:
        meant = f"; did you mean serve {words[0]}?" if ":" in words[0] else nearest(words[0], commands.choices)
        raise UsageError(f"there is no command {words[0]!r}{meant}")
    found, extras = parser.parse_known_args(words)
    chosen: argparse.ArgumentParser = parser if found.command is None else commands.choices[found.command]
    parser.refuse(extras, [name for action in chosen._actions for name in action.option_strings])
    if found.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    return _do(found, words)


def _do(found: argparse.Namespace, words: list[str]) -> int:
    """Run a command; each loads only what it needs."""
    if found.command == "demo":
        from ..demo import main as demo  # noqa: PLC0415

        return demo()
    if found.command == "list":
        from ._listing import listing  # noqa: PLC0415

        print(listing(), end="")
        return OK
    options, announcer = serve_options(found), Announcer()
    if options.reload and not announcer.supervised:
        from ._reload import supervise  # noqa: PLC0415

        if any(listen.transport == "systemd" for listen in options.listen):
            raise UsageError("--reload and --systemd: systemd's sockets are for one process, and not its children")
        return supervise(words, _say)
    from ._serve import run  # noqa: PLC0415

    return run(options, announcer)


def _say(text: str) -> None:
    print(f"sockserve: {one_line(text)}", file=sys.stderr)
