"""Takes a partition of decisions apart before it is dropped: keys of its events stay, its touchpoints go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from services.trigger.domain.touchpoints import TouchpointKind
from shared.database import db
from shared.database.session import Session
from shared.ids import first_id

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
    AND (t.decision_id = old.id OR t.decision_id IS NULL
        AND (t.event_id IS NULL OR (t.source, t.event_id) = (old.source, old.event_id)))
)
SELECT id FROM old ORDER BY id DESC LIMIT 1"""


async def forget_batch(session: Session, partition: str, *, after: UUID, limit: int = BATCH) -> UUID | None:
    """Keep the keys of the next decisions after this id, and delete their touchpoints; return the last id of them.

    Returns None when no decision is left. A touchpoint that a later event decided stays.
    """
    kinds = [kind.value for kind in TouchpointKind]
    rows = await db.fetch(session, _FORGET.format(partition=partition, limit=limit), after, kinds)
    return rows[0]["id"] if rows else None


async def count(session: Session, partition: str) -> int:
    (row,) = await db.fetch(session, f"SELECT count(*) AS n FROM {partition}")  # noqa: S608 - a name of the catalogue
    return int(row["n"])


async def has_first(session: Session) -> bool:
    """Return whether the table of before there were months has decisions."""
    return bool(await db.fetch(session, "SELECT FROM decisions_first LIMIT 1"))


# --- shapes that nothing uses any more

_BLOCKS = "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::int AS n"
_USED = "SELECT DISTINCT shape FROM {table} WHERE shape IS NOT NULL AND ctid >= $1::tid AND ctid < $2::tid"
# Who stores a decision or touchpoint inserts its shape in the same transaction, also if it is there already, and so
# holds a lock on the table of shapes that excludes this one.
_LOCK_SHAPES = ("SET LOCAL lock_timeout = '2s'", "LOCK TABLE shapes IN SHARE ROW EXCLUSIVE MODE")
_DELETE_SHAPES = """DELETE FROM shapes AS s WHERE digest = ANY($1::uuid[])
AND NOT EXISTS (SELECT FROM decisions AS d WHERE d.id >= $2 AND d.shape = s.digest)
AND NOT EXISTS (SELECT FROM decisions AS d JOIN touchpoints AS t
    ON t.respondent_id = d.respondent_id AND t.kind = ANY($3::text[]) AND t.ref = d.subject
    WHERE d.id >= $2 AND t.shape = s.digest) RETURNING 1"""


async def shapes(session: Session) -> set[UUID]:
    return {row["digest"] for row in await db.fetch(session, "SELECT digest FROM shapes")}


async def blocks(session: Session, table: str) -> int:
    return int((await db.fetch(session, _BLOCKS, table))[0]["n"])


async def used_shapes(session: Session, table: str, *, first: int, most: int) -> set[UUID]:
    """Return the shapes of the rows in some blocks of a partition, or of `touchpoints`."""
    rows = await db.fetch(session, _USED.format(table=table), (first, 0), (first + most, 0))
    return {row["shape"] for row in rows}


async def delete_shapes(session: Session, unused: Collection[UUID], *, since: datetime) -> int:
    """Delete shapes that were unused at `since`, but those that were used from then on; return how many.

    Raises LockNotAvailableError when the table was in use for two seconds.
    """
    for statement in _LOCK_SHAPES:
        await db.fetch(session, statement)
    kinds = [kind.value for kind in TouchpointKind]
    return len(await db.fetch(session, _DELETE_SHAPES, list(unused), first_id(since), kinds))
