"""Structured logs: constant text plus fields. Fields hold ids, and no address, name or comment."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

Line = MutableMapping[str, Any]

_WITHOUT_PERSONAL_DATA = frozenset({"aiokafka"})  # its messages name only nodes, groups, topics and errors


def configure(level: str = "info", *, service: str = "earshot") -> None:
    """Set up logging, once per process; warnings and errors of libraries are logged in the same form."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(logging.WARNING)


def _without_values(_logger: object, _method: str, line: Line) -> Line:
    """Replace an exception by its type and place: a driver's message may quote a row."""
    failure = line.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()[1]
    if isinstance(failure, tuple):
        failure = failure[1]
    if isinstance(failure, BaseException):
        line["exception"] = describe(failure)
    return line


def describe(failure: BaseException) -> str:
    """Name the types of an exception and its causes, each with its last four frames, and without their messages."""
    if isinstance(failure, BaseExceptionGroup):
        return f"{type(failure).__name__}[{'; '.join(describe(inner) for inner in failure.exceptions)}]"
    chain = [_one(failure, failure.__traceback__)]
    while (failure := failure.__cause__ or failure.__context__) is not None and len(chain) < 5:  # type: ignore[assignment]
        chain.append(_one(failure, failure.__traceback__))
    return " <- ".join(chain)


def _one(failure: BaseException, trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-4:]
    places = " > ".join(f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(failure).__name__} ({places})"


def _place(filename: str) -> str:
    """Shorten a path to its folder and file: many folders have a `routes.py`."""
    return "/".join(filename.rsplit("/", 2)[-2:])


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(logger=record.name)
        log.log(record.levelno, "library.message", text=_text(record), exc_info=record.exc_info or None)


def _text(record: logging.LogRecord) -> str:
    """Return the whole message of a library in _WITHOUT_PERSONAL_DATA, and the unformatted text of other libraries.

    Their arguments may hold addresses. A message without arguments may hold them in its text, so for it the logger's
    name is returned.
    """
    if record.name.partition(".")[0] in _WITHOUT_PERSONAL_DATA:
        try:
            return record.getMessage()
        except (TypeError, ValueError):  # the arguments do not fit the text
            pass
    return record.msg if isinstance(record.msg, str) and record.args else record.name
