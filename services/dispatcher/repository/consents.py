"""The last change of each respondent's consent, for requests that are received after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.contract.events import Consent, SurveyRequested
from shared.database import db
from shared.database.session import Session

_REMEMBER = """INSERT INTO consents AS c (respondent_id, consent, at)
SELECT * FROM unnest($1::text[], $2::jsonb[], $3::timestamptz[])
ON CONFLICT (respondent_id) DO UPDATE SET consent = c.consent || excluded.consent, at = greatest(c.at, excluded.at)"""
_NEWER = """SELECT r.id, c.consent::text FROM consents c
JOIN unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS r (id, respondent_id, made_at) USING (respondent_id)
WHERE c.at > r.made_at"""
_WIPE = "DELETE FROM consents WHERE respondent_id = ANY($1::text[])"


async def remember(session: Session, changes: Mapping[str, tuple[Consent, datetime]]) -> None:
    """Store changes with their time; yes and no replace the known value, unknown keeps it."""
    rows = sorted(changes.items(), key=lambda change: change[0])  # in one order, which prevents deadlocks
    dumped = [consent.model_dump_json(exclude_none=True) for _, (consent, _) in rows]
    await db.fetch(session, _REMEMBER, [who for who, _ in rows], dumped, [at for _, (_, at) in rows])


async def newer(session: Session, requests: Sequence[tuple[SurveyRequested, datetime]]) -> dict[UUID, Consent]:
    """Return, by invitation, the consent that changed after the request was made."""
    rows = await db.fetch(
        session,
        _NEWER,
        [request.invitation_id for request, _ in requests],
        [request.respondent_id for request, _ in requests],
        [made_at for _, made_at in requests],
    )
    return {row["id"]: Consent.model_validate_json(row["consent"]) for row in rows}


async def wipe(session: Session, respondents: Collection[str]) -> None:
    await db.fetch(session, _WIPE, list(respondents))
