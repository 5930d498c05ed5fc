"""Calls that were promised to customers: they asked for one, or an operator agreed on a time."""

from __future__ import annotations

from datetime import datetime

from services.scoring.repository.calling.calls import LEASED_NAME, SEEN
from shared.contract.staff_scope import StaffScope
from shared.database import db
from shared.database.session import Session

# open ones first, the longest due before the others; then the newest of those that ended
_LIST = f"""SELECT t.task_id, t.kind, t.state, t.outcome, t.name, t.phone, t.time_zone, t.due_at,
t.expires_at, CASE WHEN t.lease_until IS NOT NULL THEN {LEASED_NAME} END AS holder, i.program, i.program_title,
a.disposition, a.operator, a.at, a.note
FROM call_tasks t JOIN invitation_details i ON i.id = t.invitation_id LEFT JOIN LATERAL (
SELECT disposition, operator, at, note FROM call_attempts c WHERE c.task_id = t.task_id ORDER BY attempt DESC LIMIT 1
) a ON true
WHERE (t.kind = 'callback' OR EXISTS (
SELECT FROM call_attempts c WHERE c.task_id = t.task_id AND c.disposition = 'call_later'))
AND (t.state = 'open' OR t.due_at >= $1) AND {SEEN.format("$2", "$3")}
ORDER BY t.state = 'open' DESC, CASE WHEN t.state = 'open' THEN t.due_at END, t.due_at DESC LIMIT $4"""  # noqa: S608 - constants only


async def of_staff(session: Session, *, since: datetime, scope: StaffScope, limit: int) -> list[db.Row]:
    """Return the open promised calls and those that ended and were due since then, with the last attempt of each."""
    return await db.fetch(session, _LIST, since, *scope.arguments, limit)
