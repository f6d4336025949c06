"""
Several minutes of work and attacks at the same time, with what the process holds before and after.

``PYTHONPATH=tests python -m attacks.soak --minutes 5`` serves many servers in one process. Clients that work check
each answer; others reset, go silent, send random bytes, never read. Every ten seconds a row is printed. At the end
all of them stop, the server settles, and the last row has to hold no more descriptors, threads and children than
the first, and no more memory than `GROWTH` allows: else the exit code is 1.

Where the C library is glibc, its cache of a thread's freed memory is switched off (``GLIBC_TUNABLES``): it fills
slowly, by up to 230 KiB for each thread of a pool, and would hide what is lost.
"""

import argparse
import contextlib
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import attrs

from .process import Held, Victims
from .victims import VICTIMS, WORKERS

#: How much more memory may be held at the end: allocators keep some, and fragment.
GROWTH = 1.1
_NO_CACHE = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

Address = tuple[str, int]


@attrs.define(eq=False)
class Crowd:
    """
    The clients: what they have done so far, and whether they shall go on.

    Args:
        seed: For what is random; one that failed can be tried again.
    """

    seed: int
    done: Counter[str] = attrs.field(init=False, factory=Counter)
    stopped: threading.Event = attrs.field(init=False, factory=threading.Event)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def count(self, what: str, number: int = 1) -> None:
        """Remember that something has been done."""
        with self._lock:
            self.done[what] += number

    def repeat(
        self, act: Callable[["Crowd", Address, random.Random], None], address: Address, number: int
    ) -> None:
        """Let one client act, again and again; what the server does to an attacker is no error."""
        chance = random.Random(f"{self.seed} {number}")
        pause = 0.0 if act in (work, work_secured) else 0.1
        while not self.stopped.wait(chance.random() * pause):
            with contextlib.suppress(OSError):
                act(self, address, chance)


def _connect(address: Address, secured: bool = False) -> socket.socket:
    sock = socket.create_connection(address, timeout=10.0)
    if not secured:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(sock)
    except OSError:
        sock.close()
        raise


