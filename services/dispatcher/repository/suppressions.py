"""Suppressions: which respondents are not contacted, over which channels, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from services.dispatcher.domain.suppressions import SuppressionKey, key_of
from shared.contract.events import RespondentReleased, RespondentSuppressed
from shared.contract.vocabulary import ChannelKind, SuppressionReason
from shared.database import db
from shared.database.session import Session

# a suppression that lasts longer replaces the stored one; its addresses are bound by `addresses.bind`
_ADD = """INSERT INTO suppressions AS s (id, respondent_id, channel, program, reason, until, at)
SELECT id, respondent_id, channel, program, reason, until, $7
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS s (id, respondent_id, channel, program, reason, until)
ON CONFLICT (respondent_id, channel, program, reason) DO UPDATE
SET until = excluded.until, at = excluded.at
WHERE s.until IS NOT NULL AND (excluded.until IS NULL OR excluded.until > s.until)
RETURNING respondent_id, channel, program, reason"""


async def add(
    session: Session, suppressions: Sequence[RespondentSuppressed], *, at: datetime
) -> list[RespondentSuppressed]:
    """Store suppressions; return those that are new or last longer."""
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
        at,
    )
    new = {(row["respondent_id"], row["channel"], row["program"], row["reason"]) for row in rows}
    return [each for key, each in longest.items() if key in new]


_COLUMNS = "id, respondent_id, channel, program, reason, until, at"
# an address that another suppression of the same kind binds is not released
_RELEASED = """SELECT gone.*, ARRAY(
    SELECT encode(b.fingerprint, 'hex') FROM bound_addresses b WHERE b.suppression_id = gone.id
    AND gone.reason <> 'soft_bounce' AND NOT EXISTS (
        SELECT FROM bound_addresses other JOIN suppressions s ON s.id = other.suppression_id
        WHERE other.fingerprint = b.fingerprint AND s.id NOT IN (SELECT id FROM gone)
          AND s.channel IS NOT DISTINCT FROM gone.channel AND s.program IS NOT DISTINCT FROM gone.program
          AND s.reason = gone.reason
    ) ORDER BY 1
) AS addresses FROM gone"""
_EXPIRED = f"""WITH gone AS (DELETE FROM suppressions WHERE id IN (
    SELECT id FROM suppressions WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}) {_RELEASED}"""  # noqa: S608 - constants
_LIFT = f"""WITH gone AS (DELETE FROM suppressions WHERE respondent_id = ANY($1::text[])
    AND ($2::text IS NULL OR channel = $2) AND ($3::text IS NULL OR reason = $3)
RETURNING {_COLUMNS}) {_RELEASED}"""  # noqa: S608 - constants
_REMOVE = f"WITH gone AS (DELETE FROM suppressions WHERE id = $1 RETURNING {_COLUMNS}) {_RELEASED}"  # noqa: S608


async def release_expired(session: Session, *, now: datetime, limit: int) -> list[RespondentReleased]:
    return _released(await db.fetch(session, _EXPIRED, now, limit))


async def release(
    session: Session,
    respondents: Collection[str],
    *,
    channel: ChannelKind | None = None,
    reason: SuppressionReason | None = None,
) -> list[RespondentReleased]:
    """Lift the suppressions of respondents, only of a channel or a reason if given; return what was lifted."""
    return _released(await db.fetch(session, _LIFT, list(respondents), channel, reason))


async def of_respondent(
    session: Session, respondent_id: str, *, reason: SuppressionReason
) -> set[tuple[ChannelKind | None, str | None]]:
    """Return the channel and program of each suppression of a respondent for this reason."""
    sql = "SELECT channel, program FROM suppressions WHERE respondent_id = $1 AND reason = $2"
    return {(row["channel"], row["program"]) for row in await db.fetch(session, sql, respondent_id, reason)}


_LIFT_EXACTLY = """DELETE FROM suppressions s
USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (respondent_id, channel, program, reason)
WHERE s.respondent_id = k.respondent_id AND s.channel IS NOT DISTINCT FROM k.channel
    AND s.program IS NOT DISTINCT FROM k.program AND s.reason = k.reason"""


async def lift(session: Session, keys: Sequence[SuppressionKey]) -> None:
    """Lift exactly these suppressions."""
    await db.fetch(session, _LIFT_EXACTLY, *([list(column) for column in zip(*keys, strict=True)] or [[]] * 4))


async def remove(session: Session, id_: UUID) -> list[RespondentReleased]:
    return _released(await db.fetch(session, _REMOVE, id_))


def _released(rows: Sequence[asyncpg.Record]) -> list[RespondentReleased]:
    names = ("respondent_id", "channel", "program", "reason", "until", "addresses")
    return [RespondentReleased(**{name: row[name] for name in names}) for row in rows]


@dataclass(frozen=True, slots=True)
class StoredSuppression:
    id: UUID
    respondent_id: str
    channel: ChannelKind | None
    program: str | None
    reason: SuppressionReason
    until: datetime | None
    at: datetime
    binds_address: bool


_LIST = f"""SELECT {_COLUMNS}, address IS NOT NULL
    OR EXISTS (SELECT FROM bound_addresses b WHERE b.suppression_id = suppressions.id) AS binds_address
FROM suppressions
WHERE ($1::text[] IS NULL OR respondent_id = ANY($1) OR address = ANY($4::bytea[])
    OR id IN (SELECT suppression_id FROM bound_addresses WHERE fingerprint = ANY($4::bytea[])))
  AND ($2::text IS NULL OR reason = $2)
ORDER BY id DESC LIMIT $3"""  # noqa: S608 - constants


async def newest(
    session: Session,
    *,
    respondents: Sequence[str] | None,
    reason: SuppressionReason | None,
    limit: int,
    fingerprints: Sequence[bytes] = (),
) -> list[StoredSuppression]:
    """Return the newest suppressions first: all, or those of a respondent or an address."""
    rows = await db.fetch(session, _LIST, respondents, reason, limit, list(fingerprints))
    return [StoredSuppression(**{**row, "reason": SuppressionReason(row["reason"])}) for row in rows]
