"""What a handler has raised in a worker, as it is told of where the connection is."""

import pickle
import traceback
from collections.abc import Callable

from .._typing import override

__all__ = ("Failure", "unpickle")


def unpickle(packed: bytes) -> object:
    """
    Make again what was pickled on the other side: by this package, and brought by the executor's own means.

    Raises:
        Exception: Whatever the classes of what is in it make of it.
    """
    return pickle.loads(packed)  # noqa: S301 - no peer of a server has a way to write this


class Failure:
    """
    What ``respond`` has raised, and what can be said of it elsewhere.

    Args:
        error: What it has raised.
        told: Its traceback, where it was raised in another process; None here.
    """

    __slots__ = ("error", "told")

    def __init__(self, error: BaseException, told: str | None = None) -> None:
        self.error = error
        self.told = told

    @override
    def __reduce__(self) -> tuple[Callable[..., "Failure"], tuple[bytes, str]]:  # type: ignore[explicit-any]
        error = self.error
        told = self.told or "".join(traceback.format_exception(error))
        try:
            packed = pickle.dumps(error)
            unpickle(packed)
        except Exception:  # noqa: BLE001 - whatever its class makes of it: what can be told of it is told
            packed = pickle.dumps(RuntimeError(f"{_shown(error)}, raised in a worker, and cannot be pickled"))
        return _told, (packed, told)


def _shown(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - an error of an error
        return f"a {type(error).__qualname__}"


def _told(packed: bytes, told: str) -> Failure:
    try:
        error = unpickle(packed)
        assert isinstance(error, BaseException)
    except Exception:  # noqa: BLE001 - the module of its class is not here, for instance
        error = RuntimeError("respond() raised in a worker what cannot be unpickled here")
    error.__cause__ = WorkerTraceback(told)
    return Failure(error, told)


class WorkerTraceback(Exception):  # noqa: N818 - no error, but the text of one's traceback, where it is shown
    """Where an error was raised: in a worker, whose frames are not here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    @override
    def __str__(self) -> str:
        return f"\n{self._text}"
