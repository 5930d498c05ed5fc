"""Whom never to contact, where, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from shared import db
from shared.events import RespondentSuppressed

_ADD = """INSERT INTO suppressions (id, respondent_id, channel, program, reason, until, at)
SELECT id, respondent_id, channel, program, reason, until, $7
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS s (id, respondent_id, channel, program, reason, until)
ON CONFLICT DO NOTHING RETURNING id"""


async def add(
    session: AsyncSession, suppressions: Sequence[RespondentSuppressed], *, at: datetime
) -> list[RespondentSuppressed]:
    """Store suppressions; return those that were new."""
    ids = [uuid7() for _ in suppressions]
    rows = await db.fetch(
        session,
        _ADD,
        ids,
        [each.respondent_id for each in suppressions],
        [each.channel for each in suppressions],
        [each.program for each in suppressions],
        [each.reason for each in suppressions],
        [each.until for each in suppressions],
        at,
    )
    new = {row["id"] for row in rows}
    return [each for id_, each in zip(ids, suppressions, strict=True) if id_ in new]
