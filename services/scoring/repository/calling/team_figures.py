"""Outcomes of calls, figures of operators, and scores that they typed beside those of customers."""

from __future__ import annotations

from datetime import datetime

from services.scoring.repository.calling.call_queue import COUNTS
from services.scoring.repository.calling.calls import NAME, SEEN
from shared.contract.staff_scope import StaffScope
from shared.database import db
from shared.database.session import Session

MOST_ANSWERS = 100_000

_OF_SURVEYS = f"t.kind = 'survey' AND i.test IS NOT TRUE AND {SEEN.format('$2', '$3')}"
_OUTCOMES = f"""SELECT outcome, made, count(*) FROM (
SELECT t.outcome, ARRAY(SELECT DISTINCT c.disposition FROM call_attempts c WHERE c.task_id = t.task_id) AS made
FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id WHERE t.closed_at >= $1 AND {_OF_SURVEYS}
UNION ALL
SELECT t.outcome, ARRAY(SELECT DISTINCT c.disposition FROM call_attempts c WHERE c.task_id = t.task_id) AS made
FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id WHERE t.state = 'open' AND t.tries > 0 AND {_OF_SURVEYS}
) cases GROUP BY outcome, made"""  # noqa: S608 - constants only


async def outcomes(session: Session, since: datetime, *, scope: StaffScope) -> list[db.Row]:
    """Count survey calls that were closed since, and open ones with an attempt, by outcome and dispositions."""
    return await db.fetch(session, _OUTCOMES, since, *scope.arguments)


_OPERATORS = f"""SELECT {NAME.format("c.operator_id", "max(c.operator)")} AS operator, {COUNTS}
FROM call_attempts c JOIN call_tasks t USING (task_id) JOIN invitations i ON i.id = t.invitation_id
WHERE c.at >= $1 AND {_OF_SURVEYS} GROUP BY c.operator_id ORDER BY operator"""  # noqa: S608 - constants only


async def operators(session: Session, since: datetime, *, scope: StaffScope) -> list[db.Row]:
    """Return calls of surveys, reached and answers by operator."""
    return await db.fetch(session, _OPERATORS, since, *scope.arguments)


_SCORES = f"""SELECT a.operator_id, {NAME.format("a.operator_id", "max(a.operator)")} AS operator,
i.program, i.dimensions->>'store' AS store, a.score, count(*)
FROM (SELECT * FROM answers WHERE answered_at >= $1 AND NOT suspect
AND (mode = 'self' OR (mode = 'operator' AND operator_id IS NOT NULL)) ORDER BY answered_at DESC LIMIT $4) a
JOIN invitations i ON i.id = a.invitation_id WHERE i.counted AND {SEEN.format("$2", "$3")}
GROUP BY a.operator_id, i.program, store, a.score"""  # noqa: S608 - constants only


async def scores(session: Session, since: datetime, *, scope: StaffScope) -> list[db.Row]:
    """Count the newest answers since, by who typed them (None: the customers), program, store and score."""
    return await db.fetch(session, _SCORES, since, *scope.arguments, MOST_ANSWERS)
