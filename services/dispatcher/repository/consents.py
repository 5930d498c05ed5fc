"""What respondents said last of consent, for requests that come late."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract.events import Consent, SurveyRequested
from shared.database import db

_REMEMBER = """INSERT INTO consents AS c (respondent_id, consent, at)
SELECT * FROM unnest($1::text[], $2::jsonb[], $3::timestamptz[])
ON CONFLICT (respondent_id) DO UPDATE SET consent = c.consent || excluded.consent, at = greatest(c.at, excluded.at)"""
_NEWER = """SELECT r.id, c.consent::text FROM consents c
JOIN unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS r (id, respondent_id, made_at) USING (respondent_id)
WHERE c.at > r.made_at"""
_WIPE = "DELETE FROM consents WHERE respondent_id = ANY($1::text[])"


async def remember(session: AsyncSession, changes: Mapping[str, tuple[Consent, datetime]]) -> None:
    """Keep changes with their time; yes and no replace what was known, unknown leaves it."""
    rows = sorted(changes.items(), key=lambda change: change[0])  # in one order, so that nobody waits in a circle
    dumped = [consent.model_dump_json(exclude_none=True) for _, (consent, _) in rows]
    await db.fetch(session, _REMEMBER, [who for who, _ in rows], dumped, [at for _, (_, at) in rows])


async def newer(session: AsyncSession, requests: Sequence[tuple[SurveyRequested, datetime]]) -> dict[UUID, Consent]:
    """Return, by invitation, what respondents said after their request was made."""
    rows = await db.fetch(
        session,
        _NEWER,
        [request.invitation_id for request, _ in requests],
        [request.respondent_id for request, _ in requests],
        [made_at for _, made_at in requests],
    )
    return {row["id"]: Consent.model_validate_json(row["consent"]) for row in rows}


async def wipe(session: AsyncSession, respondents: Collection[str]) -> None:
    await db.fetch(session, _WIPE, list(respondents))
