"""Counters of funnel and returns by the day of the invitation, and what each invitation has added to them.

A transaction that changes a fact of an invitation also adds its id to `uncounted`. One process at a time takes
these ids, computes what each invitation contributes now, and adds the difference to its stored contribution. So no scan
of invitations is needed, and facts may arrive in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.scoring.domain.dimensions import invited_keys
from services.scoring.domain.journeys import (
    Attempt,
    Journey,
    JourneyAnswer,
    JourneyPart,
    JourneyParts,
    Purchase,
    ReachedContact,
    journey_parts,
    segment_parts,
)
from services.scoring.domain.slices import Slice
from services.scoring.repository import progress
from services.scoring.repository.invitations import trigger_event
from services.scoring.repository.scores import part_numbers
from shared.contract.events import RespondentPurchased
from shared.contract.vocabulary import Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session


class JourneyCounter(NamedTuple):
    program: str
    dimension: str
    value: str
    day: date
    stage: str
    detail: str


@dataclass(frozen=True, slots=True)
class JourneyCounts:
    """What one invitation contributes to the counters of its program and its segments on its day."""

    program: str
    dimensions: Mapping[str, str]
    day: date
    parts: JourneyParts

    @property
    def counters(self) -> dict[JourneyCounter, Decimal]:
        whole, *segments = invited_keys(self.program, self.dimensions, self.day)
        of_segments = segment_parts(self.parts)
        return {
            JourneyCounter(*key, *part): amount
            for key, of_key in [(whole, self.parts), *((key, of_segments) for key in segments)]
            for part, amount in of_key.items()
        }


def total(counted: Iterable[JourneyCounts]) -> defaultdict[JourneyCounter, Decimal]:
    """Sum the counters of invitations."""
    sums: defaultdict[JourneyCounter, Decimal] = defaultdict(Decimal)
    for each in counted:
        for counter, amount in each.counters.items():
            sums[counter] += amount
    return sums


_PENDING = "INSERT INTO uncounted (invitation_id) SELECT unnest($1::uuid[])"


async def mark_pending(session: Session, ids: Iterable[UUID]) -> None:
    """Have these invitations counted again, because a fact about them changed."""
    if unique := sorted(set(ids)):
        await db.fetch(session, _PENDING, unique)


_COUNTING = db.lock_number("scoring", "journeys")
_TAKE = """DELETE FROM uncounted WHERE id IN (SELECT id FROM uncounted ORDER BY id LIMIT $1)
RETURNING invitation_id"""


async def take_pending(session: Session, *, limit: int) -> set[UUID]:
    """Take invitations to be counted again; returns none while another process is counting."""
    if not (await db.fetch(session, "SELECT pg_try_advisory_xact_lock($1) AS ours", _COUNTING))[0]["ours"]:
        return set()
    return {row["invitation_id"] for row in await db.fetch(session, _TAKE, limit)}


_INVITATIONS = """SELECT i.id, i.program, i.dimensions, i.invited_day, i.time_zone, i.counted,
i.occasion::text, a.score, a.reasons, a.step, a.channel, coalesce(p.outcome, o.outcome) IS NOT NULL AS ended
FROM invitation_details i LEFT JOIN progress p ON p.invitation_id = i.id
LEFT JOIN answers a ON a.invitation_id = i.id AND NOT a.suspect
LEFT JOIN outcomes o ON o.invitation_id = i.id WHERE i.id = ANY($1::uuid[]) AND a.mode IS DISTINCT FROM 'imported'"""
_OPENED = """SELECT DISTINCT ON (invitation_id) invitation_id, step FROM page_views
WHERE invitation_id = ANY($1::uuid[]) AND NOT automatic ORDER BY invitation_id, at, id"""
_BOUGHT = """SELECT i.id, p.source, p.event_id, p.at, p.amount, p.currency
FROM invitations i JOIN purchases p USING (respondent_id) WHERE i.id = ANY($1::uuid[]) ORDER BY p.at"""


async def stop_counting(session: Session) -> None:
    """Keep every process from counting until the end of the transaction."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", _COUNTING)


async def current(session: Session, ids: Iterable[UUID]) -> dict[UUID, JourneyCounts]:
    """Compute what each counted invitation contributes by the facts stored now; keys are invitation ids."""
    invitations = list(ids)
    attempts = await progress.attempts(session, invitations)
    opened = {row["invitation_id"]: row["step"] for row in await db.fetch(session, _OPENED, invitations)}
    bought: defaultdict[UUID, list[Purchase]] = defaultdict(list)
    for row in await db.fetch(session, _BOUGHT, invitations):
        bought[row["id"]].append(Purchase(row["source"], row["event_id"], row["at"], row["amount"], row["currency"]))
    counts: dict[UUID, JourneyCounts] = {}
    for row in await db.fetch(session, _INVITATIONS, invitations):
        if not row["counted"]:
            continue
        with isolated("stored_invitation", service=Service.SCORING, invitation_id=str(row["id"])):
            journey = _journey(row, attempts[row["id"]], opened.get(row["id"]), bought[row["id"]])
            counts[row["id"]] = JourneyCounts(
                row["program"], row["dimensions"], row["invited_day"], journey_parts(journey)
            )
    return counts


def _journey(
    row: asyncpg.Record, attempts: Sequence[Attempt], opened: int | None, bought: Sequence[Purchase]
) -> Journey:
    answer = (
        None if row["score"] is None else JourneyAnswer(row["score"], row["step"], row["channel"] or "", row["reasons"])
    )
    reached = [ReachedContact(each.step, each.channel, each.at) for each in attempts if each.reached]
    occasion = trigger_event(row["occasion"])
    return Journey(occasion, row["time_zone"], reached, opened, answer, row["ended"], bought)


