"""Decisions: one for each event, kept forever, so that a repeated event is recognized."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from operator import attrgetter

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger import models
from services.trigger.domain.deciding.stored_decision import EventKey, StoredDecision
from services.trigger.repository import new_rows
from shared.contract.vocabulary import Service
from shared.database import db

_IN_ORDER = attrgetter("source", "event_id")
_JSON = msgspec.json.Encoder()


_COLUMNS = tuple(column.name for column in models.decisions.columns)

# without the limit, PostgreSQL would scan the whole table while it is small
_FIND = f"""SELECT d.* FROM unnest($1::text[], $2::text[]) AS wanted (source, event_id)
CROSS JOIN LATERAL (SELECT {", ".join(_COLUMNS)} FROM decisions WHERE decisions.event_id = wanted.event_id
AND decisions.source = wanted.source LIMIT 1) AS d"""  # noqa: S608 - column names only


_SOURCES = """SELECT DISTINCT respondent_id, source FROM decisions
WHERE respondent_id = ANY($1::text[]) AND source <> ALL($2::text[])"""


async def find(session: AsyncSession, keys: Collection[EventKey]) -> dict[EventKey, StoredDecision]:
    rows = await db.fetch(session, _FIND, *zip(*keys, strict=True)) if keys else []
    return {decision.key: decision for decision in (StoredDecision(**row) for row in rows)}


async def sources_of(session: AsyncSession, respondents: Collection[str]) -> dict[str, set[str]]:
    """Return the sources of the events about these respondents, without our own services."""
    found: dict[str, set[str]] = defaultdict(set)
    own = [service.source for service in Service]
    for row in await db.fetch(session, _SOURCES, list(respondents), own) if respondents else []:
        found[row["respondent_id"]].add(row["source"])
    return found


async def add(session: AsyncSession, decisions: Sequence[StoredDecision]) -> None:
    """Store new decisions; raises Raced."""
    rows = [
        (
            d.id,
            d.source,
            d.event_id,
            d.digest,
            d.type,
            d.respondent_id,
            d.subject,
            d.event_time,
            d.decided_at,
            d.reason,
            d.program_id,
            d.program_version,
            d.invitation_id,
            _JSON.encode(d.trail).decode(),
            _JSON.encode(d.ignored).decode() if d.ignored else None,
        )
        for d in sorted(decisions, key=_IN_ORDER)  # in one order in every transaction, to avoid deadlocks
    ]
    await new_rows.add(session, "decisions", _COLUMNS, rows)


async def search(
    session: AsyncSession, *, respondents: Collection[str] | None, event_id: str | None, limit: int
) -> list[StoredDecision]:
    """Find the decisions about these respondents or an event, newest first."""
    table = models.decisions
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if respondents is not None:
        query = query.where(table.c.respondent_id.in_(respondents))
    if event_id is not None:
        query = query.where(table.c.event_id == event_id)
    return [StoredDecision(**row) for row in (await session.execute(query)).mappings()]
