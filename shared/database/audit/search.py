"""Reads the audit log: acts for people, rows for programs and exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database import db
from shared.database.audit.rows import COLUMNS, NOBODY, AuditRow, Stage
from shared.database.session import Session, Sessions

PAGE = 5_000
# The second row of an act may say on what it turned out to be.
_ACTS = """SELECT a.number, a.at, a.actor_kind, a.actor, a.action, coalesce(e.subject, a.subject) AS subject,
coalesce(e.customer, a.customer) AS customer, coalesce(e.details, a.details) AS details,
coalesce(e.status, a.status) AS status, e.at AS ended_at
FROM (SELECT * FROM audit_log a WHERE a.of IS NULL AND a.number < $1{wanted} ORDER BY a.number DESC LIMIT $2) a
LEFT JOIN LATERAL (SELECT * FROM audit_log e WHERE e.of = a.number LIMIT 1) e ON true ORDER BY a.number DESC"""
_ROWS = f"SELECT {COLUMNS} FROM audit_log a WHERE a.number > $1{{wanted}} ORDER BY a.number LIMIT $2"  # noqa: S608 - constants
_SINCE, _UNTIL, _ACTORS = "a.at >= {}", "a.at < {}", "a.actor = ANY({}::text[])"
_ACTION = "(strpos(lower(a.action), lower(({0}::text[])[1])) > 0 OR a.action = ANY({0}::text[]))"
_OF_CUSTOMER = """a.number IN (
SELECT n.number FROM audit_log c CROSS JOIN LATERAL (VALUES (c.of), (c.number)) AS n (number)
WHERE c.customer = ANY({0}::uuid[]) OR (c.subject = ANY({0}::uuid[]::text[]) AND c.stage = 'ended'))"""
# What stored or sent nothing says so in its details.
_DONE = """SELECT a.number, a.at, a.actor_kind, a.actor, a.action, a.subject, a.customer, a.details, a.status,
a.at AS ended_at FROM audit_log a WHERE a.stage = 'ended' AND a.action = w.action{of_subject}
AND CASE a.actor_kind WHEN 'command' THEN a.status = 0 ELSE a.status < 400 END
AND a.details !~ '"(stored|sent)":false' ORDER BY a.number DESC LIMIT {limit}"""
_LAST_OF_EACH = f"""SELECT DISTINCT ON (a.subject) a.* FROM unnest($2::text[]) AS s (subject)
CROSS JOIN unnest($1::text[]) AS w (action)
CROSS JOIN LATERAL ({_DONE.format(of_subject=" AND a.subject = s.subject", limit=1)}) a
ORDER BY a.subject, a.number DESC"""  # noqa: S608 - constants
_NEWEST = f"""SELECT a.* FROM unnest($1::text[]) AS w (action)
CROSS JOIN LATERAL ({_DONE.format(of_subject="", limit="$2")}) a ORDER BY a.number DESC LIMIT $2"""  # noqa: S608 - constants
_CUSTOMERS = "SELECT id FROM audit_customers WHERE respondent_id = ANY($1::text[])"
_RESPONDENTS = "SELECT id, respondent_id FROM audit_customers WHERE id = ANY($1::uuid[])"
_REFUSED = """SELECT coalesce(sum((details::jsonb->>'times')::bigint), 0) AS times, max(at) AS last_at
FROM audit_log WHERE actor_kind = $1 AND actor = '' AND action = $2 AND subject = $3 AND stage = $4 AND status = 401
AND at >= $5"""
NEWEST = 2**62


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; None and "" for all. `actors` are ids, `action` a part of it.

    Beside those with `action` in them, rows of the `actions` are wanted. `customers` are the random ids of customers
    and the ids of what is theirs, such as calls, which are subjects.
    """

    since: datetime | None = None
    until: datetime | None = None
    actors: Sequence[str] | None = None
    action: str = ""
    actions: Sequence[str] = ()
    customers: Sequence[UUID] | None = None

    def statement(self, sql: str, *first: int) -> tuple[Any, ...]:
        """Return a statement for these rows and its arguments, of which `first` are `$1` and so on."""
        given = [
            (_SINCE, self.since),
            (_UNTIL, self.until),
            (_ACTORS, self.actors),
            (_ACTION, [self.action, *self.actions] if self.action else None),
            (_OF_CUSTOMER, self.customers),
        ]
        wanted = [(condition, value) for condition, value in given if value is not None]
        numbered = (condition.format(f"${n}") for n, (condition, _) in enumerate(wanted, len(first) + 1))
        return sql.format(wanted="".join(f" AND {each}" for each in numbered)), *first, *(value for _, value in wanted)


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """The two rows of an act as one; without `status`, its outcome is unknown."""

    number: int
    at: datetime
    actor_kind: str
    actor: str
    action: str
    subject: str | None
    customer: UUID | None
    details: str
    status: int | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often a wrong guess was refused, and when last."""

    times: int
    last_at: datetime | None


async def refusals(session: Session, action: str, subject: UUID, *, since: datetime) -> Refusals:
    """Return the wrong guesses at the log-in of a person; those of the last minute may not be counted yet."""
    given = (NOBODY.kind, action, str(subject), Stage.REFUSED, since)
    return Refusals(**(await db.fetch(session, _REFUSED, *given))[0])


async def acts(session: Session, wanted: AuditFilter, *, before: int = NEWEST, limit: int) -> Sequence[RecordedAct]:
    """Return acts, the newest first, whose first row has a number below `before`."""
    return [RecordedAct(**row) for row in await db.fetch(session, *wanted.statement(_ACTS, before, limit))]


async def last_of_each(session: Session, subjects: Sequence[str], actions: Sequence[str]) -> Mapping[str, RecordedAct]:
    """Return the newest of these actions that was done to each subject, by subject."""
    rows = await db.fetch(session, _LAST_OF_EACH, list(actions), list(subjects)) if subjects else []
    return {row["subject"]: RecordedAct(**row) for row in rows}


async def newest(session: Session, actions: Sequence[str], *, limit: int) -> Sequence[RecordedAct]:
    """Return the newest of these actions that were done, the newest first."""
    return [RecordedAct(**row) for row in await db.fetch(session, _NEWEST, list(actions), limit)]


async def rows(session: Session, wanted: AuditFilter, *, after: int = 0, limit: int = PAGE) -> Sequence[AuditRow]:
    """Return rows, the oldest first, with numbers above `after`."""
    return [AuditRow(**row) for row in await db.fetch(session, *wanted.statement(_ROWS, after, limit))]


async def every_row(sessions: Sessions, wanted: AuditFilter) -> AsyncIterator[Sequence[AuditRow]]:
    """Yield all rows in pages, each read in a transaction of its own."""
    after = 0
    while True:
        async with sessions.begin() as session:
            page = await rows(session, wanted, after=after)
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].number


async def customers(session: Session, respondents: Sequence[str]) -> list[UUID]:
    """Return the random ids that stand for respondents in the log."""
    return [row["id"] for row in await db.fetch(session, _CUSTOMERS, list(respondents))]


async def respondents(session: Session, customers: Sequence[UUID]) -> Mapping[UUID, str]:
    """Return the respondents for whom random ids stand, but for those who were erased."""
    return {row["id"]: row["respondent_id"] for row in await db.fetch(session, _RESPONDENTS, list(customers))}
