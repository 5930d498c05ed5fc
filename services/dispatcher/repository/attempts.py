"""The ledger of contact attempts: one row per try that ended a step."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from shared import db
from shared.events import ContactAttempted

_ADD = """INSERT INTO attempts (id, invitation_id, step, try, revision, channel, provider, state, reason,
    provider_message_id, at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[])"""


async def add(session: AsyncSession, attempts: Sequence[tuple[ContactAttempted, int, str | None]]) -> None:
    """Write attempts as published, each with its try and the provider's own id of the message."""
    events = [event for event, _, _ in attempts]
    await db.fetch(
        session,
        _ADD,
        [event.attempt_id for event in events],
        [event.invitation_id for event in events],
        [event.step for event in events],
        [number for _, number, _ in attempts],
        [event.revision for event in events],
        [event.channel for event in events],
        [event.provider for event in events],
        [event.state for event in events],
        [event.reason for event in events],
        [message_id for _, _, message_id in attempts],
        [event.at for event in events],
    )


_STORY = """SELECT id, step, try, revision, provider, state, reason, provider_message_id, at FROM attempts
WHERE invitation_id = $1 ORDER BY id"""


async def story(session: AsyncSession, invitation_id: UUID) -> list[asyncpg.Record]:
    return await db.fetch(session, _STORY, invitation_id)
