"""Call tasks, their leases and their tries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.calls import Hours, Slot, TaskKind
from shared.contract.events import CallRequested, CallWithdrawn
from shared.contract.vocabulary import CallDisposition, CallOutcome, Service
from shared.database import db
from shared.database.isolated import isolated


class Task(msgspec.Struct, frozen=True):
    """`held_by` is who holds its lease at this moment."""

    task_id: UUID
    invitation_id: UUID
    respondent_id: str
    open: bool
    outcome: CallOutcome | None
    step: int
    phone: str
    name: str
    script: str
    summary: str
    time_zone: str
    hours: Hours | None
    tries: int
    max_attempts: int
    appointed: bool
    due_at: datetime
    expires_at: datetime
    held_by: str | None
    kind: TaskKind = TaskKind.SURVEY


_HELD = "CASE WHEN t.lease_until > clock_timestamp() THEN t.leased_by END AS held_by"
_ADD = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, step, phone, name, script, summary, time_zone,
window_start, window_end, priority, max_attempts, due_at, due_until, expires_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
$9::text[], $10::time[], $11::time[], $12::int[], $13::int[], $14::timestamptz[], $15::timestamptz[],
$16::timestamptz[])
ON CONFLICT DO NOTHING RETURNING task_id"""


async def add(session: AsyncSession, requested: Sequence[tuple[CallRequested, Slot]]) -> set[UUID]:
    """Insert what is not there yet, a task withdrawn before its request included; return the ids of the new."""
    rows = [
        (
            call.task_id,
            call.invitation_id,
            call.respondent_id,
            call.step,
            call.phone,
            call.name or "",
            call.script,
            call.summary,
            call.time_zone,
            call.window.start if call.window else None,
            call.window.end if call.window else None,
            call.priority,
            call.max_attempts,
            slot.due_at,
            slot.due_until,
            call.expires_at,
        )
        for call, slot in requested
    ]
    added = await db.fetch(session, _ADD, *(list(column) for column in zip(*rows, strict=True)))
    return {row["task_id"] for row in added}


_ADD_WITHDRAWN = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, state, outcome, due_at, due_until,
expires_at) SELECT *, 'closed', 'withdrawn', $4, $4, $4 FROM unnest($1::uuid[], $2::uuid[], $3::text[])
ON CONFLICT DO NOTHING RETURNING task_id"""


async def add_withdrawn(session: AsyncSession, withdrawn: Sequence[CallWithdrawn], *, now: datetime) -> set[UUID]:
    """Keep a mark for tasks that were withdrawn before they were requested; return which those are."""
    rows = await db.fetch(
        session,
        _ADD_WITHDRAWN,
        [call.task_id for call in withdrawn],
        [call.invitation_id for call in withdrawn],
        [call.respondent_id for call in withdrawn],
        now,
    )
    return {row["task_id"] for row in rows}


_CLOSE = """UPDATE call_tasks t SET state = 'closed', outcome = c.outcome,
lease_until = CASE WHEN c.outcome = 'withdrawn' THEN t.lease_until END
FROM unnest($1::uuid[], $2::text[]) AS c (task_id, outcome)
WHERE t.task_id = c.task_id AND t.state = 'open' RETURNING t.task_id"""


async def close(session: AsyncSession, outcomes: dict[UUID, CallOutcome]) -> set[UUID]:
    """Close tasks and return those that were open. Who is on the phone keeps the lease of a withdrawn one."""
    rows = await db.fetch(session, _CLOSE, list(outcomes), list(outcomes.values()))
    return {row["task_id"] for row in rows}


_LOCK_INVITATIONS = """SELECT id FROM invitations WHERE id IN
(SELECT invitation_id FROM call_tasks WHERE task_id = ANY($1::uuid[])) ORDER BY id FOR UPDATE"""
_LOCK = f"SELECT t.*, {_HELD} FROM call_tasks t WHERE task_id = ANY($1::uuid[]) ORDER BY task_id FOR UPDATE"  # noqa: S608 - constants only


async def lock(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, Task]:
    """Hold tasks, and their invitations before them, until the end of the transaction."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    await db.fetch(session, _LOCK_INVITATIONS, wanted)
    return {task.task_id: task for task in _tasks(await db.fetch(session, _LOCK, wanted))}


