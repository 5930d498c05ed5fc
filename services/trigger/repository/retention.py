"""Takes a partition of decisions apart before it is dropped: keys of its events stay, its touchpoints go."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.trigger.domain.touchpoints import TouchpointKind
from shared.database import db

BATCH = 2_000

# The expression of the key is that of `EventKey.hash`. The kinds are named so that touchpoints are found by their key,
# and the limit is no parameter so that PostgreSQL plans for few rows.
_FORGET = """WITH old AS (
    SELECT id, source, event_id, respondent_id, subject FROM {partition} WHERE id > $1 ORDER BY id LIMIT {limit}
), kept AS (
    INSERT INTO event_keys (key)
    SELECT encode(
        substring(sha256(convert_to(length(source) || ':' || source || event_id, 'UTF8')) FOR 16), 'hex'
    )::uuid FROM old ORDER BY 1 ON CONFLICT DO NOTHING
), gone AS (
    DELETE FROM touchpoints AS t USING old
    WHERE t.respondent_id = old.respondent_id AND t.kind = ANY($2::text[]) AND t.ref = old.subject
    AND (t.event_id IS NULL OR (t.source, t.event_id) = (old.source, old.event_id))
)
SELECT id FROM old ORDER BY id DESC LIMIT 1"""


async def forget_batch(session: AsyncSession, partition: str, *, after: UUID, limit: int = BATCH) -> UUID | None:
    """Keep the keys of the next decisions after this id, and delete their touchpoints; return the last id of them.

    Returns None when no decision is left. A touchpoint that a later event decided stays.
    """
    kinds = [kind.value for kind in TouchpointKind]
    rows = await db.fetch(session, _FORGET.format(partition=partition, limit=limit), after, kinds)
    return rows[0]["id"] if rows else None


async def count(session: AsyncSession, partition: str) -> int:
    (row,) = await db.fetch(session, f"SELECT count(*) AS n FROM {partition}")  # noqa: S608 - a name of the catalogue
    return int(row["n"])


async def has_first(session: AsyncSession) -> bool:
    """Return whether the table of before there were months has decisions."""
    return bool(await db.fetch(session, "SELECT FROM decisions_first LIMIT 1"))
