"""All that dispatcher stores about customers: invitations, attempts, messages, replies, suppressions, data in a CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.database import db
from shared.database.session import Session

# each with the newest first, at most $2, null: all
_STATEMENTS: Mapping[str, str] = {
    "invitations": """SELECT i.id, i.respondent_id, i.program,
    (SELECT document->>'title' FROM programs WHERE id = i.program) AS program_title,
    i.state, i.outcome, i.closed_at, i.expires_at, r.request,
    coalesce((r.request->>'send_at')::timestamptz, i.expires_at - make_interval(
        secs => (SELECT (document->>'lifetime_s')::float8 FROM contents WHERE digest = i.content))) AS send_at
FROM invitations i JOIN requests r USING (id) WHERE i.respondent_id = ANY($1::text[]) ORDER BY i.id DESC LIMIT $2""",
    "attempts": """SELECT a.id, a.invitation_id, i.respondent_id, a.step, a.try, a.channel, a.provider, a.state,
    a.reason, a.provider_message_id, a.at, a.segments, a.cost, a.currency
FROM attempts a JOIN invitations i ON i.id = a.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY a.at DESC LIMIT $2""",
    "messages": """SELECT m.id, m.invitation_id, i.respondent_id, m.step, m.channel, m.recipient, m.subject, m.at
FROM mailbox m JOIN invitations i ON i.id = m.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY m.cursor DESC LIMIT $2""",
    "replies": """SELECT p.id, p.invitation_id, i.respondent_id, p.channel, p.sender, p.subject, p.text, p.asks, p.at
FROM replies p JOIN invitations i ON i.id = p.invitation_id
WHERE i.respondent_id = ANY($1::text[]) ORDER BY p.at DESC LIMIT $2""",
    "suppressions": """SELECT respondent_id, channel, program, reason, until, at FROM suppressions
WHERE respondent_id = ANY($1::text[]) ORDER BY at DESC LIMIT $2""",
    "crm_tasks": """SELECT c.call_task, c.invitation_id, c.number, c.finished_at
FROM crm_tasks c JOIN invitations i ON i.id = c.invitation_id
WHERE i.respondent_id = ANY($1::text[]) AND c.number IS NOT NULL ORDER BY c.call_task LIMIT $2""",
    "crm_fields": """SELECT entity, entity_id, score, category, answered_at, written, erased FROM crm_fields
WHERE respondent_id = ANY($1::text[]) ORDER BY entity, entity_id LIMIT $2""",
}
_OWN_IDS = """WITH own AS (SELECT id FROM invitations WHERE respondent_id = ANY($1::text[]))
SELECT id FROM own UNION ALL SELECT id FROM replies WHERE invitation_id IN (SELECT id FROM own)"""


async def read(session: Session, respondents: Sequence[str], *, most: int | None) -> dict[str, list[db.Row]]:
    """Read the newest rows of each kind about these respondents, all of them where `most` is None."""
    given = list(respondents), most
    return {kind: await db.fetch(session, statement, *given) for kind, statement in _STATEMENTS.items()}


async def own_ids(session: Session, respondents: Sequence[str]) -> list[UUID]:
    """Return the ids of these respondents' invitations and replies."""
    return [row["id"] for row in await db.fetch(session, _OWN_IDS, list(respondents))]
