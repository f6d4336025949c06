"""
One of several servers behind a load balancer: told to end, it lets that know first, and loses nobody.

    python examples/behind_haproxy.py --tcp 10.0.0.1:7000 --agent 10.0.0.1:7001 --name a --strategy selector

HAProxy asks the second port how the server is (its agent-check). At SIGTERM the answer is "drain", and HAProxy
sends new clients to the others. After ``--notice`` seconds, in which it must have asked, the server accepts no
more; what it still has is given ``--grace`` seconds. docs/scale.md has HAProxy's configuration.
"""

import functools
import socket
import threading
from collections.abc import Sequence
from typing import Any

from _choose import TCP, CommandLine, checked, endpoint
from sockserve import InetAddress, Lines, MessageHandler, SelectorStrategy, Server, TcpTransport


class Shout(MessageHandler):
    """Answer each line in capitals, and say who answers."""

    framing = Lines()

    def __init__(self, *request: Any, name: str) -> None:
        super().__init__(*request)
        self.name = name

    def respond(self, message: bytes) -> bytes:
        return self.name.encode() + b": " + message.upper()


def tell_state(request: socket.socket, address: InetAddress, server: object, *, leaving: threading.Event) -> None:
    """Answer an agent-check of HAProxy's (its configuration manual, 5.2, agent-check): one line, then the end."""
    request.sendall(b"drain\n" if leaving.is_set() else b"ready up\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the command line says."""
    parser: CommandLine[Any, Any] = CommandLine(__doc__, TCP)
    parser.add_argument("--agent", required=True, metavar="HOST:PORT", type=checked(endpoint), help="for HAProxy")
    parser.add_argument("--name", default=socket.gethostname(), help="what clients see")
    parser.add_argument(
        "--notice", type=float, default=5.0, metavar="SECONDS", help="from SIGTERM to the drain (5)"
    )
    options = parser.parse_args(arguments)
    leaving = threading.Event()
    agent = Server(TcpTransport(options.agent), SelectorStrategy(), functools.partial(tell_state, leaving=leaving))
    parser.serve(
        options,
        functools.partial(Shout, name=options.name),
        beside=[agent],
        on_terminate=leaving.set,
        notice=options.notice,
    )


if __name__ == "__main__":
    main()
