"""
What clients that never finish their TLS handshake cost the others.

``PYTHONPATH=tests python -m attacks.silent`` runs redis-benchmark over TLS on the same server, in turns without
and with a hundred clients that connect and say nothing or half of their first word, and prints the 99th
percentile of the latency of both.
"""

import argparse
import contextlib
import csv
import socket
import statistics
import subprocess
import threading
from collections.abc import Iterator

from .process import Victims

#: The beginning of a TLS record: a handshake of 512 bytes, of which nothing follows. RFC 8446, 5.1.
_HALF_A_WORD = b"\x16\x03\x01\x02\x00\x01"


@contextlib.contextmanager
def silent_clients(address: tuple[str, int], count: int) -> Iterator[None]:
    """Keep *count* of them connected: who is cut off comes again."""
    stopped = threading.Event()

    def one(number: int) -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=0.5) as sock:
                if number % 2:
                    sock.sendall(_HALF_A_WORD)
                while not stopped.is_set():
                    try:
                        if not sock.recv(1024):
                            break
                    except TimeoutError:
                        pass

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def percentile(address: tuple[str, int], requests: int, keep: bool) -> float:
    """Return the 99th percentile of the latency, in milliseconds."""
    host, port = address
    command = ["redis-benchmark", "-h", host, "-p", str(port), "--tls", "--insecure", "-c", "20", "--csv"]
    command += ["-n", str(requests), "-t", "ping_inline", "-k", str(int(keep))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return float(next(iter(csv.DictReader(done.stdout.splitlines())))["p99_latency_ms"])


def main() -> None:
    """Measure, in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100, help="silent clients (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="of each kind (default: %(default)s)")
    parser.add_argument("--only", default="tls-thread,tls-selector", help="victims (default: %(default)s)")
    options = parser.parse_args()
    print("| server | connections | p99 without, ms | p99 with, ms | ratio |\n|---|---|---|---|---|")
    for name in options.only.split(","):
        for keep, requests in ((True, 40_000), (False, 2_000)):
            with Victims((name,)) as victims:
                address = victims.addresses[name]
                percentile(address, 500, keep)
                alone, beside = [], []
                for _ in range(options.rounds):
                    alone.append(percentile(address, requests, keep))
                    with silent_clients(address, options.clients):
                        beside.append(percentile(address, requests, keep))
            without, together = statistics.median(alone), statistics.median(beside)
            kind = "kept" if keep else "one a request"
            print(f"| {name} | {kind} | {without:.2f} | {together:.2f} | {together / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
