"""Deletes invitations that are past retention, with all that belongs to them.

Ids of invitations and answers are UUIDs of version 7: they begin with the machine time at which they were made. Those
of imported scores are not; their answers have the time of the import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.scoring.domain.journeys import RETURN_WITHIN
from services.scoring.repository.retention import sums
from services.scoring.repository.retention.limits import RetentionLimit
from services.scoring.repository.scores import journeys
from shared.database import db
from shared.database.session import Session

_UNCOUNTED = "SELECT FROM uncounted u WHERE u.invitation_id = i.id"  # is kept until its last change is counted
_ASKED = f"""FROM invitations i LEFT JOIN answers a ON a.invitation_id = i.id
WHERE i.id < $1 AND i.expires_at <= $2 AND coalesce(a.answer_id < $1, true) AND a.mode IS DISTINCT FROM 'imported'
AND NOT EXISTS (SELECT FROM call_tasks t WHERE t.invitation_id = i.id AND t.state = 'open')
AND NOT EXISTS ({_UNCOUNTED})"""
_IMPORTED = f"""FROM answers a JOIN invitations i ON i.id = a.invitation_id
WHERE a.answer_id < $1 AND a.mode = 'imported' AND NOT EXISTS ({_UNCOUNTED})"""
# the limit is no parameter, so that PostgreSQL plans for few rows
_PAGE = "SELECT i.id, a.answer_id {of} AND {by} > $3 ORDER BY {by} LIMIT {limit} FOR UPDATE OF i SKIP LOCKED"


@dataclass(frozen=True, slots=True)
class Page:
    """Locked invitations with the ids of their answers; the next page begins after `last`."""

    answers: Mapping[UUID, UUID | None]
    last: UUID


async def asked(session: Session, limit: RetentionLimit, *, after: UUID, most: int) -> Page:
    """Lock invitations that were sent and can be answered no more, without an open call; by their ids."""
    rows = await db.fetch(session, _PAGE.format(of=_ASKED, by="i.id", limit=most), *_arguments(limit), after)
    return Page({row["id"]: row["answer_id"] for row in rows}, rows[-1]["id"] if rows else after)


async def imported(session: Session, limit: RetentionLimit, *, after: UUID, most: int) -> Page:
    """Lock the invitations of imported scores, by the ids of their answers."""
    sql = _PAGE.format(of=_IMPORTED, by="a.answer_id", limit=most).replace("$3", "$2")
    rows = await db.fetch(session, sql, limit.first_kept, after)
    return Page({row["id"]: row["answer_id"] for row in rows}, rows[-1]["answer_id"] if rows else after)


def _arguments(limit: RetentionLimit) -> tuple[UUID, datetime]:
    return limit.first_kept, limit.now


_DELETE = """WITH versions AS (DELETE FROM answer_versions WHERE answer_id = ANY($2::uuid[])),
quoted AS (DELETE FROM quotes WHERE answer_id = ANY($2::uuid[])),
tagged AS (DELETE FROM answer_tags WHERE answer_id = ANY($2::uuid[])),
answered AS (DELETE FROM answers WHERE invitation_id = ANY($1::uuid[])),
views AS (DELETE FROM page_views WHERE invitation_id = ANY($1::uuid[])),
came AS (DELETE FROM progress WHERE invitation_id = ANY($1::uuid[])),
attempted AS (DELETE FROM attempts WHERE invitation_id = ANY($1::uuid[])),
ended AS (DELETE FROM outcomes WHERE invitation_id = ANY($1::uuid[])),
parts AS (DELETE FROM journey_parts WHERE invitation_id = ANY($1::uuid[])),
calls AS (DELETE FROM call_tasks WHERE invitation_id = ANY($1::uuid[]) RETURNING task_id),
called AS (DELETE FROM call_attempts c USING calls WHERE c.task_id = calls.task_id)
DELETE FROM invitations WHERE id = ANY($1::uuid[])"""
_KEEP_IDS = "INSERT INTO dropped_imports SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING"


async def drop(session: Session, page: Page, *, are_imported: bool) -> list[UUID]:
    """Delete the invitations of a page and keep their sums; return the ids of those that were deleted.

    An invitation whose stored parts of the funnel cannot be read stays, because its sums are not known. No other
    process may count journeys meanwhile.
    """
    contributed, unreadable = await journeys.stored(session, page.answers)
    ids = sorted(page.answers.keys() - unreadable)
    await sums.add(session, ids, funnel=journeys.total(contributed.values()))
    if are_imported:
        await db.fetch(session, _KEEP_IDS, ids)
    await db.fetch(session, _DELETE, ids, [answer for answer in page.answers.values() if answer])
    return ids


# OFFSET 0: one look-up for each of these few rows, and no scan of all invitations
_WITHOUT = "t.invitation_id < $1 AND NOT EXISTS (SELECT FROM invitations i WHERE i.id = t.invitation_id OFFSET 0)"
_SWEEP = (
    "DELETE FROM withdrawn WHERE invitation_id < $1",
    *(
        f"DELETE FROM {table} t WHERE {_WITHOUT}"  # noqa: S608 - names of tables only
        for table in ("progress", "page_views", "attempts", "outcomes", "journey_parts")
    ),
    f"""WITH calls AS (DELETE FROM call_tasks t WHERE {_WITHOUT} AND t.state = 'closed' RETURNING task_id)
DELETE FROM call_attempts c USING calls WHERE c.task_id = calls.task_id""",  # noqa: S608 - constants only
)


async def sweep(session: Session, limit: RetentionLimit) -> None:
    """Delete rows of invitations that are not there, once their requests are refused."""
    for statement in _SWEEP:
        await db.fetch(session, statement, limit.first_kept)


_OCCASION_TIME = """(CASE jsonb_typeof(i.occasion) WHEN 'array' THEN i.occasion->>3 ELSE i.occasion->>'time'
END)::timestamptz"""
_BOUGHT = f"""FROM purchases p WHERE p.at < $1 AND NOT EXISTS (SELECT FROM invitations i
WHERE i.respondent_id = p.respondent_id AND {_OCCASION_TIME} BETWEEN p.at - $2::interval AND p.at{{among}} OFFSET 0)"""


async def drop_purchases(session: Session, limit: RetentionLimit, *, most: int) -> int:
    """Delete old purchases that no kept invitation counts as a return; return how many."""
    old = f"SELECT p.ctid {_BOUGHT.format(among='')} LIMIT {most}"
    sql = f"DELETE FROM purchases WHERE ctid = ANY(ARRAY({old})) RETURNING 1"  # noqa: S608 - constants only
    return len(await db.fetch(session, sql, limit.bought, RETURN_WITHIN))


async def count(session: Session, limit: RetentionLimit) -> dict[str, int]:
    """Return how many invitations, imported scores and purchases are past retention."""
    bought = limit.bought, RETURN_WITHIN, limit.first_kept
    return {
        "surveys": await _count(session, _ASKED, *_arguments(limit)),
        "imported scores": await _count(session, _IMPORTED, limit.first_kept),
        "purchases": await _count(session, _BOUGHT.format(among=" AND i.id >= $3"), *bought),
    }


async def _count(session: Session, of: str, *arguments: object) -> int:
    return int((await db.fetch(session, f"SELECT count(*) AS n {of}", *arguments))[0]["n"])