# `parts` were stored by versions before `progress`
_STORED = """SELECT i.id, i.program, i.dimensions, i.invited_day, p.counted, o.parts::text FROM invitations i
LEFT JOIN progress p ON p.invitation_id = i.id LEFT JOIN journey_parts o ON o.invitation_id = i.id
WHERE i.id = ANY($1::uuid[]) AND (p.counted IS NOT NULL OR o.parts IS NOT NULL)"""
_STORE = """INSERT INTO progress (invitation_id, counted) SELECT * FROM unnest($1::uuid[], $2::bytea[])
ON CONFLICT (invitation_id) DO UPDATE SET counted = excluded.counted"""
_DELETE_OLDER = "DELETE FROM journey_parts WHERE invitation_id = ANY($1::uuid[])"
_ADD = """INSERT INTO journeys AS j (program, dimension, value, day, stage, detail, amount)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::text[], $7::numeric[])
ON CONFLICT (program, dimension, value, day, stage, detail) DO UPDATE SET amount = j.amount + excluded.amount"""


async def stored(session: Session, ids: Iterable[UUID]) -> tuple[dict[UUID, JourneyCounts], set[UUID]]:
    """Read what invitations have contributed so far, and the ids of those whose contribution cannot be read."""
    found: dict[UUID, JourneyCounts] = {}
    unreadable: set[UUID] = set()
    read = await part_numbers.reader(session)
    for row in await db.fetch(session, _STORED, list(ids)):
        id_ = row["id"]
        with isolated("stored_journey", service=Service.SCORING, invitation_id=str(id_)) as guarded:
            parts = _of_before(row["parts"]) if row["counted"] is None else read(row["counted"])
            found[id_] = JourneyCounts(row["program"], row["dimensions"], row["invited_day"], parts)
        if guarded.error is not None:
            unreadable.add(id_)
    return found, unreadable


async def store(session: Session, changed: Mapping[UUID, JourneyCounts | None]) -> None:
    """Store the contributions of invitations; None for one that does not count any more."""
    if not changed:
        return
    counts = {each: of_it.parts for each, of_it in changed.items() if of_it is not None}
    written = dict(zip(counts, await part_numbers.write(session, counts.values()), strict=True))
    ids = sorted(changed)
    await db.fetch(session, _STORE, ids, [written.get(each) for each in ids])
    await db.fetch(session, _DELETE_OLDER, ids)


async def add(session: Session, changes: Mapping[JourneyCounter, Decimal]) -> None:
    if rows := [(*counter, amount) for counter, amount in sorted(changes.items()) if amount]:
        await db.fetch(session, _ADD, *(list(column) for column in zip(*rows, strict=True)))


_older_parts = msgspec.json.Decoder(list[tuple[str, str, Decimal]]).decode


def _of_before(stored: str) -> JourneyParts:
    return {JourneyPart(stage, detail): amount for stage, detail, amount in _older_parts(stored)}


_SUMS = """SELECT stage, detail, sum(amount) AS amount FROM journeys
WHERE ($1::text IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
AND dimension = $4 AND value = ANY($5::text[]) GROUP BY 1, 2"""


async def sums(session: Session, selected: Slice) -> JourneyParts:
    """Sum up the counters of a slice; empty for a segment that has none, such as `mode`."""
    if selected.counted_as is None:
        return {}
    rows = await db.fetch(session, _SUMS, *selected.days, *selected.counted_as)
    return {JourneyPart(*row[:2]): row["amount"] for row in rows}


_STORE_PURCHASES = """INSERT INTO purchases (source, event_id, respondent_id, at, amount, currency)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::text[])
ON CONFLICT DO NOTHING"""
_DELETE_PURCHASES = """DELETE FROM purchases USING unnest($1::text[], $2::text[]) AS gone (source, event_id)
WHERE purchases.source = gone.source AND purchases.event_id = gone.event_id"""
_MARK_BUYERS = """INSERT INTO uncounted (invitation_id)
SELECT id FROM invitations WHERE respondent_id = ANY($1::text[])"""


async def store_purchases(session: Session, bought: Sequence[RespondentPurchased]) -> None:
    """Store purchases, each event once, without cancelled ones; have their buyers' invitations counted again."""
    rows = [
        (p.event.source, p.event.id, p.respondent_id, p.event.time, p.event.amount, p.event.currency)
        for p in bought
        if not p.cancelled
    ]
    if rows:
        await db.fetch(session, _STORE_PURCHASES, *(list(column) for column in zip(*rows, strict=True)))
    if cancelled := [p.event for p in bought if p.cancelled]:
        gone = [event.source for event in cancelled], [event.id for event in cancelled]
        await db.fetch(session, _DELETE_PURCHASES, *gone)
    await db.fetch(session, _MARK_BUYERS, sorted({each.respondent_id for each in bought}))


_ALL = "SELECT id FROM invitations WHERE id > $1 ORDER BY id LIMIT $2"
_ALL_COUNTERS = "SELECT program, dimension, value, day, stage, detail, amount FROM journeys WHERE amount <> 0"


async def page(session: Session, after: UUID, *, limit: int) -> list[UUID]:
    return [row["id"] for row in await db.fetch(session, _ALL, after, limit)]


async def pending(session: Session) -> set[UUID]:
    return {row["invitation_id"] for row in await db.fetch(session, "SELECT invitation_id FROM uncounted")}


async def all_counters(session: Session) -> dict[JourneyCounter, Decimal]:
    return {JourneyCounter(*row[:6]): row["amount"] for row in await db.fetch(session, _ALL_COUNTERS)}
