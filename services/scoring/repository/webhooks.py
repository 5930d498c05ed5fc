"""Webhook endpoints, and the queue of what each is still to be told. Its times are machine time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.webhooks import KEPT, MOST, OVERLAP, Delivery, DeliveryResult, DeliveryState, Endpoint
from shared.database import db

_ENQUEUE = """queued AS (INSERT INTO webhook_deliveries (endpoint_id, event_id, type, subject, body)
SELECT w.id, e.said->>'id', e.said->>'type', e.said->>'subject', e.body FROM webhook_endpoints w,
(SELECT id, body, convert_from(body, 'UTF8')::json AS said FROM added) e
WHERE w.types ? (e.said->>'type') ORDER BY w.id, e.id)"""
# what endpoints want of the outbox's new events; a disabled one may be enabled again
ENQUEUEING = db.Write(_ENQUEUE, ())


_FORGET = "DELETE FROM webhook_deliveries WHERE subject = ANY($1::text[])"
_FORGET_OLD = "DELETE FROM webhook_deliveries WHERE created_at < clock_timestamp() - $1::interval RETURNING 1"


async def forget(session: AsyncSession, invitations: Sequence[UUID]) -> None:
    """Drop what is queued or kept of these invitations: it holds what somebody wrote."""
    await db.fetch(session, _FORGET, [str(each) for each in invitations])


async def forget_old(session: AsyncSession) -> int:
    return len(await db.fetch(session, _FORGET_OLD, KEPT))


# --- endpoints

_COLUMNS = "id, url, types, secret, CASE WHEN old_until > clock_timestamp() THEN old_secret END AS old_secret, disabled"
_ADD = """INSERT INTO webhook_endpoints (id, url, types, secret)
SELECT $1, $2, $3::jsonb, $4 WHERE (SELECT count(*) FROM webhook_endpoints) < $5 RETURNING id"""


async def add(session: AsyncSession, endpoint: Endpoint) -> bool:
    """Store a new endpoint; False when there are as many as there may be."""
    types = json.dumps(endpoint.types)
    return bool(await db.fetch(session, _ADD, endpoint.id, endpoint.url, types, endpoint.secrets[0], MOST))


async def load(session: AsyncSession, endpoint_id: UUID) -> Endpoint | None:
    rows = await db.fetch(session, f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE id = $1", endpoint_id)  # noqa: S608 - column names only
    return _endpoint(rows[0]) if rows else None


def _endpoint(row: asyncpg.Record) -> Endpoint:
    secrets = tuple(secret for secret in (row["secret"], row["old_secret"]) if secret)
    return Endpoint(row["id"], row["url"], tuple(row["types"]), secrets, row["disabled"])


@dataclass(frozen=True, slots=True)
class Listed:
    """An endpoint with what became of the deliveries that are kept."""

    endpoint: Endpoint
    due: int
    delivered: int
    failed: int
    last_outcome: str | None
    succeeded_at: datetime | None


_LIST = f"""SELECT {_COLUMNS}, succeeded_at,
count(d.event_id) FILTER (WHERE d.state = 'due') AS due,
count(d.event_id) FILTER (WHERE d.state = 'delivered') AS delivered,
count(d.event_id) FILTER (WHERE d.state = 'failed') AS failed,
(SELECT outcome FROM webhook_deliveries l WHERE l.endpoint_id = e.id AND l.state <> 'delivered' AND outcome IS NOT NULL
ORDER BY created_at DESC LIMIT 1) AS last_outcome
FROM webhook_endpoints e LEFT JOIN webhook_deliveries d ON d.endpoint_id = e.id GROUP BY e.id ORDER BY e.id"""  # noqa: S608 - column names only


async def listed(session: AsyncSession) -> list[Listed]:
    return [
        Listed(_endpoint(row), row["due"], row["delivered"], row["failed"], row["last_outcome"], row["succeeded_at"])
        for row in await db.fetch(session, _LIST)
    ]


_DISABLE = "UPDATE webhook_endpoints SET disabled = $2 WHERE id = $1 AND disabled IS NULL RETURNING id"
_ENABLE = "UPDATE webhook_endpoints SET disabled = NULL WHERE id = $1 RETURNING id"
_ROTATE = """UPDATE webhook_endpoints SET old_secret = secret, old_until = clock_timestamp() + $3::interval, secret = $2
WHERE id = $1 RETURNING id"""
_REMOVE = """WITH gone AS (DELETE FROM webhook_deliveries WHERE endpoint_id = $1)
DELETE FROM webhook_endpoints WHERE id = $1 RETURNING id"""
_REPLAY = """UPDATE webhook_deliveries SET state = 'due', tries = 0, due_at = clock_timestamp()
WHERE endpoint_id = $1 AND created_at >= $2 AND (state <> 'delivered' OR $3) RETURNING 1"""


async def disable(session: AsyncSession, endpoint_id: UUID, *, reason: str) -> bool:
    return bool(await db.fetch(session, _DISABLE, endpoint_id, reason))


async def enable(session: AsyncSession, endpoint_id: UUID) -> bool:
    """Serve it again, with what still waits for it."""
    return bool(await db.fetch(session, _ENABLE, endpoint_id))


async def rotate(session: AsyncSession, endpoint_id: UUID, *, secret: str) -> bool:
    """Sign with a new secret; with the one before it as well for a while."""
    return bool(await db.fetch(session, _ROTATE, endpoint_id, secret, OVERLAP))


async def remove(session: AsyncSession, endpoint_id: UUID) -> bool:
    return bool(await db.fetch(session, _REMOVE, endpoint_id))


async def replay(session: AsyncSession, endpoint_id: UUID, *, since: datetime, delivered_too: bool) -> int:
    """Send again what was queued since then and is still kept; returns how many."""
    return len(await db.fetch(session, _REPLAY, endpoint_id, since, delivered_too))


# --- deliveries

_BUSY = """SELECT id FROM webhook_endpoints e WHERE disabled IS NULL AND EXISTS (SELECT 1 FROM webhook_deliveries d
WHERE d.endpoint_id = e.id AND d.state = 'due' AND d.due_at <= clock_timestamp())"""
_CLAIM = """WITH mine AS (SELECT endpoint_id, event_id FROM webhook_deliveries
WHERE endpoint_id = $1 AND state = 'due' AND due_at <= clock_timestamp()
ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE webhook_deliveries d SET tries = tries + 1, due_at = clock_timestamp() + $3::interval FROM mine
WHERE d.endpoint_id = mine.endpoint_id AND d.event_id = mine.event_id RETURNING d.event_id, d.body, d.tries"""


async def with_work(session: AsyncSession) -> list[UUID]:
    """Name the enabled endpoints that something is due for."""
    return [row["id"] for row in await db.fetch(session, _BUSY)]


async def claim(session: AsyncSession, endpoint_id: UUID, *, limit: int, lease: timedelta) -> list[Delivery]:
    """Take what is due for a try; unless it is recorded, it is due again when the lease ends."""
    rows = await db.fetch(session, _CLAIM, endpoint_id, limit, lease)
    return [Delivery(row["event_id"], row["body"], row["tries"]) for row in rows]


# a lease that ended was somebody else's to try: the count of tries tells
_RECORD = """UPDATE webhook_deliveries d SET state = r.state, outcome = r.outcome, due_at = clock_timestamp() + r.wait
FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::interval[]) AS r (event_id, tries, state, outcome, wait)
WHERE d.endpoint_id = $1 AND d.event_id = r.event_id AND d.tries = r.tries AND d.state = 'due'
RETURNING d.state, d.created_at"""
_SUCCEEDED = "UPDATE webhook_endpoints SET succeeded_at = clock_timestamp() WHERE id = $1"
_GIVE_UP = """UPDATE webhook_endpoints SET disabled = $3 WHERE id = $1 AND disabled IS NULL
AND (succeeded_at IS NULL OR succeeded_at < $2) RETURNING id"""


async def record(session: AsyncSession, endpoint_id: UUID, results: Sequence[DeliveryResult], *, reason: str) -> bool:
    """Note how tries ended; True when the endpoint took nothing for as long as one was tried, and is given up."""
    rows = await db.fetch(
        session,
        _RECORD,
        endpoint_id,
        [each.delivery.event_id for each in results],
        [each.delivery.tries for each in results],
        [str(each.state) for each in results],
        [each.outcome for each in results],
        [each.wait for each in results],
    )
    if any(row["state"] == DeliveryState.DELIVERED for row in rows):
        await db.fetch(session, _SUCCEEDED, endpoint_id)
    failed = [row["created_at"] for row in rows if row["state"] == DeliveryState.FAILED]
    return bool(failed) and bool(await db.fetch(session, _GIVE_UP, endpoint_id, max(failed), reason))
