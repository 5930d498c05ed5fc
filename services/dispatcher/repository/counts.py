"""Counts of invitations and steps, and of work that is due."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session

_WORK_LEFT = """SELECT
    (SELECT count(*) FROM due WHERE channel = ANY($2::text[]) AND due_at <= $1)
  + (SELECT count(*) FROM held)
  + (SELECT count(*) FROM halted h JOIN programs p ON p.id = h.program WHERE p.state IN ('on', 'off'))
  + (SELECT count(*) FROM invitations WHERE state = 'open' AND expires_at <= $1)"""
_OLDEST_DUE = """SELECT min(first.due_at) FROM unnest($2::text[]) AS c (channel), LATERAL (
    SELECT due_at FROM due WHERE channel = c.channel AND due_at <= $1 ORDER BY due_at LIMIT 1
) AS first"""
_CHANNELS = list(ChannelKind)  # named, so that the index by channel is used
_INVITATIONS = "SELECT coalesce(outcome, state) AS name, count(*) FROM invitations GROUP BY 1"
_STEPS = """SELECT channel, state, count(*) FROM (
    SELECT channel, 'planned' AS state FROM due UNION ALL SELECT channel, 'planned' FROM halted
    UNION ALL SELECT channel, CASE WHEN in_flight THEN 'in_flight' ELSE 'leased' END FROM held
    UNION ALL (SELECT DISTINCT ON (invitation_id, step) channel, state FROM attempts
    ORDER BY invitation_id, step, try DESC)
) AS steps GROUP BY 1, 2"""


async def work_left(session: Session, now: datetime) -> int:
    """Count what is due or running at this business time. 0: the dispatcher waits for time to pass, or for events."""
    return int((await db.fetch(session, _WORK_LEFT, now, _CHANNELS))[0][0])


async def oldest_due(session: Session, now: datetime) -> datetime | None:
    oldest: datetime | None = (await db.fetch(session, _OLDEST_DUE, now, _CHANNELS))[0][0]
    return oldest


async def invitation_counts(session: Session) -> dict[str, int]:
    """Count invitations by outcome; those without an outcome are counted as `open`."""
    return {row["name"]: row["count"] for row in await db.fetch(session, _INVITATIONS)}


async def step_counts(session: Session) -> dict[tuple[str, str], int]:
    """Count steps by channel and state: those that are planned or held, and the last attempt of each that ended."""
    return {(row["channel"], row["state"]): row["count"] for row in await db.fetch(session, _STEPS)}


_REFUSED = """SELECT account, reason, count(*) FROM due
WHERE channel = ANY($2::text[]) AND due_at BETWEEN $1::timestamptz - interval '1 hour'
AND $1::timestamptz + interval '1 hour' AND reason LIKE 'account\\_refused %' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20"""


class RefusedAccount(NamedTuple):
    """An account that a provider refuses: the code of its reply, and how many steps wait for it."""

    account: str
    code: str
    waiting: int


async def refused_accounts(session: Session, now: datetime) -> list[RefusedAccount]:
    rows = await db.fetch(session, _REFUSED, now, _CHANNELS)
    return [RefusedAccount(row["account"] or "", row["reason"].partition(" ")[2], row["count"]) for row in rows]
