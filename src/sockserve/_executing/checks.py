"""What an executor needs of a handler, seen before it is given a task."""

import importlib
import os
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import CompositionError
from ..handlers import handler_name
from ..messages._handler import message_class
from .parcels import Parcel

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ("check_handler", "check_process", "forks_workers", "parcel_for")

# Told by name: nothing has to be imported to compare.
_THREADS = ("concurrent.futures.thread", "ThreadPoolExecutor")
_PROCESSES = ("concurrent.futures.process", "ProcessPoolExecutor")
_INTERPRETERS = ("concurrent.futures.interpreter", "InterpreterPoolExecutor")  # Python 3.14
_DASK = ("distributed.cfexecutor", "ClientExecutor")


def _is(executor: "Executor", *names: tuple[str, str]) -> bool:
    return any((base.__module__, base.__qualname__) in names for base in type(executor).__mro__)


def forks_workers(executor: "Executor") -> bool:
    """Whether its workers may be copies of this process, with all that is open here."""
    return _is(executor, _PROCESSES)


def parcel_for(executor: "Executor", handler: object) -> Parcel:
    """Make what *executor* is given of *handler*."""
    return Parcel(handler, _dumps_of(executor))


def _dumps_of(executor: "Executor") -> Callable[[object], bytes]:
    if not _is(executor, _DASK):
        return pickle.dumps
    # It comes with Dask, which sends a class of __main__ so.
    dumps: Callable[[object], bytes] = importlib.import_module("cloudpickle").dumps
    return dumps


def check_handler(executor: "Executor", handler: object) -> None:
    """
    Look at *handler*, which is to answer where *executor* runs it.

    Raises:
        CompositionError: It is no `MessageHandler`, or cannot get there; or Dask would mistake it.
    """
    if message_class(handler) is None:
        raise CompositionError(
            f"ExecutorStrategy runs handlers of messages, and {handler_name(handler)} reads and writes by itself: "
            "derive from MessageHandler, with framing = Lines() (or another) and respond(self, message), or serve "
            "it by another strategy"
        )
    name = type(executor).__name__
    if _is(executor, _DASK) and getattr(executor, "_kwargs", {}).get("pure") is not False:
        raise CompositionError(
            "ExecutorStrategy: Dask takes equal messages for one task, whose result all get; make the executor by "
            "Client.get_executor(pure=False)"
        )
    if _is(executor, _PROCESSES, _INTERPRETERS, _DASK):
        _check_pickling(executor, handler, name)


def _check_pickling(executor: "Executor", handler: object, name: str) -> None:
    try:
        parcel_for(executor, handler).pack()
    except Exception as error:
        raise CompositionError(
            f"ExecutorStrategy: {name} pickles the handler, and {handler_name(handler)} cannot be pickled: "
            f"{error}. Define the class at the top level of a module that the workers can import, and give to "
            "functools.partial what can be pickled, too"
        ) from error


def check_process(executor: "Executor", pid: int | None) -> None:
    """
    Look whether *executor*, which belongs to the process *pid*, can be used in this one; None: in forked ones.

    Raises:
        CompositionError: Its threads or its queues are the other's: a task would never come back.
    """
    if os.getpid() == pid or (_is(executor, _THREADS) and not getattr(executor, "_threads", True)):
        return
    raise CompositionError(
        f"ExecutorStrategy: the {type(executor).__name__} cannot be used in processes forked from its own: "
        "they lack its threads, and share its queues. Let one process serve, whose executor has the others"
    )
