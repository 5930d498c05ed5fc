"""Call tasks and their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallAttempt, CallTask, Hours, RetryRule, Slot, TaskKind
from shared.contract.events import CallRequested, CallRetry, CallWithdrawn
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import CallOutcome, Service, UnansweredCall
from shared.database import db
from shared.database.audit import chain
from shared.database.audit.rows import Actor, NewRow, Stage
from shared.database.isolated import isolated
from shared.database.session import Session
from shared.locales import primary_language

NAME = "coalesce((SELECT p.name FROM people p WHERE p.id = {0}), {1})"  # how the operator of an id is called today
LEASED_NAME = NAME.format("t.leased_by_id", "t.leased_by")
# Who took a call keeps it until another operator takes it: `lease_until` only says from when on another may.
HELD = f"""{LEASED_NAME} AS leased_name,
CASE WHEN t.lease_until IS NOT NULL THEN t.leased_by_id END AS held_by,
CASE WHEN t.lease_until IS NULL AND t.outcome IN ('answered', 'withdrawn') THEN t.leased_by_id END AS answered_by"""
_ADD = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, step, phone, name, script, summary, time_zone,
window_start, window_end, priority, max_attempts, due_at, due_until, expires_at, language)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
$9::text[], $10::time[], $11::time[], $12::int[], $13::int[], $14::timestamptz[], $15::timestamptz[],
$16::timestamptz[], $17::text[])
ON CONFLICT DO NOTHING RETURNING task_id"""


async def add(session: Session, requested: Sequence[tuple[CallRequested, Slot]]) -> set[UUID]:
    """Insert the tasks that are not stored yet and return their ids; one withdrawn before is stored, as closed."""
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
            primary_language(call.locale),
        )
        for call, slot in requested
    ]
    added = await db.fetch(session, _ADD, *(list(column) for column in zip(*rows, strict=True)))
    return {row["task_id"] for row in added}


_ADD_WITHDRAWN = """INSERT INTO call_tasks (task_id, invitation_id, respondent_id, state, outcome, due_at, due_until,
expires_at) SELECT *, 'closed', 'withdrawn', $4, $4, $4 FROM unnest($1::uuid[], $2::uuid[], $3::text[])
ON CONFLICT DO NOTHING RETURNING task_id"""


async def add_withdrawn(session: Session, withdrawn: Sequence[CallWithdrawn], *, now: datetime) -> set[UUID]:
    """Insert closed tasks for withdrawals whose request has not arrived yet; return their ids."""
    rows = await db.fetch(
        session,
        _ADD_WITHDRAWN,
        [call.task_id for call in withdrawn],
        [call.invitation_id for call in withdrawn],
        [call.respondent_id for call in withdrawn],
        now,
    )
    return {row["task_id"] for row in rows}


_CLOSE = """UPDATE call_tasks t SET state = 'closed', outcome = c.outcome, closed_at = $3
FROM unnest($1::uuid[], $2::text[]) AS c (task_id, outcome)
WHERE t.task_id = c.task_id AND t.state IN ('open', 'held') RETURNING t.task_id"""


async def close(session: Session, outcomes: dict[UUID, CallOutcome], *, now: datetime) -> set[UUID]:
    """Close tasks and return the ids of those that were not closed; an operator on the phone still holds them."""
    rows = await db.fetch(session, _CLOSE, list(outcomes), list(outcomes.values()), now)
    return {row["task_id"] for row in rows}


_LOCK_INVITATIONS = """SELECT id FROM invitations WHERE id IN
(SELECT invitation_id FROM call_tasks WHERE task_id = ANY($1::uuid[])) ORDER BY id FOR UPDATE"""
_LOCK = f"SELECT t.*, {HELD} FROM call_tasks t WHERE task_id = ANY($1::uuid[]) ORDER BY task_id FOR UPDATE"  # noqa: S608 - constants only


async def lock(session: Session, ids: Iterable[UUID]) -> dict[UUID, CallTask]:
    """Lock the invitations of tasks, then the tasks, until the end of the transaction."""
    task_ids = sorted(set(ids))
    if not task_ids:
        return {}
    await db.fetch(session, _LOCK_INVITATIONS, task_ids)
    return {task.task_id: task for task in of_rows(await db.fetch(session, _LOCK, task_ids))}


