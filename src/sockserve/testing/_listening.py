"""What the laws of transports begin with: a listener, and what has arrived there."""

import contextlib
import functools
import select
import socket
import sys
from collections.abc import Iterator

from ..abc import Arrival, Listener, Strategy
from ._clients import Connect, connect
from ._recorder import FAILSAFE
from ._stage import AnyTransport, Stage

__all__ = ("accept_one", "arrived", "connect_for", "listening", "readable", "stage_of")


def connect_for(transport: AnyTransport, given: Connect | None) -> Connect:
    """Say how to connect to *transport*: as is given, or as its kind of socket does."""
    return functools.partial(connect, stream=transport.stream) if given is None else given


def stage_of(transport: AnyTransport, given: Connect | None, strategy: Strategy) -> Stage:
    """Give what a law plays on: *transport*, under *strategy*."""
    return Stage(transport, strategy, connect_for(transport, given))


@contextlib.contextmanager
def listening(transport: AnyTransport) -> Iterator[Listener[object, object]]:
    """A listener of *transport*, closed at the end."""
    listener = transport.listen()
    try:
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def arrived(
    transport: AnyTransport, given: Connect | None
) -> Iterator[tuple[Arrival[object, object], socket.socket]]:
    """Give an arrival that nobody serves yet, and its client, who has sent a word."""
    with listening(transport) as listener, connect_for(transport, given)(listener.address) as client:
        client.sendall(b"word\n")
        yield accept_one(listener), client


def accept_one(listener: Listener[object, object]) -> Arrival[object, object]:
    """Accept what has to be there."""
    assert readable(listener, FAILSAFE), "something has arrived, and its descriptor is not readable"
    return listener.accept()


def readable(listener: Listener[object, object], seconds: float) -> bool:
    """Whether *listener* has something to accept within so many *seconds*."""
    if sys.platform == "win32":
        raise NotImplementedError
    poller = select.poll()
    poller.register(listener.fileno(), select.POLLIN)
    return bool(poller.poll(seconds * 1000))
