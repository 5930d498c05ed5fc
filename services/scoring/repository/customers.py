"""All that scoring stores about customers: surveys, answers with their versions, page views, calls and webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.database import db
from shared.database.session import Session

_VERSION = """v.version, v.score, v.reasons, v.comment, v.extra, v.mode, v.step, v.channel, v.suspect, v.answered_at,
v.device, v.callback_wanted, v.operator"""
# each with the newest first, at most $2, null: all
_STATEMENTS: Mapping[str, str] = {
    "invitations": """SELECT i.id, i.respondent_id, i.customer_id, i.name, i.phone, i.program,
    i.program_title, i.occasion, i.segments,
    i.state, i.opted_out_at
FROM invitation_details i WHERE i.respondent_id = ANY($1::text[]) ORDER BY i.id DESC LIMIT $2""",
    "answers": f"""SELECT v.invitation_id, i.respondent_id, v.answer_id, {_VERSION}, true AS stands
FROM answers v JOIN invitations i ON i.id = v.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY v.answered_at DESC LIMIT $2""",  # noqa: S608 - column names only
    "earlier_answers": f"""SELECT a.invitation_id, i.respondent_id, v.answer_id, {_VERSION}, false AS stands
FROM answer_versions v JOIN answers a ON a.answer_id = v.answer_id AND a.version > v.version
JOIN invitations i ON i.id = a.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY v.answered_at DESC LIMIT $2""",  # noqa: S608 - column names only
    "quotes": """SELECT a.invitation_id, i.respondent_id, q.answer_id, q.name, q.wording, q.given_at, q.withdrawn_at
FROM quotes q JOIN answers a USING (answer_id) JOIN invitations i ON i.id = a.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY q.given_at DESC LIMIT $2""",
    "page_views": """SELECT p.invitation_id, i.respondent_id, p.step, p.method, p.automatic, p.at
FROM page_views p JOIN invitations i ON i.id = p.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY p.at DESC LIMIT $2""",
    "calls": """SELECT t.task_id, t.invitation_id, i.respondent_id, t.kind, t.state, t.outcome, t.phone, t.name,
    t.due_at
FROM call_tasks t JOIN invitations i ON i.id = t.invitation_id WHERE i.respondent_id = ANY($1::text[])
ORDER BY t.due_at DESC LIMIT $2""",
    "call_attempts": """SELECT c.task_id, i.respondent_id, c.attempt, c.disposition, c.operator, c.at, c.note
FROM call_attempts c JOIN call_tasks t ON t.task_id = c.task_id JOIN invitations i ON i.id = t.invitation_id
WHERE i.respondent_id = ANY($1::text[])
ORDER BY c.at DESC LIMIT $2""",
}
_WEBHOOKS = """SELECT e.id, e.url, e.types, count(*) AS events
FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
WHERE d.tries > 0 AND d.subject = ANY($1::text[] || ARRAY(
    SELECT id::text FROM invitations WHERE respondent_id = ANY($1::text[])))
GROUP BY e.id ORDER BY e.id"""
_OWN_IDS = """WITH own AS (SELECT id FROM invitations WHERE respondent_id = ANY($1::text[]))
SELECT id FROM own UNION ALL SELECT answer_id FROM answers WHERE invitation_id IN (SELECT id FROM own)
UNION ALL SELECT task_id FROM call_tasks WHERE invitation_id IN (SELECT id FROM own)"""


async def read(session: Session, respondents: Sequence[str], *, most: int | None) -> dict[str, list[db.Row]]:
    """Read the newest rows of each kind about these respondents, all of them where `most` is None."""
    given = list(respondents), most
    return {kind: await db.fetch(session, statement, *given) for kind, statement in _STATEMENTS.items()}


async def webhooks(session: Session, respondents: Sequence[str]) -> list[db.Row]:
    """Return the webhooks that were sent events about these respondents, with how many."""
    return await db.fetch(session, _WEBHOOKS, list(respondents))


async def own_ids(session: Session, respondents: Sequence[str]) -> list[UUID]:
    """Return the ids of these respondents' invitations, answers and calls."""
    return [row["id"] for row in await db.fetch(session, _OWN_IDS, list(respondents))]