SEEN = "({0}::text[] IS NULL OR i.program = ANY({0})) AND ({1}::text[] IS NULL OR i.dimensions->>'store' = ANY({1}))"
_LOAD = f"""SELECT t.*, {HELD} FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id
WHERE t.task_id = $1 AND {SEEN.format("$2", "$3")}"""  # noqa: S608 - constants only


async def load(session: Session, task_id: UUID, *, scope: StaffScope = WHOLE) -> CallTask | None:
    """Return a task, None where there is none in the scope that can be read."""
    return next(iter(of_rows(await db.fetch(session, _LOAD, task_id, *scope.arguments))), None)


_ADD_ATTEMPTS = """INSERT INTO call_attempts (task_id, attempt, disposition, operator, operator_id, at, note)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[])"""
_RELEASE = """UPDATE call_tasks t SET tries = c.tries, appointed = c.disposition = 'call_later', lease_until = NULL,
leased_by = CASE WHEN c.disposition = 'answered' THEN t.leased_by END,
leased_by_id = CASE WHEN c.disposition = 'answered' THEN t.leased_by_id END
FROM unnest($1::uuid[], $2::int[], $3::text[]) AS c (task_id, tries, disposition)
WHERE t.task_id = c.task_id"""


async def add_attempts(session: Session, attempts: Sequence[CallAttempt]) -> None:
    """Store attempts and release their tasks; who took an answer is kept, because they may correct it."""
    columns = (
        [each.task.task_id for each in attempts],
        [each.number for each in attempts],
        [each.disposition for each in attempts],
    )
    await db.fetch(
        session,
        _ADD_ATTEMPTS,
        *columns,
        [each.operator.name for each in attempts],
        [each.operator.id for each in attempts],
        [each.at for each in attempts],
        [each.note for each in attempts],
    )
    await db.fetch(session, _RELEASE, *columns)


_RETRY_RULES = """SELECT w.task_id, p.step->'retries'->>w.disposition AS retry,
(SELECT count(*) FROM call_attempts a WHERE a.task_id = w.task_id AND a.disposition = w.disposition) AS alike
FROM unnest($1::uuid[], $2::text[]) AS w (task_id, disposition) JOIN call_tasks t ON t.task_id = w.task_id
JOIN invitations i ON i.id = t.invitation_id JOIN contents c ON c.digest = i.content,
jsonb_array_elements(c.document->'plan') AS p (step)
WHERE t.kind = 'survey' AND (p.step->>'step')::int = t.step AND p.step->'retries' ? w.disposition"""


async def retry_rules(session: Session, attempts: Sequence[CallAttempt]) -> dict[UUID, RetryRule]:
    """Return what programs say about the dispositions of stored attempts, by task; no rule for those without one.

    A rule that cannot be read, such as one written by another release, is logged and left out.
    """
    unanswered = [each for each in attempts if each.disposition.value in set(UnansweredCall)]
    if not unanswered:
        return {}
    tasks, dispositions = [each.task.task_id for each in unanswered], [each.disposition for each in unanswered]
    rows = await db.fetch(session, _RETRY_RULES, tasks, dispositions)
    rules: dict[UUID, RetryRule] = {}
    for row in rows:
        with isolated("call_retry", service=Service.SCORING, task_id=str(row["task_id"])):
            rules[row["task_id"]] = RetryRule(CallRetry.model_validate_json(row["retry"]), row["alike"])
    return rules


_ATTEMPTS = """SELECT disposition, operator, operator_id, at, note FROM call_attempts WHERE task_id = $1
ORDER BY attempt"""


async def attempts(session: Session, task_id: UUID) -> list[db.Row]:
    """Return disposition, operator as called then, time and note of each attempt, the first one first."""
    return await db.fetch(session, _ATTEMPTS, task_id)


_KEEP = """WITH renewed AS (UPDATE call_tasks SET lease_until = clock_timestamp() + $3::interval WHERE task_id = $1
AND leased_by_id = ANY($2::uuid[]) AND lease_until < clock_timestamp() + $3::interval / 2)
SELECT 1 FROM call_tasks WHERE task_id = $1 AND leased_by_id = ANY($2::uuid[]) AND lease_until IS NOT NULL"""


async def keep(session: Session, task_id: UUID, operator: Operator, *, lease: timedelta) -> bool:
    """Renew a lease of which less than half is left; return whether the operator still holds the call."""
    return bool(await db.fetch(session, _KEEP, task_id, operator.ids, lease))


