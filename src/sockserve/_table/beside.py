"""A function as a job of its own, for a row that is no request."""

from collections.abc import Callable

from ..abc import Keeper, Reply

__all__ = ("SideJob",)


class SideJob:
    """
    Implements `sockserve.abc.Job` by a function: there is no request, and nobody to say goodbye to.

    Args:
        function: What to run. What it raises leaves the loop.
        client_address: Whose connection it is for, as rows are listed.
    """

    stream = False
    request: object = None

    def __init__(self, function: Callable[[], object], client_address: object) -> None:
        self.client_address = client_address
        self._function = function

    def run(self) -> bool:
        """Call the function."""
        self._function()
        return True

    def replace(self, request: object, /) -> None:
        """Nothing: there is no request."""

    def respond_by(self, respond: Callable[[object, bytes], Reply], /) -> None:
        """No effect: there are no messages."""

    def conversation(self) -> None:
        """None: there is nobody to speak with."""

    def conclude(self, error: BaseException | None, /) -> bool:
        """Never called: there is no conversation."""
        raise NotImplementedError

    def disown(self, keeper: Keeper, /) -> None:
        """Nothing: there is no request."""

    def settle(self, *, ok: bool) -> None:
        """Nothing: it is not counted."""

    def end_input(self) -> None:
        """Nothing: there is no request."""

    def abort(self) -> None:
        """Nothing: there is no request."""
