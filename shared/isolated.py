"""Outside input is handled inside a guard: one bad item is counted and logged, and the others go on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from shared import metrics
from shared.db import is_transient
from shared.vocabulary import Service

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(slots=True)
class Guarded:
    """What became of the item: `error` is what it raised."""

    error: Exception | None = None


@contextmanager
def isolated(kind: str, *, service: Service, outages: bool = False, **ids: object) -> Iterator[Guarded]:
    """Handle one item from outside; whatever it raises is counted under `kind` and logged with these ids only.

    With `outages`, an error that will pass is not the item's: it is raised, so that the item is tried again.
    """
    guarded = Guarded()
    try:
        yield guarded
    except Exception as error:
        if outages and is_transient(error):
            raise
        guarded.error = error
        refuse(kind, error, service=service, **ids)


def refuse(kind: str, error: Exception, *, service: Service, **ids: object) -> None:
    """Count and log an item that cannot be handled. The log line holds no content: only the error's type and place."""
    metrics.BAD_INPUT.labels(service, kind).inc()
    log.error("input.refused", kind=kind, exc_info=error, **ids)


async def halved(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
) -> list[Result | Exception]:
    """Work on all items at once; what fails is halved until the culprit stands alone.

    Returns, in order, the result of each item or what it raised. An error that will pass is raised.
    """
    try:
        return list(await work(items))
    except Exception as error:
        if is_transient(error):
            raise
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return [*await halved(items[:middle], work), *await halved(items[middle:], work)]


def storable(text: str) -> str:
    """Replace what PostgreSQL takes in no text: NUL, and surrogates that are not a pair."""
    return _UNSTORABLE.sub("\ufffd", text)
