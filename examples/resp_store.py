"""
A key-value store that speaks the protocol of Redis (RESP2), by TCP, a Unix socket, or both.

    python examples/resp_store.py --tcp 127.0.0.1:6379 --unix /run/user/1000/store.sock
    redis-cli SET greeting hello EX 60
    redis-benchmark -t set,get -P 16 -q

Under ``--strategy fork`` every connection is a process with its own copy of the store: what a client sets nobody
else sees, and it is gone with the connection. All other strategies share one store. Under ``sync`` a client that
stays connected keeps the others waiting.
"""

import fnmatch
import functools
import heapq
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence

import attrs

from _choose import TCP, UNIX, CommandLine
from _resp import CommandParser, ProtocolError, Reply, encode, encode_error, text

#: Bytes to ask for at once, and of replies to gather before they are sent.
CHUNK = 64 * 1024

NEVER = math.inf


@attrs.define(eq=False)
class Store:
    """
    The keys, their values, and when they expire.

    Whoever holds ``lock`` may call the methods; the first call should be `drop_expired`, then no other has to ask
    whether a key is still good.
    """

    clock: Callable[[], float] = time.monotonic
    lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    values: dict[bytes, bytes] = attrs.field(init=False, factory=dict)
    _deadlines: dict[bytes, float] = attrs.field(init=False, factory=dict)
    _queue: list[tuple[float, bytes]] = attrs.field(init=False, factory=list)

    def drop_expired(self) -> None:
        """Delete the keys whose time has come."""
        while self._queue and self._queue[0][0] <= self.clock():
            deadline, key = heapq.heappop(self._queue)
            if self._deadlines.get(key) == deadline:  # else it was changed since, and is queued again
                self.delete(key)

    def delete(self, key: bytes) -> bool:
        """Delete *key*; whether there was one."""
        self._deadlines.pop(key, None)
        return self.values.pop(key, None) is not None

    def clear(self) -> None:
        """Delete everything."""
        self.values.clear()
        self._deadlines.clear()
        self._queue.clear()

    def expire_in(self, key: bytes, seconds: float) -> None:
        """Let *key*, which is there, expire; `NEVER` keeps it."""
        self._deadlines.pop(key, None)
        if seconds == NEVER:
            return
        deadline = self._deadlines[key] = self.clock() + seconds
        heapq.heappush(self._queue, (deadline, key))
        if len(self._queue) > 2 * len(self._deadlines) + 64:  # most of it was changed since
            self._queue = sorted((when, name) for name, when in self._deadlines.items())

    def remaining(self, key: bytes) -> float:
        """Return the seconds until *key* expires."""
        return self._deadlines.get(key, NEVER) - self.clock()


class CommandError(Exception):
    """The command cannot be done; the connection goes on."""


_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def number(argument: bytes) -> int:
    """Read a signed 64-bit number, written as Redis writes it."""
    if _INTEGER.fullmatch(argument) and -(2**63) <= (value := int(argument)) < 2**63:
        return value
    raise CommandError("value is not an integer or out of range")


class Quit(Exception):  # noqa: N818 - no error
    """The client wants no more."""


# The commands. Each is called with the store locked.


def _ping(store: Store, message: bytes | None = None) -> Reply:
    return "PONG" if message is None else message


def _echo(store: Store, message: bytes) -> Reply:
    return message


def _quit(store: Store, *_arguments: bytes) -> Reply:
    raise Quit


def _select(store: Store, index: bytes) -> Reply:
    if number(index) != 0:
        raise CommandError("DB index is out of range")
    return "OK"


def _set(store: Store, key: bytes, value: bytes, *expiry: bytes) -> Reply:
    match expiry:
        case ():
            seconds = NEVER
        case (unit, amount) if unit.upper() in UNITS:
            seconds = number(amount) * UNITS[unit.upper()]
        case _:
            raise CommandError("syntax error")
    if seconds <= 0:
        raise CommandError("invalid expire time in 'set' command")
    store.values[key] = value
    store.expire_in(key, seconds)
    return "OK"


def _get(store: Store, key: bytes) -> Reply:
    return store.values.get(key)


def _mget(store: Store, *keys: bytes) -> Reply:
    return [store.values.get(key) for key in keys]


def _del(store: Store, *keys: bytes) -> Reply:
    return sum(store.delete(key) for key in keys)


def _exists(store: Store, *keys: bytes) -> Reply:
    return sum(key in store.values for key in keys)


