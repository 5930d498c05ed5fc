"""The queue of the call desk: due tasks, leases and the counts of an operator."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.calls import CallTask
from services.scoring.repository.calling import calls
from services.scoring.repository.calling.calls import HELD, SEEN
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.database import db

_FROM = "FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id"
_DUE = f"""{_FROM}
WHERE t.state = 'open' AND t.due_at <= $1 AND t.due_until > $1 AND t.expires_at > $1 AND i.state = 'open'"""
_OWN = "t.leased_by = $2 AND t.lease_until > clock_timestamp()"
_FREE = "(t.lease_until IS NULL OR t.lease_until < clock_timestamp())"
_ORDER = "ORDER BY (t.kind = 'callback') DESC, t.appointed DESC, t.priority DESC, t.due_at"  # that of an index
_LEASE = """UPDATE call_tasks t SET leased_by = $2, lease_until = clock_timestamp() + $3::interval
WHERE t.task_id IN ({}) RETURNING t.*, t.leased_by AS held_by, NULL AS answered_by"""
_ONE = "LIMIT 1 FOR UPDATE OF t SKIP LOCKED"
_SEEN = SEEN.format("$4", "$5")
_NEXT = f"""WITH own AS (SELECT t.task_id {_DUE} AND {_OWN} AND {_SEEN} {_ORDER} {_ONE}),
free AS (SELECT t.task_id {_DUE} AND {_FREE} AND {_SEEN} AND NOT EXISTS (SELECT FROM own) {_ORDER} {_ONE})
{_LEASE.format("SELECT task_id FROM own UNION ALL SELECT task_id FROM free")}"""  # noqa: S608 - constants only
_CHOSEN = f"""WITH chosen AS (SELECT t.task_id {_DUE} AND ({_FREE} OR {_OWN}) AND {_SEEN} AND t.task_id = $6 {_ONE})
{_LEASE.format("SELECT task_id FROM chosen")}"""  # noqa: S608 - constants only


async def take(  # noqa: PLR0913 - which task, and for whom
    session: AsyncSession,
    operator: str,
    *,
    now: datetime,
    lease: timedelta,
    task_id: UUID | None = None,
    scope: StaffScope = WHOLE,
) -> CallTask | None:
    """Lease the task with `task_id`, or the next one in `scope` without it; None when no such task is due.

    First comes the task that the operator already leases, then callbacks, appointments, higher priority, longer due.
    """
    chosen = () if task_id is None else (task_id,)
    statement = _CHOSEN if chosen else _NEXT
    rows = await db.fetch(session, statement, now, operator, lease, *scope.arguments, *chosen)
    return calls.of_row(rows[0]) if rows else None


MOST_COUNTED = 1000  # with more calls than this, the desk says that there are more
_COUNTED = MOST_COUNTED + 1
_VISIBLE = SEEN.format("$3", "$4")
_QUEUE = f"""SELECT * FROM ((SELECT t.*, {HELD}, true AS own {_DUE} AND {_OWN} AND {_VISIBLE} {_ORDER} LIMIT 50)
UNION ALL (SELECT t.*, {HELD}, false {_DUE} AND {_FREE} AND {_VISIBLE} {_ORDER} LIMIT 50)) t
{_ORDER.replace("BY", "BY own DESC,")} LIMIT 50"""  # noqa: S608 - constants only
_OPEN = f"{_FROM} WHERE t.state = 'open' AND i.state = 'open' AND t.expires_at > $1 AND {_VISIBLE}"
_MINE = f"{_DUE} AND ({_FREE} OR {_OWN}) AND {_VISIBLE}"
_COUNT = f"""SELECT (SELECT count(*) FROM (SELECT {_MINE} LIMIT {_COUNTED}) c) AS due,
(SELECT count(*) {_MINE} AND t.kind = 'callback') AS callbacks,
(SELECT count(*) FROM (SELECT {_OPEN} AND t.due_at > $1 LIMIT {_COUNTED}) c) AS later,
(SELECT count(*) {_OPEN} AND t.due_at > $1 AND t.appointed) AS appointments,
(SELECT t.due_at {_OPEN} AND t.due_at > $1 ORDER BY t.due_at LIMIT 1) AS next_due"""  # noqa: S608 - constants only


async def queue(
    session: AsyncSession, operator: str, *, now: datetime, scope: StaffScope = WHOLE
) -> tuple[list[CallTask], asyncpg.Record]:
    """List the tasks this operator can take now, in the order of `take`, with counts of due and later tasks.

    More than MOST_COUNTED due or later tasks are not counted further.
    """
    due = await db.fetch(session, _QUEUE, now, operator, *scope.arguments)
    counts = await db.fetch(session, _COUNT, now, operator, *scope.arguments)
    return calls.of_rows(due), counts[0]


_COUNT_CALLS = """SELECT count(*) AS calls,
count(*) FILTER (WHERE c.disposition NOT IN ('no_answer', 'busy', 'machine', 'wrong_number')) AS reached,
count(*) FILTER (WHERE c.disposition = 'answered' AND t.kind <> 'callback') AS answers
FROM call_attempts c JOIN call_tasks t USING (task_id) WHERE c.operator = $1 AND c.at >= $2"""


async def made_since(session: AsyncSession, operator: str, since: datetime) -> asyncpg.Record:
    """Count this operator's calls, those that reached somebody, and those with an answer; a call back takes none."""
    return (await db.fetch(session, _COUNT_CALLS, operator, since))[0]
