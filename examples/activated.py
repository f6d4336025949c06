"""
Under systemd: it opens the socket, starts the service for the first client, and hears how it is.

    python examples/activated.py --port 9000                          # by hand
    systemd-socket-activate -l 9000 python examples/activated.py      # as systemd would start it

The unit files are beside this one: activated.socket, activated.service. docs/deploy.md says where they go.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from sockserve import Server, StreamRequestHandler, TcpTransport, ThreadPoolStrategy
from sockserve.systemd import SystemdObserver, Watchdog, transport


class Upper(StreamRequestHandler):
    """Gives back each line, in capitals."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, then finish what is in hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000, help="without systemd: where to listen, on loopback")
    options = parser.parse_args(arguments)

    server = Server(
        transport(otherwise=TcpTransport(("127.0.0.1", options.port))),
        ThreadPoolStrategy(workers=50),
        Upper,
        observer=SystemdObserver(),
        service_actions=Watchdog.from_environment(),
    )
    signal.signal(signal.SIGTERM, lambda number, frame: server.request_stop(grace=20))
    try:
        with server:
            print(f"listening at {server.address}", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
