"""A law that a part has to hold, and a kit of them."""

import inspect
from collections.abc import Callable, Iterator
from typing import Generic, ParamSpec

import attrs

__all__ = ("Kit", "Law")

P = ParamSpec("P")


@attrs.frozen(eq=False)
class Law(Generic[P]):
    """
    One thing that every part of a kind does. Called with the part it returns, or raises what went wrong.

    Args:
        check: The check. Its name is a sentence, its docstring says what is demanded.
    """

    check: Callable[P, object]

    @property
    def __name__(self) -> str:
        """The name, by which pytest tells the cases of a parametrized test."""
        return self.check.__name__

    @property
    def text(self) -> str:
        """What is demanded, in a sentence or two."""
        return inspect.getdoc(self.check) or ""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """
        Check it.

        Raises:
            AssertionError: It does not hold.
            BaseException: Whatever the part has raised.
        """
        self.check(*args, **kwargs)


class Kit(Generic[P]):
    """
    Laws to go through, for ``pytest.mark.parametrize``; called with a part, it checks them all.

    Args:
        laws: Checks, each with the same arguments.
    """

    def __init__(self, *laws: Callable[P, object]) -> None:
        self._laws = [Law(law) for law in laws]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """
        Check every law, whatever becomes of those before it.

        Raises:
            ExceptionGroup: Some do not hold; the note of each error says which.
        """
        errors: list[Exception] = []
        for law in self._laws:
            try:
                law(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - raised with the others, at the end
                error.add_note(f"law: {law.__name__}: {law.text}")
                errors.append(error)
        if errors:
            broken = ", ".join(error.__notes__[-1].split(": ")[1] for error in errors)
            raise ExceptionGroup(f"{len(errors)} of {len(self._laws)} laws do not hold: {broken}", errors)

    def __contains__(self, law: object) -> bool:
        return law in self._laws

    def __len__(self) -> int:
        return len(self._laws)

    def __iter__(self) -> Iterator[Law[P]]:
        return iter(self._laws)
