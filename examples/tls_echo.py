"""
Lines that come back, by TLS, on a transport and a strategy of choice. SIGHUP exchanges the certificate.

    python examples/tls_echo.py --tcp 127.0.0.1:8443 --certificate chain.pem --key key.pem
    openssl s_client -connect 127.0.0.1:8443
"""

import signal
import ssl
import sys
from collections.abc import Sequence
from types import FrameType
from typing import ClassVar

import attrs

from _choose import TCP, UNIX, CommandLine
from sockserve import SockserveError, StreamRequestHandler, TlsTransport


class EchoHandler(StreamRequestHandler):
    """Gives back each line; whoever knows the client's name by its certificate may ask for it here."""

    timeout: ClassVar[float | None] = 60.0

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@attrs.define(eq=False)
class Certificates:
    """
    What `TlsTransport` asks for each connection: the context of this moment.

    A new context each time, rather than a new certificate in the one that others are just using: between its two
    files that would have the key of one and the certificate of the other.
    """

    chain: str
    key: str | None
    context: ssl.SSLContext = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.read()

    def __call__(self) -> ssl.SSLContext:
        return self.context

    def read(self) -> None:
        """Read both files; what is wrong with them leaves all as it was."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        self.context = context

    def read_again(self, number: int, frame: FrameType | None) -> None:
        """Do so at a signal."""
        try:
            self.read()
        except OSError as error:
            print(f"the certificate is the former one: {error}", file=sys.stderr, flush=True)
        else:
            print("the certificate is a new one", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.add_argument(
        "--certificate", required=True, metavar="FILE", help="certificate and those above it (PEM)"
    )
    command.add_argument("--key", metavar="FILE", help="its key, if that is not in the same file")
    options = command.parse_args(arguments)
    try:
        certificates = Certificates(options.certificate, options.key)
        options.transports = [TlsTransport(each, certificates) for each in options.transports or ()]
    except (OSError, SockserveError) as error:
        command.error(f"no certificate in {options.certificate}: {error}")
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, certificates.read_again)
    command.serve(options, EchoHandler)


if __name__ == "__main__":
    main()