_GIVE_BACK = f"""UPDATE call_tasks t SET leased_by = NULL, leased_by_id = NULL, lease_until = NULL, taken_from = NULL
FROM invitations i WHERE t.leased_by_id = ANY($1::uuid[]) AND t.lease_until IS NOT NULL AND i.id = t.invitation_id
AND ({SEEN.format("$2", "$3")}) IS NOT TRUE RETURNING t.task_id"""  # noqa: S608 - constants only


async def give_back_unseen(session: Session, operator_ids: Sequence[UUID], *, scope: StaffScope, of: Actor) -> None:
    """End the leases of the calls that an operator holds and that are not in the scope: others may take them at once.

    The audit log gets a row for each, as the operator's.
    """
    given_back = await db.fetch(session, _GIVE_BACK, list(operator_ids), *scope.arguments)
    if given_back:
        rows = [NewRow(Stage.ENDED, of, "POST /desk/{task_id}/keep", str(each["task_id"])) for each in given_back]
        await chain.append(session, rows)


_RESCHEDULE = """UPDATE call_tasks t SET due_at = c.due_at, due_until = c.due_until
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS c (task_id, due_at, due_until)
WHERE t.task_id = c.task_id"""


async def reschedule(session: Session, slots: dict[UUID, Slot]) -> None:
    due = [slot.due_at for slot in slots.values()], [slot.due_until for slot in slots.values()]
    await db.fetch(session, _RESCHEDULE, list(slots), *due)


_OVERDUE = """SELECT task_id FROM call_tasks WHERE state = 'open' AND (expires_at <= $1 OR due_until <= $1)
ORDER BY task_id LIMIT $2"""


async def lock_overdue(session: Session, *, now: datetime, limit: int) -> list[CallTask]:
    """Lock open tasks that have expired or whose allowed hours have passed."""
    rows = await db.fetch(session, _OVERDUE, now, limit)
    locked = await lock(session, [row["task_id"] for row in rows])
    return [task for task in locked.values() if task.open]


_OPEN_OF = """SELECT task_id FROM call_tasks WHERE invitation_id = ANY($1::uuid[]) AND state IN ('open', 'held')"""
_WIPE_WHERE = """WITH wiped AS (UPDATE call_tasks SET respondent_id = '', phone = '', name = '', script = '',
summary = '', leased_by = NULL, leased_by_id = NULL, taken_from = NULL WHERE {} RETURNING task_id)
UPDATE call_attempts a SET note = '' FROM wiped w WHERE a.task_id = w.task_id AND a.note <> ''"""
_OF_THOSE = "invitation_id = ANY($1::uuid[])"
_WIPE = _WIPE_WHERE.format(_OF_THOSE)
_WIPE_ERASED = _WIPE_WHERE.format(
    f"{_OF_THOSE} AND invitation_id IN (SELECT id FROM invitations WHERE state = 'erased')"  # noqa: S608 - constants only
)


async def lock_open(session: Session, invitation_ids: Sequence[UUID]) -> dict[UUID, CallTask]:
    rows = await db.fetch(session, _OPEN_OF, list(invitation_ids))
    return await lock(session, [row["task_id"] for row in rows])


async def wipe(session: Session, invitation_ids: Sequence[UUID]) -> None:
    """Remove the personal data of tasks."""
    await db.fetch(session, _WIPE, list(invitation_ids))


async def wipe_erased(session: Session, invitation_ids: Sequence[UUID]) -> None:
    """Remove the personal data of tasks whose respondent was erased before the request arrived."""
    await db.fetch(session, _WIPE_ERASED, list(invitation_ids))


def of_rows(rows: Sequence[asyncpg.Record]) -> list[CallTask]:
    """Parse rows; a row that cannot be parsed, such as one written by another release, is logged and left out."""
    found: list[CallTask] = []
    for row in rows:
        with isolated("stored_call", service=Service.SCORING, task_id=str(row["task_id"])):
            found.append(of_row(row))
    return found


def of_row(row: asyncpg.Record) -> CallTask:
    hours = Hours(row["window_start"], row["window_end"]) if row["window_start"] else None
    return CallTask(
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
        priority=row["priority"],
        appointed=row["appointed"],
        due_at=row["due_at"],
        expires_at=row["expires_at"],
        held_by=Operator(row["held_by"], row["leased_name"]) if row["held_by"] else None,
        answered_by=Operator(row["answered_by"], row["leased_name"]) if row["answered_by"] else None,
        taken_from=row["taken_from"],
        kind=TaskKind(row["kind"]),
    )
