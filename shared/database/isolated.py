"""Outside input is handled inside a guard: one bad item is counted and logged, and the others go on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import structlog

from shared import metrics
from shared.contract.vocabulary import Service
from shared.database.db import is_transient

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(slots=True)
class Guarded:
    """What became of the item: `error` is what it raised."""

    error: Exception | None = None


@contextmanager
def isolated(
    kind: str,
    *,
    service: Service,
    passing: tuple[type[Exception], ...] = (),
    outages: bool = False,
    **ids: object,
) -> Iterator[Guarded]:
    """Handle one item from outside; whatever it raises is counted under `kind` and logged with these ids only.

    `passing` names errors that the caller handles. With `outages`, an error that will pass is not the item's: it is
    raised, so that the item is tried again.
    """
    guarded = Guarded()
    try:
        yield guarded
    except Exception as error:
        if isinstance(error, passing) or (outages and is_transient(error)):
            raise
        guarded.error = error
        refuse(kind, error, service=service, **ids)


def refuse(kind: str, error: Exception, *, service: Service, **ids: object) -> None:
    """Count and log an item that cannot be handled. The log line holds no content: only the error's type and place."""
    metrics.BAD_INPUT.labels(service, kind).inc()
    log.warning("input.refused", kind=kind, exc_info=error, **ids)


async def halved(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
) -> list[Result | Exception]:
    """Work on all items at once; what fails is halved until the culprit stands alone.

    Returns, in order, the result of each item or what it raised. An error that is no item's fault is raised: one that
    will pass, and a statement that does not fit the schema.
    """
    try:
        return [result for _, result in zip(items, await work(items), strict=True)]
    except Exception as error:
        if is_transient(error) or _is_of_the_schema(error):
            raise
        if len(items) <= 1:
            return [error] * len(items)
    middle = len(items) // 2
    return [*await halved(items[:middle], work), *await halved(items[middle:], work)]


def _is_of_the_schema(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, asyncpg.SyntaxOrAccessError):
            return True
        error = getattr(error, "orig", None) or error.__cause__
    return False


def storable(text: str) -> str:
    """Replace what PostgreSQL takes in no text: NUL, and surrogates that are not a pair."""
    return _UNSTORABLE.sub("\ufffd", text)
