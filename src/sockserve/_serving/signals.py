"""
Ctrl-C while serving: the first asks to stop, the second interrupts.

Python's own handler raises KeyboardInterrupt wherever the main thread happens to be, which cuts a reply in the
middle. So, as asyncio.Runner does, and only where that handler is in place, another stands in while the main
thread serves.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from .._loop.loop import EventLoop

__all__ = ("handled", "interruptible", "wake_on_signals")


@contextlib.contextmanager
def interruptible(ask_to_stop: Callable[[], object]) -> Iterator[None]:
    """
    Call *ask_to_stop* at the first SIGINT, and raise KeyboardInterrupt at the end of the block, or at the second.

    In other threads than the main one, and where the program handles SIGINT itself: do nothing.
    """
    if not _is_ours():
        yield
        return
    count = 0

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            signal.default_int_handler(number, frame)
        ask_to_stop()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        # Not where the handler or a signal handler of the program's has put another in its place meanwhile.
        if signal.getsignal(signal.SIGINT) is on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if count:
        raise KeyboardInterrupt


def _is_ours() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


@contextlib.contextmanager
def handled(callbacks: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """
    Call back at these signals during the block.

    In other threads than the main one, and for signals that the program handles or ignores: do nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {}
    for number, callback in callbacks.items():
        if signal.getsignal(number) is signal.SIG_DFL:
            ours[number] = _handler(callback)
            signal.signal(number, ours[number])
    try:
        yield
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:  # else the program has put another in its place
                signal.signal(number, signal.SIG_DFL)


def _handler(callback: Callable[[], object]) -> Callable[[int, FrameType | None], object]:
    return lambda number, frame: callback()


@contextlib.contextmanager
def wake_on_signals(loop: EventLoop) -> Iterator[None]:
    """
    Let every signal end the wait of *loop*, in the main thread.

    Without it a signal that comes between Python's last look and the wait is seen only when the wait ends (met in
    one run of a test in some hundred), and on Windows none ends a wait at all (`signal.set_wakeup_fd`). Where the
    program uses that mechanism itself, as asyncio does, it is told all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    theirs = signal.set_wakeup_fd(loop.wakeup_fileno, warn_on_full_buffer=False)
    if sys.platform == "win32" and theirs != -1:  # perhaps a socket, to which os.write cannot pass anything on
        signal.set_wakeup_fd(theirs)
    else:
        loop.forward_signals(theirs)
    try:
        yield
    finally:
        signal.set_wakeup_fd(theirs)
        loop.forward_signals(-1)
