"""Contact attempts and the outcomes of invitations, from dispatcher's events."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.repository.scores import journeys
from shared.contract.events import ContactAttempted, InvitationClosed
from shared.database import db

_STORE_ATTEMPTS = """INSERT INTO attempts AS a (attempt_id, invitation_id, revision, step, channel, state, at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::text[], $6::text[], $7::timestamptz[])
ON CONFLICT (attempt_id) DO UPDATE SET revision = excluded.revision, state = excluded.state, at = excluded.at
WHERE excluded.revision > a.revision"""


async def store_attempts(session: AsyncSession, attempts: Sequence[ContactAttempted]) -> None:
    """Store the highest revision of each attempt, in whatever order they arrive."""
    ordered = sorted(attempts, key=lambda attempt: attempt.revision)
    last = list({attempt.attempt_id: attempt for attempt in ordered}.values())
    await db.fetch(
        session,
        _STORE_ATTEMPTS,
        [attempt.attempt_id for attempt in last],
        [attempt.invitation_id for attempt in last],
        [attempt.revision for attempt in last],
        [attempt.step for attempt in last],
        [attempt.channel for attempt in last],
        [attempt.state for attempt in last],
        [attempt.at for attempt in last],
    )
    await journeys.mark_pending(session, [attempt.invitation_id for attempt in last])


_STORE_OUTCOMES = """INSERT INTO outcomes AS o (invitation_id, outcome, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[])
ON CONFLICT (invitation_id) DO UPDATE SET outcome = excluded.outcome, at = excluded.at"""


async def store_outcomes(session: AsyncSession, closed: Sequence[InvitationClosed]) -> None:
    """Store the last outcome of each invitation; events of one invitation arrive in order."""
    last = list({closing.invitation_id: closing for closing in closed}.values())
    await db.fetch(
        session,
        _STORE_OUTCOMES,
        [closing.invitation_id for closing in last],
        [closing.outcome for closing in last],
        [closing.at for closing in last],
    )
    await journeys.mark_pending(session, [closing.invitation_id for closing in last])