_LOAD = f"SELECT t.*, {_HELD} FROM call_tasks t WHERE task_id = $1"  # noqa: S608 - constants only


async def load(session: AsyncSession, task_id: UUID) -> Task | None:
    rows = await db.fetch(session, _LOAD, task_id)
    return _task(rows[0]) if rows else None


_DUE = """FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE t.state = 'open' AND t.due_at <= $1 AND t.due_until > $1 AND t.expires_at > $1 AND i.state = 'open'
AND (t.lease_until IS NULL OR t.lease_until < clock_timestamp() OR t.leased_by = $2)"""
_ORDER = """ORDER BY coalesce(t.leased_by = $2 AND t.lease_until > clock_timestamp(), false) DESC,
t.kind = 'callback' DESC, t.appointed DESC, t.priority DESC, t.due_at"""
_TAKE = f"""WITH next AS (SELECT t.task_id {_DUE} AND ($3::uuid IS NULL OR t.task_id = $3)
{_ORDER} LIMIT 1 FOR UPDATE OF t SKIP LOCKED)
UPDATE call_tasks t SET leased_by = $2, lease_until = clock_timestamp() + $4::interval
FROM next WHERE t.task_id = next.task_id RETURNING t.*, t.leased_by AS held_by"""  # noqa: S608 - constants only


async def take(
    session: AsyncSession, operator: str, *, now: datetime, lease: timedelta, task_id: UUID | None = None
) -> Task | None:
    """Lease one due task, this one or the next: one's own, who asked for it, appointments, priority, the oldest."""
    rows = await db.fetch(session, _TAKE, now, operator, task_id, lease)
    return _task(rows[0]) if rows else None


_QUEUE = f"SELECT t.*, {_HELD} {_DUE} {_ORDER} LIMIT 50"
_COUNT = """SELECT count(*) FILTER (WHERE t.due_at <= $1 AND t.due_until > $1
AND (t.lease_until IS NULL OR t.lease_until < clock_timestamp() OR t.leased_by = $2)) AS due,
count(*) FILTER (WHERE t.kind = 'callback' AND t.due_at <= $1 AND t.due_until > $1
AND (t.lease_until IS NULL OR t.lease_until < clock_timestamp() OR t.leased_by = $2)) AS callbacks,
count(*) FILTER (WHERE t.due_at > $1) AS later, count(*) FILTER (WHERE t.due_at > $1 AND t.appointed) AS appointments,
min(t.due_at) FILTER (WHERE t.due_at > $1) AS next_due
FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE t.state = 'open' AND i.state = 'open' AND t.expires_at > $1"""


async def queue(session: AsyncSession, operator: str, *, now: datetime) -> tuple[list[Task], asyncpg.Record]:
    """List what this operator may take now, best first, with counts of what is due and what comes later."""
    due = await db.fetch(session, _QUEUE, now, operator)
    counts = await db.fetch(session, _COUNT, now, operator)
    return _tasks(due), counts[0]


_ANSWERED_BY = """SELECT operator FROM call_attempts WHERE task_id = $1 AND disposition = 'answered'
ORDER BY attempt DESC LIMIT 1"""


async def answered_by(session: AsyncSession, task_id: UUID) -> str | None:
    """Name the operator whose call gave the answer."""
    rows = await db.fetch(session, _ANSWERED_BY, task_id)
    return rows[0]["operator"] if rows else None


_TODAY = """SELECT count(*) AS calls,
count(*) FILTER (WHERE disposition NOT IN ('no_answer', 'busy', 'machine')) AS reached,
count(*) FILTER (WHERE disposition = 'answered') AS answers FROM call_attempts WHERE operator = $1 AND at >= $2"""


async def made_since(session: AsyncSession, operator: str, since: datetime) -> asyncpg.Record:
    """Count this operator's calls, whom they reached, and the answers they got."""
    return (await db.fetch(session, _TODAY, operator, since))[0]


