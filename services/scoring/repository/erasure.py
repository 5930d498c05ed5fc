"""Erasure of respondents' identities and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.database import db
from shared.database.session import Session

_LOCK_INVITATIONS = """SELECT id FROM invitations WHERE respondent_id = ANY($1::text[]) OR asked_id = ANY($1::text[])
ORDER BY id FOR UPDATE"""
_PSEUDONYMISE = """UPDATE invitations i SET state = 'erased', respondent_id = p.pseudonym, customer_id = '',
name = '', phone = '', offers = NULL, occasion = CASE jsonb_typeof(occasion)
WHEN 'array' THEN jsonb_set(jsonb_set(occasion, '{4}', 'null'), '{7}', 'null')
ELSE occasion || '{"subject": null, "number": null}' END
FROM unnest($1::text[], $2::text[]) AS p (respondent, pseudonym) WHERE i.respondent_id = p.respondent"""
_FORGET_ASKED = "UPDATE invitations SET state = 'erased', asked_id = '' WHERE asked_id = ANY($1::text[])"
_PSEUDONYMISE_PURCHASES = """UPDATE purchases b SET respondent_id = p.pseudonym
FROM unnest($1::text[], $2::text[]) AS p (respondent, pseudonym) WHERE b.respondent_id = p.respondent"""
_ANSWERS = "SELECT answer_id FROM answers WHERE invitation_id = ANY($1::uuid[])"
_ERASE = (
    "UPDATE answers SET comment = NULL, extra = '{}' WHERE invitation_id = ANY($1::uuid[])",
    f"UPDATE answer_versions SET comment = NULL, extra = '{{}}' WHERE answer_id IN ({_ANSWERS})",  # noqa: S608 - constants only
    f"DELETE FROM quotes WHERE answer_id IN ({_ANSWERS})",  # noqa: S608 - as above
    f"DELETE FROM answer_tags WHERE answer_id IN ({_ANSWERS})",  # noqa: S608 - as above; somebody may have written a name
)


async def lock_invitations(session: Session, respondents: Sequence[str]) -> list[UUID]:
    """Lock all invitations of these respondents; return their ids."""
    return [row["id"] for row in await db.fetch(session, _LOCK_INVITATIONS, list(respondents))]


async def answers_of(session: Session, ids: Sequence[UUID]) -> list[UUID]:
    """Return the ids of these invitations' answers, by which events name an anonymous one."""
    rows = await db.fetch(session, _ANSWERS, list(ids))
    return [row["answer_id"] for row in rows]


async def erase(session: Session, ids: Sequence[UUID], *, pseudonyms: Mapping[str, str]) -> None:
    """Delete texts and replace identities by pseudonyms; scores stay counted and keep belonging to one respondent."""
    for statement in (_PSEUDONYMISE, _PSEUDONYMISE_PURCHASES):
        await db.fetch(session, statement, list(pseudonyms), list(pseudonyms.values()))
    await db.fetch(session, _FORGET_ASKED, list(pseudonyms))
    for statement in _ERASE:
        await db.fetch(session, statement, list(ids))
