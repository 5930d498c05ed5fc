"""Calls that are also tasks in a CRM. `look_at` is the machine time at which a task is due to be handled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.database import db
from shared.database.session import Session

_PATIENCE = timedelta(seconds=30)  # longer than a request may take

_NEW = """INSERT INTO crm_tasks (call_task, invitation_id, step)
SELECT call_task, invitation_id, step FROM calls o
WHERE NOT EXISTS (SELECT FROM crm_tasks c WHERE c.call_task = o.call_task)
LIMIT $1 ON CONFLICT DO NOTHING"""
_RECALLED = """UPDATE crm_tasks c SET look_at = clock_timestamp()
WHERE tries = 0 AND number IS NOT NULL AND look_at > clock_timestamp()
    AND NOT EXISTS (SELECT FROM calls o WHERE o.call_task = c.call_task)"""
_TAKE = """UPDATE crm_tasks c SET tries = c.tries + 1,
    look_at = clock_timestamp() + $2::interval * least(c.tries + 1, 20)
FROM (
    SELECT call_task FROM crm_tasks WHERE look_at <= clock_timestamp() ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due JOIN LATERAL (
    SELECT r.request::text, i.respondent_id
    FROM crm_tasks d JOIN invitations i ON i.id = d.invitation_id JOIN requests r ON r.id = i.id
    WHERE d.call_task = due.call_task
) AS asked ON true
WHERE c.call_task = due.call_task
RETURNING c.call_task, c.invitation_id, c.step, c.number, c.tries, c.look_at, asked.request, asked.respondent_id,
    EXISTS (SELECT FROM calls o WHERE o.call_task = c.call_task) AS is_open"""


@dataclass(frozen=True, slots=True)
class CrmTask:
    call_task: UUID
    invitation_id: UUID
    step: int
    number: str | None  # the CRM's id of the task, once there is one
    tries: int
    look_at: datetime
    request: str
    respondent_id: str
    is_open: bool  # whether the call is still to be made


async def take_due(session: Session, *, limit: int) -> list[CrmTask]:
    """Take tasks that are due to be made, read or closed; each is due again unless `settle` or `finish` is called."""
    await db.fetch(session, _NEW, limit)
    await db.fetch(session, _RECALLED)
    return [CrmTask(**row) for row in await db.fetch(session, _TAKE, limit, _PATIENCE)]


_SETTLE = """UPDATE crm_tasks SET number = $2, tries = 0,
    look_at = CASE WHEN look_at = $3 THEN clock_timestamp() + interval '1 hour' ELSE look_at END WHERE call_task = $1"""
_FINISH = "UPDATE crm_tasks SET look_at = NULL, finished_at = clock_timestamp() WHERE call_task = $1"
_LOOK = "UPDATE crm_tasks SET look_at = clock_timestamp() WHERE number = ANY($1::text[]) AND finished_at IS NULL"


async def settle(session: Session, task: CrmTask, *, number: str) -> None:
    """Store that the task is in the CRM; it is due again in an hour, or at once if it changed there meanwhile."""
    await db.fetch(session, _SETTLE, task.call_task, number, task.look_at)


async def finish(session: Session, call_task: UUID) -> None:
    await db.fetch(session, _FINISH, call_task)


async def make_due(session: Session, numbers: Collection[str]) -> None:
    """Make tasks due now, by their ids in the CRM, which reported a change of them."""
    await db.fetch(session, _LOOK, list(numbers))