def _incrby(store: Store, key: bytes, amount: bytes = b"1") -> Reply:
    value = number(store.values.get(key, b"0")) + number(amount)
    if not -(2**63) <= value < 2**63:
        raise CommandError("increment or decrement would overflow")
    store.values[key] = b"%d" % value
    return value


def _expire(store: Store, key: bytes, amount: bytes) -> Reply:
    seconds = number(amount)
    if key not in store.values:
        return 0
    if seconds > 0:
        store.expire_in(key, seconds)
    else:
        store.delete(key)
    return 1


def _ttl(store: Store, key: bytes) -> Reply:
    if key not in store.values:
        return -2
    seconds = store.remaining(key)
    return -1 if seconds == NEVER else round(seconds)


def _dbsize(store: Store) -> Reply:
    return len(store.values)


def _flushall(store: Store) -> Reply:
    store.clear()
    return "OK"


def _config(store: Store, verb: bytes, pattern: bytes) -> Reply:
    """Tell redis-benchmark, which prints it, that nothing goes to disk."""
    if verb.upper() != b"GET":
        raise CommandError(f"unknown subcommand '{text(verb)}'")
    found = [pair for pair in SETTINGS.items() if fnmatch.fnmatchcase(pair[0], pattern.lower())]
    return [item for pair in found for item in pair]


def _command(store: Store, *_arguments: bytes) -> Reply:
    """Tell redis-cli, which completes and explains what it is told here, nothing."""
    return []


UNITS = {b"EX": 1.0, b"PX": 0.001}
SETTINGS = {b"save": b"", b"appendonly": b"no"}
MANY = 1_000_000

#: Name: what it does, the fewest and the most arguments. HELLO is missing on purpose: the error tells a client to
#: go on with RESP2.
COMMANDS: dict[bytes, tuple[Callable[..., Reply], int, int]] = {
    b"PING": (_ping, 0, 1),
    b"ECHO": (_echo, 1, 1),
    b"QUIT": (_quit, 0, MANY),
    b"SELECT": (_select, 1, 1),
    b"SET": (_set, 2, 4),
    b"GET": (_get, 1, 1),
    b"MGET": (_mget, 1, MANY),
    b"DEL": (_del, 1, MANY),
    b"EXISTS": (_exists, 1, MANY),
    b"INCR": (_incrby, 1, 1),
    b"INCRBY": (_incrby, 2, 2),
    b"EXPIRE": (_expire, 2, 2),
    b"TTL": (_ttl, 1, 1),
    b"DBSIZE": (_dbsize, 0, 0),
    b"FLUSHALL": (_flushall, 0, 0),
    b"CONFIG": (_config, 2, 2),
    b"COMMAND": (_command, 0, MANY),
}


def execute(store: Store, name: bytes, *arguments: bytes) -> Reply:
    """
    Run one command, alone.

    Raises:
        CommandError: It cannot be done.
        Quit: It was the last one.
    """
    function, fewest, most = COMMANDS.get(name.upper(), (None, 0, 0))
    if function is None:
        raise CommandError(f"unknown command '{text(name)}'")
    if not fewest <= len(arguments) <= most:
        raise CommandError(f"wrong number of arguments for '{text(name.lower())}' command")
    with store.lock:
        store.drop_expired()
        return function(store, *arguments)


def converse(store: Store, request: socket.socket, client_address: object, server: object) -> None:
    """
    Serve one client. A handler is whatever can be called with the last three; here a class would add nothing.

    All complete commands of a chunk are answered with one `sendall`: to clients that pipeline this is most of the
    speed.
    """
    parser = CommandParser()
    replies = bytearray()
    try:
        while data := request.recv(CHUNK):
            for command in parser.feed(data):
                try:
                    replies += encode(execute(store, *command))
                except CommandError as failure:
                    replies += encode_error(str(failure))
                if len(replies) >= CHUNK:  # a few short commands may ask for much
                    request.sendall(replies)
                    replies.clear()
            if replies:
                request.sendall(replies)
                replies.clear()
    except Quit:
        request.sendall(replies + encode("OK"))
    except ProtocolError as failure:
        request.sendall(replies + encode_error(f"Protocol error: {failure}"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a store until told to stop."""
    command = CommandLine(__doc__, TCP, UNIX)
    command.serve(command.parse_args(arguments), functools.partial(converse, Store()))


if __name__ == "__main__":
    main()
