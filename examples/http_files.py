"""
The files of a folder, by HTTP: the standard library's own handler, on a transport and a strategy of choice.

    python examples/http_files.py --tcp 127.0.0.1:8000 --strategy pool --workers 8 FOLDER
    python examples/http_files.py --unix /run/user/1000/files.sock --strategy fork FOLDER
    curl --unix-socket /run/user/1000/files.sock http://localhost/

Connections are kept for a minute after each answer, so that a client need not open one for each file. In threads
each of them has one; ``--strategy selector`` keeps thousands in one thread.
"""

import functools
import http.server
from collections.abc import Sequence

from _choose import TCP, UNIX, CommandLine


class FilesHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files. The requests are logged to stderr."""

    #: Connections are kept (RFC 9112, 9.3), and closed after so many seconds without a request.
    protocol_version = "HTTP/1.1"
    timeout = 60.0

    def address_string(self) -> str:
        """Name the client in the log: the handler expects a pair (host, port), and a Unix client is a string."""
        client: object = self.client_address
        return client if isinstance(client, str) else super().address_string()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a folder until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="what to serve (.)")
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(FilesHandler, directory=options.folder))


if __name__ == "__main__":
    main()
