"""Calls that people asked for: tasks of the desk beside those of dispatcher."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.calls import CALLBACK_TRIES, BestTime, Callback, CallbackRequest, Hours
from shared.database import db

_WANT = """INSERT INTO call_tasks (task_id, kind, invitation_id, respondent_id, phone, name, time_zone, window_start,
window_end, max_attempts, due_at, due_until, expires_at)
SELECT w.task_id, 'callback', w.invitation_id, w.respondent_id, coalesce(nullif(w.phone, ''), t.phone, w.own), w.name,
w.time_zone, w.window_start, w.window_end, $14, w.due_at, w.due_until, w.expires_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::time[], $9::time[],
$10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::boolean[])
AS w (task_id, invitation_id, respondent_id, phone, own, name, time_zone, window_start, window_end, due_at, due_until,
expires_at, newly)
LEFT JOIN call_tasks t ON t.invitation_id = w.invitation_id AND t.kind = 'callback' AND t.state = 'open'
WHERE w.newly OR t.task_id IS NOT NULL
ON CONFLICT (invitation_id) WHERE kind = 'callback' AND state = 'open' DO UPDATE SET phone = excluded.phone,
window_start = excluded.window_start, window_end = excluded.window_end, due_at = excluded.due_at,
due_until = excluded.due_until, expires_at = excluded.expires_at
WHERE (call_tasks.phone, call_tasks.window_start, call_tasks.window_end)
<> (excluded.phone, excluded.window_start, excluded.window_end)"""


async def want(session: AsyncSession, wanted: Sequence[CallbackRequest]) -> None:
    """Put calls on the desk that were asked for; one that is there already gets the new number and hours.

    Who asks for the same again leaves it where it is: an operator may have agreed on a time with them.
    """
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
        )
        for each in wanted
    ]
    if rows:
        await db.fetch(session, _WANT, *(list(column) for column in zip(*rows, strict=True)), CALLBACK_TRIES)


_ASKED_FOR = """SELECT phone, window_start, window_end FROM call_tasks
WHERE invitation_id = $1 AND kind = 'callback' AND state = 'open'"""


async def asked_for(session: AsyncSession, invitation_id: UUID) -> Callback | None:
    """Find where and when somebody is to be called back; None when no such call is left to make."""
    rows = await db.fetch(session, _ASKED_FOR, invitation_id)
    if not rows:
        return None
    hours = Hours(rows[0]["window_start"], rows[0]["window_end"])
    return Callback(wanted=True, phone=rows[0]["phone"], best_time=BestTime.of(hours))


_UNWANT = """UPDATE call_tasks SET state = 'closed', outcome = 'withdrawn' WHERE invitation_id = ANY($1::uuid[])
AND kind = 'callback' AND state = 'open'"""


async def unwant(session: AsyncSession, invitation_ids: Sequence[UUID]) -> None:
    """Take calls off the desk that are not wanted any more; who is on the phone keeps the lease."""
    if invitation_ids:
        await db.fetch(session, _UNWANT, list(invitation_ids))
