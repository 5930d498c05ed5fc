"""Sample events of a shop, and helpers that decide them and read the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import tenacity

from services.trigger.config import TriggerSettings
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.respondents import Respondent
from services.trigger.handlers.events import EventIdConflict, decide_events, read_event
from services.trigger.repository import decisions, respondents
from services.trigger.repository.new_rows import Raced
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db
from shared.messaging import codec
from shared.messaging.relay_leadership import messages_in
from shared.messaging.transport import Message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = TriggerSettings(_env_file=None).installation

CUSTOMER: dict[str, Any] = {"id": "c1", "name": "Ann", "email": "ann@shop.example"}


def body(kind: str, id_: str, *, at: datetime = NOW, source: str = "shop", **data: Any) -> dict[str, Any]:
    """Return an event as a shop sends it; the default customer is Ann."""
    return {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": f"crm.{kind}",
        "time": at.isoformat(),
        "data": {"customer": CUSTOMER, **data},
    }


def purchase(id_: str, *, order: str | None = None, **rest: Any) -> dict[str, Any]:
    return body("purchase.completed", id_, **{"order": {"id": order or f"order of {id_}"}, **rest})


def cancellation(id_: str, *, order: str, **rest: Any) -> dict[str, Any]:
    return body("purchase.cancelled", id_, **{"order": {"id": order}, **rest})


def message(sent: dict[str, Any]) -> Message:
    return Message("crm.events", "any", json.dumps(sent).encode())


async def decide(
    database: db.Database, sent: Sequence[dict[str, Any]], *, now: datetime = NOW
) -> list[StoredDecision | EventIdConflict]:
    """Decide events; a lost race is tried again."""
    async for attempt in tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(Raced)):
        with attempt:
            async with database.sessions.begin() as session:
                return await decide_events(
                    session, [read_event(message(one)) for one in sent], now=now, settings=SETTINGS
                )
    raise AssertionError


async def reasons(database: db.Database, sent: Sequence[dict[str, Any]], *, now: datetime = NOW) -> list[str]:
    verdicts = await decide(database, sent, now=now)
    return ["conflict" if isinstance(verdict, EventIdConflict) else verdict.reason for verdict in verdicts]


async def decided(database: db.Database, *types: str) -> list[StoredDecision]:
    """Return the decisions about events of these types, in the order in which they were made."""
    async with database.sessions() as session:
        found = await decisions.search(session, respondents=None, event_id=None, limit=1000)
    return [each for each in reversed(found) if each.type in types]


async def published(database: db.Database, *, but: Sequence[str] = ("program.published",)) -> list[Event[Payload]]:
    """Read the outbox in order."""
    async with database.sessions() as session:
        rows = await db.fetch(session, "SELECT * FROM outbox ORDER BY id")
    events = [codec.parse(message) for message in messages_in(rows)]
    return [event for event in events if event.type not in but]


async def known_respondents(database: db.Database) -> list[Respondent]:
    async with database.sessions() as session:
        return await respondents.load_all(session)


async def count(database: db.Database, table: str) -> int:
    async with database.sessions() as session:
        (row,) = await db.fetch(session, f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own constant
    return int(row[0])


def later(**duration: float) -> datetime:
    return NOW + timedelta(**duration)