def _reset(sock: socket.socket) -> None:
    """Let its closing be a reset: SO_LINGER of no time, socket(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def work(crowd: Crowd, address: Address, chance: random.Random, secured: bool = False) -> None:
    """Ask some times, and check each answer: one that is wrong, late or missing is counted as such."""
    with _connect(address, secured) as sock:
        for _ in range(chance.choice((1, 1, 1, 50))):
            try:
                sock.sendall(b"PING\r\n")
                answer = b""
                while not answer.endswith(b"\n") and (piece := sock.recv(100)):
                    answer += piece
            except OSError as error:
                crowd.count(f"failed: {error}")
                return
            crowd.count("answered" if answer == b"+PONG\r\n" else f"wrong: {answer!r}")


def work_secured(crowd: Crowd, address: Address, chance: random.Random) -> None:
    """The same over TLS."""
    work(crowd, address, chance, secured=True)


def reset_anywhere(crowd: Crowd, address: Address, chance: random.Random) -> None:
    """Be reset at once, in the middle of a request, or while the answer is on its way."""
    with _connect(address) as sock:
        _reset(sock)
        sock.sendall(b"PING\r\n"[: chance.randint(0, 6)])
    crowd.count("reset")


def be_silent(crowd: Crowd, address: Address, chance: random.Random) -> None:
    """Say half a word, and nothing more for a while."""
    with _connect(address) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00"[: chance.randint(0, 5)])
        crowd.stopped.wait(chance.random() * 3)
    crowd.count("silent")


def send_noise(crowd: Crowd, address: Address, chance: random.Random) -> None:
    """Send what means nothing, in pieces."""
    with _connect(address) as sock:
        for _ in range(chance.randint(1, 5)):
            sock.sendall(chance.randbytes(chance.randint(1, 3000)))
    crowd.count("noise")


def never_read(crowd: Crowd, address: Address, chance: random.Random) -> None:
    """Ask, and ask, and read nothing."""
    with _connect(address) as sock:
        sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(2000):
                sock.sendall(b"PING\r\n" * 500)
        crowd.stopped.wait(chance.random())
        _reset(sock)
    crowd.count("never read")


#: Who comes to which kind of server.
PLAIN = (work, work, reset_anywhere, be_silent, send_noise, never_read)
SECURED = (work_secured, work_secured, reset_anywhere, be_silent, send_noise)


def attack(victims: Victims, crowd: Crowd) -> list[threading.Thread]:
    """Start all clients."""
    threads: list[threading.Thread] = []
    for name, address in victims.addresses.items():
        for act in SECURED if name.startswith("tls-") else PLAIN:
            threads.append(threading.Thread(target=crowd.repeat, args=(act, address, len(threads))))
    for thread in threads:
        thread.start()
    return threads


def fill(victims: Victims) -> None:
    """Let each pool have all of its threads, which stay: as many clients at a time as it has workers."""
    for name, address in victims.addresses.items():
        with contextlib.ExitStack() as stack:
            for _ in range(WORKERS if name.endswith("pool") else 0):
                sock = stack.enter_context(_connect(address, name.startswith("tls-")))
                sock.sendall(b"PING\r\n")
                sock.recv(100)


def settled(victims: Victims, like: Held | None = None) -> Held:
    """Wait until nothing is in flight any more: until it holds what it did, ten seconds at most."""
    until = time.monotonic() + 10.0
    while True:
        held = victims.held()
        quiet = like is not None and held.holds_no_more_than(like)
        if quiet or time.monotonic() > until:
            return held
        time.sleep(0.2)


def show(seconds: float, held: Held, crowd: Crowd) -> None:
    """Print one row."""
    done = ", ".join(f"{what} {number:,}" for what, number in sorted(crowd.done.items()))
    memory = held.memory / 2**20
    row = (
        f"{seconds:.0f} s",
        f"{memory:.1f} MiB",
        held.descriptors,
        held.threads,
        held.children,
        done or "nothing",
    )
    print("|", " | ".join(map(str, row)), "|", flush=True)


def run(minutes: float, seed: int) -> bool:
    """Soak; whether nothing was left over and no answer was wrong."""
    names = tuple(name for name in VICTIMS if name != "udp")
    print("| time | memory | descriptors | threads | children | done |\n|---|---|---|---|---|---|")
    with Victims(names, _NO_CACHE) as victims:
        warm = Crowd(seed + 1)  # pools have their threads, modules are imported, allocators have their arenas
        threads = attack(victims, warm)
        time.sleep(min(20.0, 20 * minutes))
        warm.stopped.set()
        for thread in threads:
            thread.join()
        fill(victims)
        time.sleep(4.0)  # longer than any deadline of theirs
        first = victims.held()
        crowd = Crowd(seed)
        show(0, first, crowd)
        began = time.monotonic()
        threads = attack(victims, crowd)
        while (gone := time.monotonic() - began) < 60 * minutes:
            time.sleep(min(10.0, 60 * minutes - gone))
            show(time.monotonic() - began, victims.held(), crowd)
        crowd.stopped.set()
        for thread in threads:
            thread.join()
        last = settled(victims, first)
        show(time.monotonic() - began, last, crowd)
        code = victims.end()
    wrong = {what: number for what, number in crowd.done.items() if what.startswith(("wrong", "failed"))}
    print(f"exit code {code}; wrong or failed answers: {wrong or 'none'}; seed {seed}")
    return code == 0 and not wrong and last.holds_no_more_than(first) and last.memory <= first.memory * GROWTH


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of what is random")
    options = parser.parse_args()
    sys.exit(0 if run(options.minutes, options.seed) else 1)


if __name__ == "__main__":
    main()
