"""Suppressions: which respondents are not contacted, over which channels, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.dispatcher.domain.suppressions import SuppressionKey, key_of
from shared.contract.events import RespondentReleased, RespondentSuppressed, SurveyRequested
from shared.contract.vocabulary import ChannelKind, SuppressionReason, address_fingerprint
from shared.database import db

# a suppression that lasts longer or is of another address replaces the stored one
_ADD = """INSERT INTO suppressions AS s (id, respondent_id, channel, program, reason, until, address, at)
SELECT id, respondent_id, channel, program, reason, until, address, $8
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[])
    AS s (id, respondent_id, channel, program, reason, until, address)
ON CONFLICT (respondent_id, channel, program, reason) DO UPDATE
SET until = excluded.until, address = excluded.address, at = excluded.at
WHERE (s.until IS NOT NULL AND (excluded.until IS NULL OR excluded.until > s.until))
    OR s.address IS DISTINCT FROM excluded.address
RETURNING respondent_id, channel, program, reason"""


async def add(
    session: AsyncSession, suppressions: Sequence[RespondentSuppressed], *, at: datetime
) -> list[RespondentSuppressed]:
    """Store suppressions; return those that are new, last longer or are of another address."""
    longest: dict[SuppressionKey, RespondentSuppressed] = {}
    for each in suppressions:
        known = longest.get(key_of(each))
        if known is None or (known.until is not None and (each.until is None or each.until > known.until)):
            longest[key_of(each)] = each
    wanted = list(longest.values())
    rows = await db.fetch(
        session,
        _ADD,
        [uuid7() for _ in wanted],
        [each.respondent_id for each in wanted],
        [each.channel for each in wanted],
        [each.program for each in wanted],
        [each.reason for each in wanted],
        [each.until for each in wanted],
        [bytes.fromhex(each.address) if each.address else None for each in wanted],
        at,
    )
    new = {(row["respondent_id"], row["channel"], row["program"], row["reason"]) for row in rows}
    return [each for key, each in longest.items() if key in new]


_COLUMNS = "id, respondent_id, channel, program, reason, until, at"
_EXPIRED = f"""DELETE FROM suppressions WHERE id IN (
    SELECT id FROM suppressions WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}"""  # noqa: S608 - constants
_LIFT = f"""DELETE FROM suppressions WHERE respondent_id = ANY($1::text[])
    AND ($2::text IS NULL OR channel = $2) AND ($3::text IS NULL OR reason = $3)
RETURNING {_COLUMNS}"""  # noqa: S608 - constants
_REMOVE = f"DELETE FROM suppressions WHERE id = $1 RETURNING {_COLUMNS}"  # noqa: S608 - constants
_OTHER_ADDRESS = f"""DELETE FROM suppressions USING unnest($1::text[], $2::bytea[], $3::bytea[])
    AS n (respondent, email, phone)
WHERE respondent_id = n.respondent AND address IS NOT NULL
    AND address <> CASE channel WHEN 'email' THEN n.email ELSE n.phone END
RETURNING {_COLUMNS}"""  # noqa: S608 - constants


async def release_expired(session: AsyncSession, *, now: datetime, limit: int) -> list[RespondentReleased]:
    return _released(await db.fetch(session, _EXPIRED, now, limit))


async def release(
    session: AsyncSession,
    respondents: Collection[str],
    *,
    channel: ChannelKind | None = None,
    reason: SuppressionReason | None = None,
) -> list[RespondentReleased]:
    """Lift the suppressions of respondents, only of a channel or a reason if given; return what was lifted."""
    return _released(await db.fetch(session, _LIFT, list(respondents), channel, reason))


_LIFT_EXACTLY = """DELETE FROM suppressions s
USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (respondent_id, channel, program, reason)
WHERE s.respondent_id = k.respondent_id AND s.channel IS NOT DISTINCT FROM k.channel
    AND s.program IS NOT DISTINCT FROM k.program AND s.reason = k.reason"""


async def lift(session: AsyncSession, keys: Sequence[SuppressionKey]) -> None:
    """Lift exactly these suppressions."""
    await db.fetch(session, _LIFT_EXACTLY, *([list(column) for column in zip(*keys, strict=True)] or [[]] * 4))


async def remove(session: AsyncSession, id_: UUID) -> list[RespondentReleased]:
    return _released(await db.fetch(session, _REMOVE, id_))


async def release_moved(session: AsyncSession, requests: Sequence[SurveyRequested]) -> list[RespondentReleased]:
    """Lift suppressions of an address when a new request names another address."""
    latest = {request.respondent_id: request.contact for request in requests}
    emails = [address_fingerprint(contact.email) if contact.email else None for contact in latest.values()]
    phones = [address_fingerprint(contact.phone) if contact.phone else None for contact in latest.values()]
    return _released(await db.fetch(session, _OTHER_ADDRESS, list(latest), emails, phones))


def _released(rows: Sequence[asyncpg.Record]) -> list[RespondentReleased]:
    names = ("respondent_id", "channel", "program", "reason", "until")
    return [RespondentReleased(**{name: row[name] for name in names}) for row in rows]


_FORGET_ADDRESSES = "UPDATE suppressions SET address = NULL WHERE respondent_id = ANY($1::text[])"


async def forget_addresses(session: AsyncSession, respondents: Collection[str]) -> None:
    """Make suppressions of an address of erased respondents apply to any address of theirs."""
    await db.fetch(session, _FORGET_ADDRESSES, list(respondents))


@dataclass(frozen=True, slots=True)
class StoredSuppression:
    id: UUID
    respondent_id: str
    channel: ChannelKind | None
    program: str | None
    reason: SuppressionReason
    until: datetime | None
    at: datetime


_LIST = f"""SELECT {_COLUMNS} FROM suppressions
WHERE ($1::text[] IS NULL OR respondent_id = ANY($1)) AND ($2::text IS NULL OR reason = $2)
ORDER BY id DESC LIMIT $3"""  # noqa: S608 - constants


async def newest(
    session: AsyncSession, *, respondents: Sequence[str] | None, reason: SuppressionReason | None, limit: int
) -> list[StoredSuppression]:
    rows = await db.fetch(session, _LIST, respondents, reason, limit)
    return [StoredSuppression(**{**row, "reason": SuppressionReason(row["reason"])}) for row in rows]
