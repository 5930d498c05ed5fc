"""How far invitations came: one row each with its contact attempts, its outcome and what it adds to the counters.

Versions before stored attempts in a table of their own; what is there is read, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from services.scoring.domain.journeys import Attempt, latest
from shared.database import db
from shared.database.session import Session

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Attempt]).decode

_STORED = "SELECT invitation_id, attempts FROM progress WHERE invitation_id = ANY($1::uuid[]) AND attempts IS NOT NULL"
_OLDER = """SELECT invitation_id, attempt_id, revision, step, channel, state, at FROM attempts
WHERE invitation_id = ANY($1::uuid[])"""


def read_attempts(stored: bytes | None) -> list[Attempt]:
    return _decode(stored) if stored else []


async def attempts(session: Session, ids: Sequence[UUID]) -> defaultdict[UUID, list[Attempt]]:
    """Load the contact attempts of invitations, each as of its highest revision."""
    return await _with_older(session, ids, await _stored(session, ids))


async def _stored(session: Session, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    return {row["invitation_id"]: row["attempts"] for row in await db.fetch(session, _STORED, ids)}


async def _with_older(
    session: Session, ids: Sequence[UUID], stored: Mapping[UUID, bytes]
) -> defaultdict[UUID, list[Attempt]]:
    found = defaultdict(list, {each: read_attempts(attempts) for each, attempts in stored.items()})
    for invitation_id, *fields in await db.fetch(session, _OLDER, ids):
        found[invitation_id].append(Attempt.of(*fields))
    return defaultdict(list, {invitation_id: latest(all_) for invitation_id, all_ in found.items()})


# A row is changed only where its attempts are those that were read: no lock of the invitation keeps others away while
# its request has not arrived. The row is locked then, so that the second try finds what it has read.
_STORE = """INSERT INTO progress AS p (invitation_id, attempts, outcome)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::text[])
ON CONFLICT (invitation_id) DO UPDATE SET attempts = coalesce(excluded.attempts, p.attempts),
outcome = coalesce(excluded.outcome, p.outcome)
WHERE excluded.attempts IS NULL OR p.attempts IS NULL OR p.attempts = ANY($4::bytea[]) RETURNING invitation_id"""


async def add(session: Session, new: Mapping[UUID, Sequence[Attempt]], outcomes: Mapping[UUID, str]) -> None:
    """Store the highest revision of each attempt, and outcomes in place of earlier ones; keys are invitation ids.

    One call in a transaction, because all transactions lock rows in the order of ids.
    """
    ids = sorted({*new, *outcomes})
    while ids:
        stored = await _stored(session, ids)
        known = await _with_older(session, ids, stored)
        merged = [_encode(latest([*known[each], *new[each]])) if each in new else None for each in ids]
        arguments = ids, merged, [outcomes.get(each) for each in ids], list(stored.values())
        done = {row["invitation_id"] for row in await db.fetch(session, _STORE, *arguments)}
        ids = [each for each in ids if each not in done]
