"""Keeps one bad item from stopping the others: a guard for a single item, and bisection of a failing batch."""

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
from shared.database.db import causes, is_transient

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(slots=True)
class Guarded:
    """`error` is the exception of the item, None if it raised none."""

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
    """Guard the handling of one item from outside; an error is counted under `kind`, logged with `ids`, and suppressed.

    Errors of the types in `passing` are raised. With `outages`, transient errors are raised too, so that the caller
    tries the item again.
    """
    guarded = Guarded()
    try:
        yield guarded
    except Exception as error:
        if isinstance(error, passing) or (outages and is_transient(error)):
            raise
        guarded.error = error
        report_refused(kind, error, service=service, **ids)


def report_refused(kind: str, error: Exception, *, service: Service, **ids: object) -> None:
    """Count and log an item that cannot be handled. The log line holds the error's type and place, and no content."""
    metrics.BAD_INPUT.labels(service, kind).inc()
    log.warning("input.refused", kind=kind, exc_info=error, **ids)


async def bisect_failures(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
) -> list[Result | Exception]:
    """Work on all items at once; a batch that fails is halved, and its halves tried, down to single items.

    Returns the result of each item, or the error it raised, in the items' order. Errors that no single item causes are
    raised: transient errors, and those of a statement that does not fit the schema.
    """
    try:
        return [result for _, result in zip(items, await work(items), strict=True)]
    except Exception as error:
        if is_transient(error) or any(isinstance(each, asyncpg.SyntaxOrAccessError) for each in causes(error)):
            raise
        if len(items) <= 1:
            return [error] * len(items)
    middle = len(items) // 2
    return [*await bisect_failures(items[:middle], work), *await bisect_failures(items[middle:], work)]


def storable(text: str) -> str:
    """Replace the characters that PostgreSQL cannot store in a text by U+FFFD: NUL, and unpaired surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)
