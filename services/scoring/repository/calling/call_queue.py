"""The queue of the call desk: due tasks, leases and the counts of an operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask
from services.scoring.repository.calling import calls
from services.scoring.repository.calling.calls import HELD, SEEN
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.database import db
from shared.database.session import Session

_FROM = "FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id"
_DUE = f"""{_FROM}
WHERE t.state = 'open' AND t.due_at <= $1 AND t.due_until > $1 AND t.expires_at > $1 AND i.state = 'open'"""
_THEIRS = "t.leased_by_id = ANY($2::uuid[])"
_OWN = f"{_THEIRS} AND t.lease_until > clock_timestamp()"
_FREE = "(t.lease_until IS NULL OR t.lease_until < clock_timestamp())"
_IN_LANGUAGE = "({0}::text[] IS NULL OR t.language = ANY({0}) OR t.language = '')"
_WORKING = "NOT EXISTS (SELECT FROM desk_pauses p WHERE p.operator_id = ANY($2::uuid[]) AND p.ended_at IS NULL)"
_ORDER = (
    "ORDER BY (t.kind = 'callback') DESC, t.appointed DESC, t.priority DESC, t.due_at, t.task_id"  # that of an index
)
_STILL_THEIRS = f"{_THEIRS} AND t.lease_until IS NOT NULL"
_LEASE = f"""UPDATE call_tasks t SET leased_by = $7, leased_by_id = ($2::uuid[])[1],
lease_until = clock_timestamp() + $3::interval,
taken_at = CASE WHEN {_STILL_THEIRS} THEN coalesce(t.taken_at, $1) ELSE $1 END,
taken_from = CASE WHEN {_STILL_THEIRS} THEN t.taken_from END
WHERE t.task_id IN ({{}}) RETURNING t.*, {HELD}"""  # noqa: S608 - constants only
_ONE = "AND t.task_id <> ALL($8::uuid[]) {} LIMIT 1 FOR UPDATE OF t SKIP LOCKED"
_NEXT_ONE = _ONE.format(_ORDER)
_SEEN = SEEN.format("$4", "$5")
_NEXT = f"""WITH own AS (SELECT t.task_id {_DUE} AND {_OWN} AND {_SEEN} {_NEXT_ONE}),
free AS (SELECT t.task_id {_DUE} AND {_FREE} AND {_SEEN} AND {_IN_LANGUAGE.format("$6")}
AND NOT EXISTS (SELECT FROM own) AND {_WORKING} {_NEXT_ONE})
{_LEASE.format("SELECT task_id FROM own UNION ALL SELECT task_id FROM free")}"""  # noqa: S608 - constants only
_CHOSEN = f"""WITH chosen AS (SELECT t.task_id {_DUE} AND ({_OWN} OR ({_FREE} AND ({_THEIRS} OR {_WORKING})))
AND {_SEEN} AND t.task_id = $6 {_ONE.format("")})
{_LEASE.format("SELECT task_id FROM chosen")}"""  # noqa: S608 - constants only


async def take(  # noqa: PLR0913 - which task, and for whom
    session: Session,
    operator: Operator,
    *,
    now: datetime,
    lease: timedelta,
    task_id: UUID | None = None,
    scope: StaffScope = WHOLE,
    languages: Sequence[str] | None = None,
    besides: Sequence[UUID] = (),
) -> list[db.Row]:
    """Lease the task with `task_id`, or the next one in `scope` without it, and return its row; [] if none is due.

    It is none of the tasks `besides`. The next one is in one of the `languages`, or in any if they are None; a task
    that is named may be in any. First comes the task that the operator already leases, then callbacks, appointments,
    higher priority, longer due, asked for earlier. Who pauses gets no other than those that they already have.
    """
    statement, last = (_NEXT, languages) if task_id is None else (_CHOSEN, task_id)
    given = now, operator.ids, lease, *scope.arguments, last, operator.name, list(besides)
    return await db.fetch(session, statement, *given)


MOST_COUNTED = 1000  # with more calls than this, the desk says that there are more
_COUNTED = MOST_COUNTED + 1
_VISIBLE = SEEN.format("$3", "$4")
_SPOKEN = _IN_LANGUAGE.format("$5")
_QUEUE = f"""SELECT * FROM ((SELECT t.*, {HELD}, true AS own {_DUE} AND {_OWN} AND {_VISIBLE} {_ORDER} LIMIT 50)
UNION ALL (SELECT t.*, {HELD}, false {_DUE} AND {_FREE} AND {_VISIBLE} AND {_SPOKEN} {_ORDER} LIMIT 50)) t
{_ORDER.replace("BY", "BY own DESC,")} LIMIT 50"""  # noqa: S608 - constants only
_OPEN = f"""{_FROM} WHERE t.state = 'open' AND i.state = 'open' AND t.expires_at > $1 AND {_VISIBLE}
AND ({_SPOKEN} OR {_THEIRS})"""
_MINE = f"{_DUE} AND (({_FREE} AND {_SPOKEN}) OR {_OWN}) AND {_VISIBLE}"
_COUNT = f"""SELECT (SELECT count(*) FROM (SELECT {_MINE} LIMIT {_COUNTED}) c) AS due,
(SELECT count(*) {_MINE} AND t.kind = 'callback') AS callbacks,
(SELECT count(*) FROM (SELECT {_OPEN} AND t.due_at > $1 LIMIT {_COUNTED}) c) AS later,
(SELECT count(*) {_OPEN} AND t.due_at > $1 AND t.appointed) AS appointments,
(SELECT t.due_at {_OPEN} AND t.due_at > $1 ORDER BY t.due_at LIMIT 1) AS next_due"""  # noqa: S608 - constants only


async def queue(
    session: Session,
    operator: Operator,
    *,
    now: datetime,
    scope: StaffScope = WHOLE,
    languages: Sequence[str] | None = None,
) -> tuple[list[CallTask], asyncpg.Record]:
    """List the tasks this operator can take now, in the order of `take`, with counts of due and later tasks.

    More than MOST_COUNTED due or later tasks are not counted further.
    """
    due = await db.fetch(session, _QUEUE, now, operator.ids, *scope.arguments, languages)
    counts = await db.fetch(session, _COUNT, now, operator.ids, *scope.arguments, languages)
    return calls.of_rows(due), counts[0]


# the first condition is true without a look at the calls where somebody takes all of them
_UNSPOKEN = f"""WITH callers AS (SELECT spoken, programs FROM people
WHERE off_at IS NULL AND roles && ARRAY['operator', 'supervisor'])
SELECT t.language, count(*) AS waiting FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE (SELECT NOT coalesce(bool_or(spoken = '{{}}' AND programs = '{{}}'), true) FROM callers)
AND t.state = 'open' AND t.language <> '' AND i.state = 'open' AND t.expires_at > $1 AND {SEEN.format("$2", "$3")}
AND NOT EXISTS (SELECT FROM callers c WHERE (c.spoken = '{{}}' OR t.language = ANY(c.spoken))
AND (c.programs = '{{}}' OR i.program = ANY(c.programs))) GROUP BY 1 ORDER BY 1"""  # noqa: S608 - constants only


async def unspoken(session: Session, *, now: datetime, scope: StaffScope = WHOLE) -> dict[str, int]:
    """Count the open calls in languages that nobody who takes calls of their program speaks, by language."""
    rows = await db.fetch(session, _UNSPOKEN, now, *scope.arguments)
    return {row["language"]: row["waiting"] for row in rows}


_REASONS = """SELECT t.task_id, c.document #>> '{call_priority,reason}' AS reason
FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id JOIN contents c ON c.digest = i.content
WHERE t.task_id = ANY($1::uuid[]) AND t.priority > 0"""


async def reasons(session: Session, tasks: Sequence[CallTask]) -> dict[UUID, str]:
    """Return why those of the tasks that have a priority come before others, by task; "" without a rule's name."""
    rows = await db.fetch(session, _REASONS, [task.task_id for task in tasks])
    return {row["task_id"]: row["reason"] or "" for row in rows}


COUNTS = """count(*) AS calls,
count(*) FILTER (WHERE c.disposition NOT IN ('no_answer', 'busy', 'machine', 'wrong_number')) AS reached,
count(*) FILTER (WHERE c.disposition = 'answered' AND t.kind <> 'callback') AS answers"""
_COUNT_CALLS = f"""SELECT {COUNTS}
FROM call_attempts c JOIN call_tasks t USING (task_id) WHERE c.operator_id = ANY($1::uuid[]) AND c.at >= $2"""  # noqa: S608 - constants only


async def made_since(session: Session, operator: Operator, since: datetime) -> asyncpg.Record:
    """Count this operator's calls, those that reached somebody, and those with an answer; a call back takes none."""
    return (await db.fetch(session, _COUNT_CALLS, operator.ids, since))[0]
