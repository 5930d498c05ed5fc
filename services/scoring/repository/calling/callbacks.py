"""Callback tasks: calls that respondents asked for."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.calls import CALLBACK_MAX_ATTEMPTS, BestTime, Callback, CallbackRequest, Hours
from shared.database import db
from shared.database.session import Session
from shared.locales import primary_language

_STORE = """INSERT INTO call_tasks (task_id, kind, state, invitation_id, respondent_id, phone, name, time_zone,
window_start, window_end, max_attempts, due_at, due_until, expires_at, language)
SELECT w.task_id, 'callback', '{state}', w.invitation_id, w.respondent_id, {phone}, w.name, w.time_zone, w.window_start,
w.window_end, $15, w.due_at, w.due_until, w.expires_at, w.language
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::time[], $9::time[],
$10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::boolean[], $14::text[])
AS w (task_id, invitation_id, respondent_id, phone, own, name, time_zone, window_start, window_end, due_at, due_until,
expires_at, newly, language)
"""
_UPSERT = f"""{_STORE.format(state="open", phone="coalesce(nullif(w.phone, ''), t.phone, w.own)")}
LEFT JOIN call_tasks t ON t.invitation_id = w.invitation_id AND t.kind = 'callback' AND t.state = 'open'
WHERE w.newly OR t.task_id IS NOT NULL
ON CONFLICT (invitation_id) WHERE kind = 'callback' AND state = 'open' DO UPDATE SET phone = excluded.phone,
window_start = excluded.window_start, window_end = excluded.window_end, due_at = excluded.due_at,
due_until = excluded.due_until, expires_at = excluded.expires_at
WHERE (call_tasks.phone, call_tasks.window_start, call_tasks.window_end)
<> (excluded.phone, excluded.window_start, excluded.window_end)"""


async def upsert(session: Session, requests: Sequence[CallbackRequest]) -> None:
    """Add callback tasks, or change the number and hours of open ones.

    A request with the same number and hours changes nothing, so that a time agreed with an operator is kept.
    """
    if requests:
        await db.fetch(session, _UPSERT, *_columns(requests), CALLBACK_MAX_ATTEMPTS)


def _columns(requests: Sequence[CallbackRequest]) -> list[list[object]]:
    rows = [
        (
            each.task_id,
            each.invitation.id,
            each.invitation.respondent_id,
            each.phone,
            each.invitation.phone,
            each.invitation.name,
            each.invitation.time_zone,
            each.hours.start,
            each.hours.end,
            each.slot.due_at,
            each.slot.due_until,
            each.expires_at,
            each.newly,
            primary_language(each.invitation.locale),
        )
        for each in requests
    ]
    return [list(column) for column in zip(*rows, strict=True)]


_HOLD = f"""{_STORE.format(state="held", phone="coalesce(nullif(w.phone, ''), w.own)")}
WHERE NOT EXISTS (SELECT FROM call_tasks t WHERE t.invitation_id = w.invitation_id AND t.kind = 'callback')"""


async def hold(session: Session, requests: Sequence[CallbackRequest]) -> None:
    """Store callbacks that nobody is to make yet, one for an invitation without any."""
    if requests:
        await db.fetch(session, _HOLD, *_columns(requests), CALLBACK_MAX_ATTEMPTS)


_TAKE_HELD = """DELETE FROM call_tasks WHERE invitation_id = ANY($1::uuid[]) AND kind = 'callback' AND state = 'held'
RETURNING invitation_id, phone, window_start, window_end"""


async def take_held(session: Session, invitation_ids: Sequence[UUID]) -> dict[UUID, Callback]:
    """Remove held callbacks and return what they asked for, by invitation."""
    rows = await db.fetch(session, _TAKE_HELD, list(invitation_ids))
    return {row["invitation_id"]: _callback(row) for row in rows}


_OPEN = """SELECT phone, window_start, window_end FROM call_tasks
WHERE invitation_id = $1 AND kind = 'callback' AND state = 'open'"""


async def open_callback(session: Session, invitation_id: UUID) -> Callback | None:
    """Read the number and time of an open callback; None when there is none."""
    rows = await db.fetch(session, _OPEN, invitation_id)
    if not rows:
        return None
    return _callback(rows[0])


def _callback(row: db.Row) -> Callback:
    hours = Hours(row["window_start"], row["window_end"])
    return Callback(wanted=True, phone=row["phone"], best_time=BestTime.of(hours))


_WITHDRAW = """UPDATE call_tasks SET state = 'closed', outcome = 'withdrawn' WHERE invitation_id = ANY($1::uuid[])
AND kind = 'callback' AND state IN ('open', 'held')"""


async def withdraw(session: Session, invitation_ids: Sequence[UUID]) -> None:
    """Close callback tasks that are no longer wanted; an operator on the phone keeps the lease."""
    if invitation_ids:
        await db.fetch(session, _WITHDRAW, list(invitation_ids))
