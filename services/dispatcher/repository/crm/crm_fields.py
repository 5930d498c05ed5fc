"""Answers that are written into fields of a CRM, the latest one of each contact, company and deal.

`look_at` is the machine time at which a row is due to be written or emptied; it is null when nothing is to be done.
`revision` grows with each change, so that a change during a request to the CRM is not taken for written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatcher.domain.crm_fields import AnswerOfEntity, CrmEntity
from shared.database import db
from shared.database.session import Session

_PATIENCE = timedelta(seconds=30)  # longer than a request may take

_STORE = """INSERT INTO crm_fields AS c (entity, entity_id, respondent_id, score, category, answered_at, version)
SELECT a.entity, a.entity_id, a.respondent_id, a.score, a.category, a.answered_at, a.version
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[], $7::int[], $8::uuid[])
    AS a (entity, entity_id, respondent_id, score, category, answered_at, version, invitation_id)
WHERE NOT EXISTS (
    SELECT FROM invitations i WHERE i.id = a.invitation_id AND i.request->>'customer_id' = 'erased'
)
ON CONFLICT (entity, entity_id) DO UPDATE SET respondent_id = excluded.respondent_id, score = excluded.score,
    category = excluded.category, answered_at = excluded.answered_at, version = excluded.version, erased = false,
    tries = 0, revision = c.revision + 1, look_at = coalesce(c.look_at, clock_timestamp())
WHERE (excluded.answered_at, excluded.version) > (c.answered_at, c.version)"""


async def store(session: Session, answers: Iterable[AnswerOfEntity]) -> None:
    """Store each entity's latest answer; an older one and the answer of an erased respondent change nothing."""
    latest = {(each.entity, each.entity_id): each for each in sorted(answers, key=lambda each: each.order)}
    if not latest:
        return
    rows = [
        (entity.value, id_, of.respondent_id, of.score, of.category.value, of.answered_at, of.version, of.invitation_id)
        for (entity, id_), of in sorted((key, each.answer) for key, each in latest.items())
    ]
    await db.fetch(session, _STORE, *map(list, zip(*rows, strict=True)))


_ERASE = """WITH of AS (
    SELECT entity, entity_id FROM crm_fields WHERE respondent_id = ANY($1::text[])
    ORDER BY entity, entity_id FOR UPDATE
), never_written AS (
    DELETE FROM crm_fields c USING of
    WHERE (c.entity, c.entity_id) = (of.entity, of.entity_id) AND c.written = '{}'
)
UPDATE crm_fields c SET erased = true, score = 0, category = '', tries = 0, revision = revision + 1,
    look_at = coalesce(look_at, clock_timestamp())
FROM of WHERE (c.entity, c.entity_id) = (of.entity, of.entity_id) AND c.written <> '{}'"""


async def erase(session: Session, respondents: Collection[str]) -> None:
    """Make the written fields of respondents due to be emptied; delete what was never written."""
    await db.fetch(session, _ERASE, list(respondents))


_TAKE = """UPDATE crm_fields c SET tries = c.tries + 1,
    look_at = clock_timestamp() + $2::interval * (2 ^ least(c.tries, 7)),
    written = ARRAY(SELECT DISTINCT unnest(c.written || CASE WHEN c.erased THEN '{}'
        ELSE ARRAY(SELECT jsonb_array_elements_text($3::jsonb->c.entity)) END) ORDER BY 1)
FROM (
    SELECT entity, entity_id FROM crm_fields WHERE look_at <= clock_timestamp()
    ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due WHERE (c.entity, c.entity_id) = (due.entity, due.entity_id)
RETURNING c.entity, c.entity_id, c.score, c.category, c.answered_at, c.erased, c.written, c.revision, c.tries"""


@dataclass(frozen=True, slots=True)
class CrmFieldsRow:
    entity: CrmEntity
    entity_id: str
    score: int
    category: str
    answered_at: datetime
    erased: bool  # whether the fields are to be emptied
    written: list[str]  # every field that may hold a value of ours
    revision: int
    tries: int


async def take_due(session: Session, *, limit: int, names: str) -> list[CrmFieldsRow]:
    """Take rows that are due; each is due again, after growing pauses, unless `settle` or `delete` is called.

    `names` are the fields that are now written, a JSON object of lists by entity. They count as written from now on,
    because a request may be carried out although its reply is lost.
    """
    rows = await db.fetch(session, _TAKE, limit, _PATIENCE, names)
    return [CrmFieldsRow(**{**row, "entity": CrmEntity(row["entity"])}) for row in rows]


_SETTLE = """UPDATE crm_fields SET tries = 0, look_at = CASE WHEN revision = $3 THEN NULL ELSE clock_timestamp() END
WHERE (entity, entity_id) = ($1, $2)"""
_DELETE = "DELETE FROM crm_fields WHERE (entity, entity_id, revision) = ($1, $2, $3)"


async def settle(session: Session, row: CrmFieldsRow) -> None:
    """Store that the CRM has this answer; the row is due at once if it changed meanwhile."""
    await db.fetch(session, _SETTLE, row.entity.value, row.entity_id, row.revision)


async def delete(session: Session, row: CrmFieldsRow) -> None:
    """Delete a row whose fields are empty or gone, unless it changed meanwhile."""
    await db.fetch(session, _DELETE, row.entity.value, row.entity_id, row.revision)
