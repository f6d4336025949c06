"""
The files of a folder, by TFTP (RFC 1350, with the options of RFC 2347 to 2349); nothing can be written.

    python examples/tftp_files.py --udp 127.0.0.1:6969 --strategy selector FOLDER
    curl tftp://127.0.0.1:6969/name

One datagram asks for a file; what follows goes through a socket of its own, block by block, each acknowledged. So
the handler of a datagram may last for minutes. In threads it blocks; on the selector table `cooperative` lets its
socket park, and one thread serves all.
"""

import functools
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from _choose import UDP, CommandLine
from sockserve import DatagramRequestHandler, InetAddress, cooperative

__all__ = ("TftpHandler", "parse_request")

READ, WRITE, DATA, ACK, ERROR, OPTIONS = range(1, 7)
#: RFC 1350, 5.
NOT_DEFINED, NOT_FOUND, NOT_ALLOWED, ILLEGAL = 0, 1, 2, 4

#: Seconds until a packet is sent again, and how often it is sent.
PATIENCE: Final = 1.0
TRIES: Final = 5


class TftpError(Exception):
    """What the client is told, and the number of it."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number

    def packet(self) -> bytes:
        """Write it as it is sent."""
        return struct.pack("!HH", ERROR, self.number) + str(self).encode() + b"\0"


class ClientGoneError(Exception):
    """The client has said that it ends, or says nothing any more."""


def parse_request(packet: bytes) -> tuple[str, dict[str, str]]:
    """
    Read what asks for a file: its name, and the options.

    Raises:
        TftpError: It is something else.
    """
    if packet[:2] == struct.pack("!H", WRITE):
        raise TftpError(NOT_ALLOWED, "files can only be read")
    if packet[:2] != struct.pack("!H", READ) or not packet.endswith(b"\0"):
        raise TftpError(ILLEGAL, "not a request")
    name, *words = packet[2:-1].decode(errors="replace").split("\0")
    if len(words) % 2 != 1 or words[0].lower() != "octet":
        raise TftpError(ILLEGAL, "only the mode octet is served")
    return name, dict(zip(map(str.lower, words[1::2]), words[2::2], strict=True))


def open_below(folder: Path, name: str) -> BinaryIO:
    """
    Open a file of *folder*, or of a folder in it.

    Raises:
        TftpError: There is none. Where it would be elsewhere, there is none either.
    """
    root = folder.resolve()
    try:
        path = (root / name.lstrip("/")).resolve()
        if not (path.is_relative_to(root) and path.is_file()):
            raise TftpError(NOT_FOUND, "no such file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise TftpError(NOT_FOUND, "no such file") from error


class TftpHandler(DatagramRequestHandler[InetAddress]):
    """Sends one file."""

    def __init__(self, *request: Any, folder: Path) -> None:
        self.folder = folder  # first: the base class does all the work while it is made
        super().__init__(*request)

    def handle(self) -> None:
        with cooperative(socket.socket(self.socket.family, socket.SOCK_DGRAM)) as sock:
            sock.bind((self.server.address.host, 0))
            sock.connect(self.client_address)
            try:
                name, options = parse_request(self.packet)
                with open_below(self.folder, name) as file:
                    self.transfer(sock, file, options)
            except TftpError as error:
                sock.send(error.packet())
            except (ClientGoneError, ConnectionRefusedError):
                pass

    def transfer(self, sock: socket.socket, file: BinaryIO, options: dict[str, str]) -> None:
        """Agree on the options, then send block by block; one that is shorter, or empty, is the last."""
        size = 512
        agreed = {}
        if (asked := options.get("blksize", "")).isdecimal() and int(asked) >= 8:
            size = min(int(asked), 1428)  # what fits into one frame of Ethernet
            agreed["blksize"] = size
        if "tsize" in options:
            agreed["tsize"] = file.seek(0, 2)
            file.seek(0)
        if agreed:
            words = "".join(f"{name}\0{value}\0" for name, value in agreed.items())
            exchange(sock, struct.pack("!H", OPTIONS) + words.encode(), 0)
        number, block = 0, bytes(size)
        while len(block) == size:
            number = (number + 1) % 65536
            block = file.read(size)
            exchange(sock, struct.pack("!HH", DATA, number) + block, number)


def exchange(sock: socket.socket, packet: bytes, number: int) -> None:
    """
    Send a packet until it is acknowledged.

    An acknowledgement that comes late, for an earlier packet, is passed over: answering it would double all that
    follow (RFC 1123, 4.2.3.1).

    Raises:
        ClientGoneError: It was not, or by an error.
    """
    for _ in range(TRIES):
        sock.send(packet)
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                reply = sock.recv(600)
            except TimeoutError:
                break
            if reply == struct.pack("!HH", ACK, number):
                return
            if reply[:2] == struct.pack("!H", ERROR):
                raise ClientGoneError
    raise ClientGoneError


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a folder until told to stop."""
    command = CommandLine(__doc__, UDP)
    command.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="what to serve (.)")
    options = command.parse_args(arguments)
    command.serve(options, functools.partial(TftpHandler, folder=Path(options.folder)))


if __name__ == "__main__":
    main()
