"""
The pytest plugin, which loads itself where sockserve is installed: the fixture ``serve``.

The rest of `sockserve.testing` does not need pytest, and is loaded by the first test that uses the fixture.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Serving

__all__ = ("pytest_configure", "pytest_runtest_call", "serve")

_KEY: "pytest.StashKey[Serving]" = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """
    Let `ForkStrategy` and `PreforkStrategy` be tested where warnings are errors.

    CPython warns from 3.12 on of each fork beside a thread, and a server under test is served in one. The strategy
    has an event for that. Forks of others are warned of as before.
    """
    config.addinivalue_line(
        "filterwarnings", r"ignore:This process .* is multi-threaded:DeprecationWarning:sockserve\."
    )


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> "Iterator[Serving]":
    """
    Serve handlers until the end of the test, which fails if one raises: ``serve(Handler).ask(b"hello")``.

    See `sockserve.testing.Serving`.
    """
    from .testing import Serving  # noqa: PLC0415 - nothing is loaded for tests that serve nothing

    serving = Serving()
    request.node.stash[_KEY] = serving
    yield serving
    serving.finish()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test itself fail, rather than its end, if something went wrong in what it served."""
    try:
        result = yield
    except BaseException as error:
        _explain(item, error)
        raise
    if (serving := item.stash.get(_KEY, None)) is not None:
        serving.finish()
    return result


def _explain(item: pytest.Item, error: BaseException) -> None:
    """Add what went wrong in the server to what went wrong in the test: often it is the reason."""
    serving = item.stash.get(_KEY, None)
    if serving is None:
        return
    for failure in serving.stop():
        error.add_note(f"In the server: {failure.text}")
        if failure.traceback:
            item.add_report_section("call", "sockserve", failure.traceback)
