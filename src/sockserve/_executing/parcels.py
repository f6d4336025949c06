"""
What goes to a worker, what happens there, and what comes back.

A worker may be a thread, a process, another interpreter or another machine. Nothing here is pickled unless the
executor does so, and what is pickled can always be unpickled: what fails then would, in a process pool, break the
pool and not one request (CPython's concurrent/futures/process.py, `_process_worker`).
"""

import functools
import pickle
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias, cast

from .._typing import override
from ..messages import MessageHandler
from ..messages._replies import as_message, as_messages, is_lazy
from .failures import Failure, unpickle

__all__ = ("MOST_LAZY", "Answer", "Parcel", "answer_one")

#: Bytes of one reply that is made as it is taken (a generator's), at most. The worker makes all of it before any
#: goes out: an endless one would fill its memory.
MOST_LAZY = 16 * 1024 * 1024
#: What each message of such a reply counts for besides: an endless one may be of empty messages.
_EACH = 64

#: A class, or what makes its objects; of whatever address.
Maker: TypeAlias = Callable[..., MessageHandler[Any]]  # type: ignore[explicit-any]


class Parcel:
    """
    A handler on its way to a worker.

    Args:
        make: The class, or a `functools.partial` of it.
        dumps: Pickles it.
    """

    __slots__ = ("_make", "_packed", "dumps")

    def __init__(self, make: object, dumps: Callable[[object], bytes] = pickle.dumps) -> None:
        self._make = make
        self._packed: bytes | None = None
        self.dumps: Callable[[object], bytes] = dumps

    @override
    def __reduce__(self) -> tuple[Callable[[bytes], "Parcel"], tuple[bytes]]:
        return _arrived, (self.pack(),)

    def pack(self) -> bytes:
        """
        Pickle the handler, once.

        Raises:
            Exception: It cannot be pickled, or not be made of that again.
        """
        if self._packed is None:
            packed = self.dumps(self._make)
            unpickle(packed)
            self._packed = packed
        return self._packed

    def open(self) -> Maker:
        """
        Give what makes the handler.

        Raises:
            Exception: It cannot be unpickled here.
        """
        if self._make is None:
            assert self._packed is not None
            self._make = _unpack(self._packed)
        return cast("Maker", self._make)


def _arrived(packed: bytes) -> Parcel:
    """Make a parcel in a worker. It is opened later, where an error is that of one message."""
    parcel = Parcel(None)
    parcel._packed = packed
    return parcel


#: Of the servers that share an executor: each handler is unpickled once in a worker.
_unpack = functools.lru_cache(maxsize=64)(unpickle)


class Answer(NamedTuple):
    """What has come of a message."""

    messages: list[bytes]
    """What is to be sent: by `send` first, then what ``respond`` gave."""
    closes: bool
    """Whether the handler has closed its connection."""
    failure: Failure | None
    """What it has raised, after that."""


class _There:
    """Stands for the conversation in a worker: what the handler sends there, it sends with its reply."""

    __slots__ = ("handler", "messages", "stopped")

    def __init__(self, handler: object) -> None:
        self.handler = handler
        self.messages: list[bytes] = []
        self.stopped = False

    def send(self, message: bytes) -> bool:
        """Send *message* before the reply."""
        self.messages.append(as_message(self.handler, message, "send() got"))
        return True

    def close(self) -> None:
        """End the connection after the reply."""
        self.stopped = True


def answer_one(parcel: Parcel, client_address: object, message: bytes) -> Answer:
    """
    Answer *message*: what the executor's workers run.

    The handler is one of its own, which knows its client's address, and nothing of its connection.
    """
    there = None
    messages: list[bytes] = []
    failure = None
    try:
        handler = parcel.open()(None, client_address, None)
        there = _There(handler)
        messages = there.messages
        handler._conversation = there
        _gather(handler, handler.respond(message), messages)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - told as a value: a future's error is the executor's
        failure = Failure(error)
    return Answer(messages, there is not None and there.stopped, failure)


def _gather(handler: object, reply: object, messages: list[bytes]) -> None:
    """Take all of a reply."""
    if reply is None:
        return
    what = "respond() gave, among others,"
    items: Iterable[object] = as_messages(handler, reply)
    if not is_lazy(reply):
        messages += [as_message(handler, item, what) for item in items]
        return
    size = 0
    try:
        for item in items:
            messages.append(taken := as_message(handler, item, what))
            size += len(taken) + _EACH
            if size > MOST_LAZY:
                raise OverflowError(
                    f"{type(handler).__qualname__}: respond() gave more than {MOST_LAZY} bytes one by one. Under "
                    "ExecutorStrategy a reply is complete before it is sent: give less, or use another strategy"
                )
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
