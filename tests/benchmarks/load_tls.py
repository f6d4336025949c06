"""TLS handshakes, by ``openssl s_time``: its clients do nothing else."""

import re
import subprocess
from typing import ClassVar

import attrs

from .loads import Amount
from .measure import BenchmarkError, Outcome

__all__ = ("Handshakes",)


@attrs.frozen(kw_only=True)
class Handshakes:
    """
    Full handshakes, none resumed, one after the other by each client, for a given time.

    Args:
        clients: Processes at a time.
        seconds: How long.
    """

    clients: int = 4
    seconds: int = 3
    tool: ClassVar[str] = "openssl"
    package: ClassVar[str] = "openssl"

    def run(self, address: tuple[str, int], amount: Amount) -> Outcome:
        """See `Load.run`; *amount* does not matter: the number follows from the time."""
        host, port = address
        command = [self.tool, "s_time", "-connect", f"{host}:{port}", "-new", "-time", str(self.seconds)]
        clients = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(self.clients)
        ]
        total = sum(_connections(client.communicate(timeout=10 * self.seconds)[0]) for client in clients)
        return Outcome(total, total / self.seconds)


def _connections(output: str) -> int:
    found = re.search(r"(\d+) connections in \d+ real seconds", output)
    if found is None:
        raise BenchmarkError(f"s_time does not say how many connections there were: {output!r}")
    return int(found[1])
