"""Webhook endpoints and their queues of deliveries. All times are the database's clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.scoring.domain.webhooks import (
    MAX_ENDPOINTS,
    RETENTION,
    SECRET_OVERLAP,
    Delivery,
    DeliveryResult,
    DeliveryState,
    Endpoint,
)
from shared.contract.cloudevents import Event
from shared.contract.events import Payload
from shared.database import db
from shared.database.session import Session
from shared.messaging import codec

_ENQUEUE = """queued AS (INSERT INTO webhook_deliveries (endpoint_id, event_id, type, subject, body)
SELECT w.id, e.document->>'id', e.document->>'type', e.document->>'subject', e.body FROM webhook_endpoints w,
(SELECT id, body, convert_from(body, 'UTF8')::json AS document FROM added) e
WHERE w.types ? (e.document->>'type') ORDER BY w.id, e.id)"""
# queues the events that the outbox's CTE `added` stores, for every endpoint with their type, also for disabled ones
ENQUEUE_STATEMENT = db.Write(_ENQUEUE, ())

_FORWARD = """INSERT INTO webhook_deliveries (endpoint_id, event_id, type, subject, body)
SELECT w.id, e.id, e.type, e.respondent, e.body
FROM webhook_endpoints w, unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS e (id, type, respondent, body)
WHERE w.types ? e.type ORDER BY w.id, e.id ON CONFLICT DO NOTHING"""


async def forward(session: Session, events: Sequence[Event[Payload]]) -> None:
    """Queue events of other services about respondents, for every endpoint with their type."""
    await queue(session, [(each.id, each.type, each.payload.key, codec.encode(each).body) for each in events])


async def queue(session: Session, rows: Sequence[tuple[str, str, str, bytes]]) -> None:
    """Queue events, given as (id, type, subject, body), for every endpoint with their type; each id only once."""
    if rows:
        await db.fetch(session, _FORWARD, *(list(column) for column in zip(*rows, strict=True)))


_DELETE_DELIVERIES = "DELETE FROM webhook_deliveries WHERE subject = ANY($1::text[])"
_DELETE_OLD = "DELETE FROM webhook_deliveries WHERE created_at < clock_timestamp() - $1::interval RETURNING 1"


async def delete_deliveries(session: Session, *, invitations: Sequence[UUID], respondents: Sequence[str]) -> None:
    """Delete the deliveries about these invitations and respondents: their bodies hold comments and ids."""
    await db.fetch(session, _DELETE_DELIVERIES, [*map(str, invitations), *respondents])


async def delete_old_deliveries(session: Session) -> int:
    return len(await db.fetch(session, _DELETE_OLD, RETENTION))


# --- endpoints

_COLUMNS = "id, url, types, secret, CASE WHEN old_until > clock_timestamp() THEN old_secret END AS old_secret, disabled"
_ADD = """INSERT INTO webhook_endpoints (id, url, types, secret)
SELECT $1, $2, $3::jsonb, $4 WHERE (SELECT count(*) FROM webhook_endpoints) < $5 RETURNING id"""


async def add(session: Session, endpoint: Endpoint) -> bool:
    """Store a new endpoint; False when the maximum number is reached."""
    types = json.dumps(endpoint.types)
    return bool(await db.fetch(session, _ADD, endpoint.id, endpoint.url, types, endpoint.secrets[0], MAX_ENDPOINTS))


async def load(session: Session, endpoint_id: UUID) -> Endpoint | None:
    rows = await db.fetch(session, f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE id = $1", endpoint_id)  # noqa: S608 - column names only
    return _endpoint(rows[0]) if rows else None


def _endpoint(row: asyncpg.Record) -> Endpoint:
    secrets = tuple(secret for secret in (row["secret"], row["old_secret"]) if secret)
    return Endpoint(row["id"], row["url"], tuple(row["types"]), secrets, row["disabled"])


@dataclass(frozen=True, slots=True)
class EndpointSummary:
    """An endpoint with counts of its stored deliveries."""

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


async def summaries(session: Session) -> list[EndpointSummary]:
    return [
        EndpointSummary(
            _endpoint(row), row["due"], row["delivered"], row["failed"], row["last_outcome"], row["succeeded_at"]
        )
        for row in await db.fetch(session, _LIST)
    ]


_DISABLE = "UPDATE webhook_endpoints SET disabled = $2 WHERE id = $1 AND disabled IS NULL RETURNING id"
_ENABLE = "UPDATE webhook_endpoints SET disabled = NULL WHERE id = $1 AND disabled IS NOT NULL RETURNING id"
_ROTATE = """UPDATE webhook_endpoints SET old_secret = secret, old_until = clock_timestamp() + $3::interval, secret = $2
WHERE id = $1 RETURNING id"""
_REMOVE = """WITH deleted AS (DELETE FROM webhook_deliveries WHERE endpoint_id = $1)
DELETE FROM webhook_endpoints WHERE id = $1 RETURNING id"""
_REPLAY = """UPDATE webhook_deliveries SET state = 'due', tries = 0, due_at = clock_timestamp()
WHERE endpoint_id = $1 AND created_at >= $2 AND (state <> 'delivered' OR $3) RETURNING 1"""


async def disable(session: Session, endpoint_id: UUID, *, reason: str) -> bool:
    """Stop an endpoint; False when it does not exist or is stopped already, which keeps its reason."""
    return bool(await db.fetch(session, _DISABLE, endpoint_id, reason))


async def enable(session: Session, endpoint_id: UUID) -> bool:
    """Resume an endpoint; False when it does not exist or is not stopped."""
    return bool(await db.fetch(session, _ENABLE, endpoint_id))


async def rotate(session: Session, endpoint_id: UUID, *, secret: str) -> bool:
    """Set a new secret; deliveries are also signed with the old one for `SECRET_OVERLAP`."""
    return bool(await db.fetch(session, _ROTATE, endpoint_id, secret, SECRET_OVERLAP))


async def remove(session: Session, endpoint_id: UUID) -> bool:
    return bool(await db.fetch(session, _REMOVE, endpoint_id))


async def replay(session: Session, endpoint_id: UUID, *, since: datetime, delivered_too: bool) -> int:
    """Make stored deliveries since this time due again; returns how many."""
    return len(await db.fetch(session, _REPLAY, endpoint_id, since, delivered_too))


# --- deliveries

_WITH_DUE = """SELECT id FROM webhook_endpoints e WHERE disabled IS NULL AND EXISTS (SELECT 1 FROM webhook_deliveries d
WHERE d.endpoint_id = e.id AND d.state = 'due' AND d.due_at <= clock_timestamp())"""
_CLAIM = """WITH mine AS (SELECT endpoint_id, event_id FROM webhook_deliveries
WHERE endpoint_id = $1 AND state = 'due' AND due_at <= clock_timestamp()
ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE webhook_deliveries d SET tries = tries + 1, due_at = clock_timestamp() + $3::interval FROM mine
WHERE d.endpoint_id = mine.endpoint_id AND d.event_id = mine.event_id RETURNING d.event_id, d.body, d.tries"""


async def with_due_deliveries(session: Session) -> list[UUID]:
    """Return the ids of enabled endpoints with due deliveries."""
    return [row["id"] for row in await db.fetch(session, _WITH_DUE)]


async def claim(session: Session, endpoint_id: UUID, *, limit: int, lease: timedelta) -> list[Delivery]:
    """Claim due deliveries; a delivery whose result is not recorded is due again when the lease ends."""
    rows = await db.fetch(session, _CLAIM, endpoint_id, limit, lease)
    return [Delivery(row["event_id"], row["body"], row["tries"]) for row in rows]


# when the lease has ended, another process may have claimed the delivery: `tries` differs, and the result is ignored
_RECORD = """UPDATE webhook_deliveries d SET state = r.state, outcome = r.outcome, due_at = clock_timestamp() + r.wait
FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::interval[]) AS r (event_id, tries, state, outcome, wait)
WHERE d.endpoint_id = $1 AND d.event_id = r.event_id AND d.tries = r.tries AND d.state = 'due'
RETURNING d.state, d.created_at"""
_SUCCEEDED = "UPDATE webhook_endpoints SET succeeded_at = clock_timestamp() WHERE id = $1"
_GIVE_UP = """UPDATE webhook_endpoints SET disabled = $3 WHERE id = $1 AND disabled IS NULL
AND (succeeded_at IS NULL OR succeeded_at < $2) RETURNING id"""


async def record(session: Session, endpoint_id: UUID, results: Sequence[DeliveryResult], *, reason: str) -> bool:
    """Record results; returns whether this disabled the endpoint.

    It is disabled when a delivery failed for good and none has succeeded since that delivery was queued.
    """
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
