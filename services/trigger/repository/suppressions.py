"""Suppressions: copies of those that dispatcher and scoring publish."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from services.trigger.domain.deciding.suppressions import KnownSuppression, KnownSuppressionKey
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.session import Session

_FIND = """SELECT respondent_id, NULL::bytea AS fingerprint, channel, program, reason, until FROM suppressions
WHERE respondent_id = ANY($1::text[])
UNION ALL SELECT NULL, fingerprint, channel, program, reason, until FROM address_suppressions
WHERE fingerprint = ANY($2::bytea[])"""

_PUT = """INSERT INTO suppressions (respondent_id, channel, program, reason, until)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (respondent_id, channel, program, reason) DO UPDATE SET until = EXCLUDED.until"""

_LIFT = """DELETE FROM suppressions USING unnest($1::text[], $2::text[], $3::text[], $4::text[])
AS lifted (respondent_id, channel, program, reason)
WHERE suppressions.respondent_id = lifted.respondent_id AND suppressions.reason = lifted.reason
AND suppressions.channel IS NOT DISTINCT FROM lifted.channel
AND suppressions.program IS NOT DISTINCT FROM lifted.program"""


async def find(
    session: Session, respondents: Collection[str], fingerprints: Collection[bytes] = ()
) -> tuple[dict[str, Sequence[KnownSuppression]], dict[bytes, Sequence[KnownSuppression]]]:
    """Return the suppressions of respondents, and those that bind addresses."""
    of_respondents: dict[str, list[KnownSuppression]] = defaultdict(list)
    of_addresses: dict[bytes, list[KnownSuppression]] = defaultdict(list)
    for row in await db.fetch(session, _FIND, list(respondents), list(fingerprints)):
        channel = row["channel"] and ChannelKind(row["channel"])
        found = KnownSuppression(channel, row["program"], row["reason"], row["until"])
        if row["fingerprint"] is None:
            of_respondents[row["respondent_id"]].append(found)
        else:
            of_addresses[row["fingerprint"]].append(found)
    return dict(of_respondents), dict(of_addresses)


async def put(session: Session, until: Mapping[KnownSuppressionKey, datetime | None]) -> None:
    if until:
        await db.fetch(session, _PUT, *zip(*((*key, end) for key, end in until.items()), strict=True))


async def lift(session: Session, keys: Collection[KnownSuppressionKey]) -> None:
    if keys:
        await db.fetch(session, _LIFT, *zip(*keys, strict=True))