_KEEP_TRIES = """INSERT INTO call_attempts (task_id, attempt, disposition, operator, at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[])"""
_TRIED = """UPDATE call_tasks t SET tries = c.tries, appointed = c.disposition = 'call_later', leased_by = NULL,
lease_until = NULL FROM unnest($1::uuid[], $2::int[], $3::text[]) AS c (task_id, tries, disposition)
WHERE t.task_id = c.task_id"""


@dataclass(frozen=True, slots=True)
class Try:
    task: Task
    disposition: CallDisposition
    operator: str
    at: datetime

    @property
    def number(self) -> int:
        return self.task.tries + 1


async def keep_tries(session: AsyncSession, tries: Sequence[Try]) -> None:
    """Store tries and give the tasks back."""
    what = [each.task.task_id for each in tries], [each.number for each in tries], [each.disposition for each in tries]
    await db.fetch(session, _KEEP_TRIES, *what, [each.operator for each in tries], [each.at for each in tries])
    await db.fetch(session, _TRIED, *what)


_RESCHEDULE = """UPDATE call_tasks t SET due_at = c.due_at, due_until = c.due_until
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS c (task_id, due_at, due_until)
WHERE t.task_id = c.task_id"""


async def reschedule(session: AsyncSession, slots: dict[UUID, Slot]) -> None:
    due = [slot.due_at for slot in slots.values()], [slot.due_until for slot in slots.values()]
    await db.fetch(session, _RESCHEDULE, list(slots), *due)


_OVERDUE = """SELECT task_id FROM call_tasks WHERE state = 'open' AND (expires_at <= $1 OR due_until <= $1)
ORDER BY task_id LIMIT $2"""


async def lock_overdue(session: AsyncSession, *, now: datetime, limit: int) -> list[Task]:
    """Hold open tasks that have expired or whose hours have passed."""
    rows = await db.fetch(session, _OVERDUE, now, limit)
    locked = await lock(session, [row["task_id"] for row in rows])
    return [task for task in locked.values() if task.open]


_OPEN_OF = """SELECT task_id FROM call_tasks WHERE invitation_id = ANY($1::uuid[]) AND state = 'open'"""
_WIPE = """UPDATE call_tasks SET respondent_id = '', phone = '', name = '', script = '', summary = '', leased_by = NULL
WHERE invitation_id = ANY($1::uuid[])"""


async def lock_open(session: AsyncSession, invitation_ids: Sequence[UUID]) -> dict[UUID, Task]:
    rows = await db.fetch(session, _OPEN_OF, list(invitation_ids))
    return await lock(session, [row["task_id"] for row in rows])


async def wipe(session: AsyncSession, invitation_ids: Sequence[UUID]) -> None:
    """Forget whom to call and what was to be said."""
    await db.fetch(session, _WIPE, list(invitation_ids))


_WIPE_ERASED = f"{_WIPE} AND invitation_id IN (SELECT id FROM invitations WHERE state = 'erased')"  # noqa: S608 - constants only


async def wipe_erased(session: AsyncSession, invitation_ids: Sequence[UUID]) -> None:
    """Wipe those of these whose respondent was erased before their call was told of."""
    await db.fetch(session, _WIPE_ERASED, list(invitation_ids))


def _tasks(rows: Sequence[asyncpg.Record]) -> list[Task]:
    """Read what can be read: one row that another version wrote must not take the others."""
    found: list[Task] = []
    for row in rows:
        with isolated("stored_call", service=Service.SCORING, task_id=str(row["task_id"])):
            found.append(_task(row))
    return found


def _task(row: asyncpg.Record) -> Task:
    hours = Hours(row["window_start"], row["window_end"]) if row["window_start"] else None
    return Task(
        task_id=row["task_id"],
        invitation_id=row["invitation_id"],
        respondent_id=row["respondent_id"],
        open=row["state"] == "open",
        outcome=CallOutcome(row["outcome"]) if row["outcome"] else None,
        step=row["step"],
        phone=row["phone"],
        name=row["name"],
        script=row["script"],
        summary=row["summary"],
        time_zone=row["time_zone"],
        hours=hours,
        tries=row["tries"],
        max_attempts=row["max_attempts"],
        appointed=row["appointed"],
        due_at=row["due_at"],
        expires_at=row["expires_at"],
        held_by=row["held_by"],
        kind=TaskKind(row["kind"]),
    )
