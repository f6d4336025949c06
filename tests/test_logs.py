"""Logs: lines for people, objects for machines."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from sockserve import InetAddress, OptionError, UnixAddress, log_events, logs
from sockserve.events import Accepted, Finished, HandlerFailed, Listening

SERVER, CLIENT = InetAddress("127.0.0.1", 80), InetAddress("::1", 4321)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as if nobody had configured it."""
    found = logging.getLogger()
    handlers, level = found.handlers[:], found.level
    found.handlers[:] = []
    yield found
    found.handlers[:], found.level = handlers, level
    found.setLevel(level)


@pytest.fixture
def lines(root: logging.Logger) -> io.StringIO:
    """What is logged."""
    return io.StringIO()


def test_an_event_is_one_line_for_people(lines: io.StringIO) -> None:
    """The time in UTC, the level, and the address as it is typed."""
    logs.configure("text", stream=lines)
    log_events(Listening(server_address=SERVER))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    listening at 127.0.0.1:80\n", lines.getvalue()
    )


def test_an_event_is_one_object_for_machines(lines: io.StringIO) -> None:
    """With its name and fields; a handler's error with its traceback, in one line all the same."""
    logs.configure("json", "debug", lines)
    log_events(Finished(server_address=SERVER, client_address=CLIENT, duration=0.25, ok=True))
    try:
        int("on\npurpose")
    except ValueError as error:
        log_events(HandlerFailed(server_address=SERVER, client_address=CLIENT, handler="app.Upper", error=error))
    finished, failed = map(json.loads, lines.getvalue().splitlines())
    assert (
        finished.items()
        >= {
            "level": "DEBUG",
            "logger": "sockserve",
            "event": "Finished",
            "server_address": "127.0.0.1:80",
            "client_address": "[::1]:4321",
            "duration": 0.25,
            "ok": True,
        }.items()
    )
    assert failed["error"].startswith("ValueError(")
    assert failed["message"] == f"app.Upper failed for [::1]:4321: {failed['error']}"
    assert failed["traceback"].startswith("Traceback")


def test_what_handlers_log_has_the_same_form(lines: io.StringIO) -> None:
    """With what they say by extra=; the name of another's logger is in the text too."""
    logs.configure("json", stream=lines)
    logging.getLogger("app").warning("hot: %d", 90, extra={"degrees": 90, "path": SERVER}, stack_info=True)
    logs.configure("text", stream=lines)
    logging.getLogger("app").warning("hot")
    first, second = lines.getvalue().splitlines()
    found = json.loads(first)
    assert (found["message"], found["degrees"], found["path"]) == ("hot: 90", 90, "127.0.0.1:80")
    assert found["traceback"].startswith("Stack")
    assert "event" not in found
    assert second.endswith("WARNING app: hot")


def test_what_a_program_has_configured_is_kept(root: logging.Logger, lines: io.StringIO) -> None:
    """Unless a form is asked for; the level is changed only where it is asked for."""
    theirs = logging.NullHandler()
    root.handlers[:] = [theirs]
    root.setLevel(logging.ERROR)
    logs.configure()
    assert (root.handlers, root.level) == ([theirs], logging.ERROR)
    logs.configure(level="debug")
    assert (root.handlers, root.level) == ([theirs], logging.DEBUG)
    logs.configure("text", stream=lines)
    assert (len(root.handlers), theirs in root.handlers, root.level) == (1, False, logging.INFO)
    root.handlers[:] = []
    logs.configure(level=logging.WARNING)
    assert (len(root.handlers), root.level) == (1, logging.WARNING)


@pytest.mark.parametrize(("form", "level"), [("xml", "info"), ("text", "loud")])
def test_an_unknown_form_or_level_is_refused(root: logging.Logger, form: str, level: str) -> None:
    """Before anything is changed."""
    before = root.handlers[:]
    with pytest.raises(OptionError, match=r"xml|loud"):
        logs.configure(form, level)
    assert root.handlers == before


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (UnixAddress("/run/a"), "/run/a"),
        (UnixAddress("\0name"), "@name"),
        (UnixAddress(""), "an unnamed socket"),
        (UnixAddress("/run/a\nERROR app failed\x1b[2J"), r"/run/a\nERROR app failed\x1b[2J"),
        (CLIENT, "[::1]:4321"),
        (InetAddress("fe80::1%eth0", 1), "[fe80::1%eth0]:1"),
    ],
)
def test_addresses_are_shown_as_they_are_typed(lines: io.StringIO, address: object, shown: str) -> None:
    """A client that chooses its own path writes no line of its own."""
    logs.configure("text", "debug", lines)
    log_events(Accepted(server_address=SERVER, client_address=address))
    assert lines.getvalue().endswith(f"accepted {shown}\n")
