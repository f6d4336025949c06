"""
Logs for people and for machines: formatters of the standard logging that know sockserve's events.

A server's default observer writes each event to the logger ``sockserve``, and puts the event itself into the
record's attribute ``event``. What is here makes lines of it::

    logs.configure("json")

One JSON object a line, for what handlers log too, so that one reader understands all that a process writes.
"""

import datetime
import json
import logging
import sys
from typing import TextIO

import attrs

from ._typing import override
from .addresses import InetAddress
from .errors import OptionError
from .events import Event

__all__ = ("JsonFormatter", "TextFormatter", "configure")


def _moment(record: logging.LogRecord) -> str:
    """When it was: RFC 3339, in UTC, with milliseconds."""
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """One line for people: the time, the level, the name of a logger that is not ours, the text."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Make the text of *record*."""
        record.message = record.getMessage()
        whose = "" if record.name.partition(".")[0] == "sockserve" else f"{record.name}: "
        lines = [f"{_moment(record)} {record.levelname:<7} {whose}{record.message}"]
        if trace := _trace(self, record):
            lines.append(trace)
        return "\n".join(lines)


#: What every record has, by `logging` itself: the rest was given by ``extra``.
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "event"}


class JsonFormatter(logging.Formatter):
    """
    One JSON object a line.

    It has ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``; of an event also its name as ``event`` and
    its fields, addresses and errors as text; what a program gave by ``extra=``; ``traceback`` where there is one.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Make the line of *record*."""
        found: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            found["event"] = type(event).__name__
            found |= {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
        found |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if trace := _trace(self, record):
            found["traceback"] = trace
        return json.dumps({name: _plain(value) for name, value in found.items()}, default=_plain)


def _plain(value: object) -> object:
    """Give what JSON has; an address, which is a tuple, as people write it."""
    if isinstance(value, BaseException):
        return repr(value)
    if isinstance(value, InetAddress) or not isinstance(value, _JSON):
        return str(value)
    return value


_JSON = (str, int, float, list, tuple, dict, type(None))


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


_FORMATTERS: dict[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


def configure(form: str | None = None, level: str | int | None = None, stream: TextIO | None = None) -> None:
    """
    Write everything that is logged in this process to *stream*. For programs; a library leaves logging alone.

    Args:
        form: "text" or "json", in place of what has been configured before. None: text, unless something has,
            which is then kept.
        level: The lowest that is written, as logging names or numbers it. None: info, unless something has been
            configured before.
        stream: sys.stderr, unless told otherwise.

    Raises:
        OptionError: There is no such form or level.
    """
    if form is not None and form not in _FORMATTERS:
        raise OptionError(f"logs: form must be 'text' or 'json', not {form!r}")
    number = _level(level)
    root = logging.getLogger()
    if form is not None or not root.handlers:
        handler = logging.StreamHandler(sys.stderr if stream is None else stream)
        handler.setFormatter(_FORMATTERS[form or "text"]())
        root.handlers[:] = [handler]
        number = logging.INFO if number is None else number
    if number is not None:
        root.setLevel(number)


def _level(level: str | int | None) -> int | None:
    if not isinstance(level, str):
        return level
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise OptionError(f"logs: level must be such as 'info' or 'debug', not {level!r}")
    return number
