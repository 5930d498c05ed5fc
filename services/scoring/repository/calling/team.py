"""Who is on which call, what waits, and what operators did today, for supervisors."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.scoring.domain.calling.operators import Operator
from services.scoring.repository.calling.call_queue import COUNTS
from services.scoring.repository.calling.calls import LEASED_NAME, NAME, SEEN
from shared.contract.staff_scope import StaffScope
from shared.database import db
from shared.database.session import Session

_FREE = "(t.lease_until IS NULL OR t.lease_until < clock_timestamp())"
_COUNT = f"""SELECT count(*) FILTER (WHERE t.due_at <= $1 AND {_FREE}) AS waiting,
min(t.due_at) FILTER (WHERE t.due_at <= $1 AND {_FREE}) AS oldest,
count(*) FILTER (WHERE t.due_at > $1) AS later, min(t.due_at) FILTER (WHERE t.due_at > $1) AS next_due
FROM call_tasks t {{}} WHERE t.state = 'open' AND t.expires_at > $1"""  # noqa: S608 - constants only
_WAITING = _COUNT.format("")
_WAITING_IN = f"{_COUNT.format('JOIN invitations i ON i.id = t.invitation_id')} AND {SEEN.format('$2', '$3')}"


async def waiting(session: Session, *, now: datetime, scope: StaffScope) -> db.Row:
    """Count the calls that are due and that nobody makes, and those that come later; withdrawn ones are not open."""
    if scope.is_whole:
        return (await db.fetch(session, _WAITING, now))[0]
    return (await db.fetch(session, _WAITING_IN, now, *scope.arguments))[0]


_OVERDUE = f"""SELECT count(*) AS overdue FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE t.state = 'open' AND (t.kind = 'callback' OR t.appointed) AND t.due_at <= $1 AND {_FREE}
AND {SEEN.format("$2", "$3")}"""  # noqa: S608 - constants only


async def overdue(session: Session, *, before: datetime, scope: StaffScope) -> int:
    """Count the promised calls that were due before, and that nobody makes."""
    [row] = await db.fetch(session, _OVERDUE, before, *scope.arguments)
    return int(row["overdue"])


_HELD = f"""SELECT t.task_id, t.leased_by_id AS operator_id, {LEASED_NAME} AS operator, t.taken_at, t.name, t.phone,
t.kind,
i.program_title, i.program, i.dimensions->>'store' AS store, {SEEN.format("$1", "$2")} AS seen
FROM call_tasks t JOIN invitation_details i ON i.id = t.invitation_id
WHERE t.lease_until > clock_timestamp() AND t.leased_by_id IS NOT NULL ORDER BY t.taken_at"""  # noqa: S608 - constants only


async def held(session: Session, *, scope: StaffScope) -> list[db.Row]:
    """Return the calls that somebody is on; `seen` is whether the call is in the scope."""
    return await db.fetch(session, _HELD, *scope.arguments)


_MADE = f"""SELECT c.operator_id, {NAME.format("c.operator_id", "max(c.operator)")} AS operator,
date_bin('15 minutes', c.at, '2000-01-01Z') AS quarter, max(c.at) AS last, {COUNTS}
FROM call_attempts c JOIN call_tasks t USING (task_id) JOIN invitations i ON i.id = t.invitation_id
WHERE c.at >= $1 AND {SEEN.format("$2", "$3")} GROUP BY c.operator_id, quarter ORDER BY c.operator_id, quarter"""  # noqa: S608 - constants only


async def made_since(session: Session, moment: datetime, *, scope: StaffScope) -> list[db.Row]:
    """Return calls, reached and answers by operator and quarter of an hour, as zones differ by quarters."""
    return await db.fetch(session, _MADE, moment, *scope.arguments)


_TAKE_OVER = f"""UPDATE call_tasks t SET leased_by = $8, leased_by_id = $2,
taken_from = {LEASED_NAME}, taken_at = $4, lease_until = clock_timestamp() + $5::interval FROM invitations i
WHERE t.task_id = $1 AND i.id = t.invitation_id AND t.state = 'open' AND t.leased_by_id = $3
AND t.lease_until IS NOT NULL AND {SEEN.format("$6", "$7")} RETURNING t.task_id"""  # noqa: S608 - constants only


async def take_over(  # noqa: PLR0913 - which call, between whom
    session: Session,
    task_id: UUID,
    *,
    of: UUID | None,
    by: Operator,
    now: datetime,
    lease: timedelta,
    scope: StaffScope,
) -> bool:
    """Lease a call that the operator with the id `of` has to `by`; return whether `of` had it and it was still open."""
    return bool(await db.fetch(session, _TAKE_OVER, task_id, by.id, of, now, lease, *scope.arguments, by.name))
