"""Decisions: one for each event. Keys of the events are kept for ever, so that a repeated event is recognized."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import asyncpg
import msgspec

from services.trigger import models
from services.trigger.domain import shapes as shaping
from services.trigger.domain.deciding.stored_decision import EventKey, StoredDecision
from services.trigger.repository import new_rows, shapes
from services.trigger.repository.new_rows import Raced
from shared.contract.vocabulary import Service
from shared.database import compact_rows, db, partitions
from shared.database.session import Session

_AS_NUMBER = attrgetter("int")
_DIGEST_BYTES = 16  # of a compact row: as many are compared
_JSON = msgspec.json.Encoder()

# the values of a trail that differ from decision to decision
_OWN = frozenset(
    [
        "ahead_s",
        "day",
        "decided_by",
        "delivered_at",
        "drawn",
        "event_time",
        "found",
        "invitation",
        "last_asked_at",
        "reversed_at",
        "same_address_as",
        "send_at",
        "until",
    ]
)

_COLUMNS = tuple(column.name for column in models.decisions.columns)

SELECTED = f"""{", ".join(f"d.{name}" for name in _COLUMNS if name != "shape")},
(SELECT document FROM shapes WHERE digest = d.shape) AS shape"""  # noqa: S608 - column names only

# without the limits, PostgreSQL would scan whole tables while they are small
_KNOWN = """SELECT wanted.source, wanted.event_id
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS wanted (source, event_id, key)
LEFT JOIN LATERAL (SELECT true AS found FROM event_keys AS k WHERE k.key = wanted.key LIMIT 1) AS k ON true
LEFT JOIN LATERAL (SELECT true AS found FROM decisions_first AS f
    WHERE f.event_id = wanted.event_id AND f.source = wanted.source LIMIT 1) AS f ON true
WHERE k.found OR f.found"""

_FIND = f"""SELECT d.* FROM unnest($1::text[], $2::text[]) AS wanted (source, event_id)
CROSS JOIN LATERAL (SELECT {SELECTED} FROM decisions AS d WHERE d.event_id = wanted.event_id
AND d.source = wanted.source LIMIT 1) AS d"""  # noqa: S608 - column names only

_SOURCES = """SELECT DISTINCT respondent_id, source FROM decisions
WHERE respondent_id = ANY($1::text[]) AND source <> ALL($2::text[])"""


async def find(session: Session, keys: Collection[EventKey]) -> dict[EventKey, StoredDecision | None]:
    """Return the decisions about the events that were decided before; None for one that is past retention."""
    if not keys:
        return {}
    hashes = [key.hash for key in keys]
    known = [EventKey(*row) for row in await db.fetch(session, _KNOWN, *zip(*keys, strict=True), hashes)]
    rows = await db.fetch(session, _FIND, *zip(*known, strict=True)) if known else []
    return {**dict.fromkeys(known), **{decision.key: decision for decision in map(decision_of, rows)}}


async def sources_of(session: Session, respondents: Collection[str]) -> dict[str, set[str]]:
    """Return the sources of the events about these respondents, without our own services."""
    found: dict[str, set[str]] = defaultdict(set)
    own = [service.source for service in Service]
    for row in await db.fetch(session, _SOURCES, list(respondents), own) if respondents else []:
        found[row["respondent_id"]].add(row["source"])
    return found


async def add(session: Session, decisions: Sequence[StoredDecision]) -> None:
    """Store new decisions and the keys of their events; raises Raced."""
    keys = sorted((each.key.hash for each in decisions), key=_AS_NUMBER)  # in every transaction, to avoid deadlocks
    await new_rows.add(session, "event_keys", ("key",), [(key,) for key in keys])
    trails = [shapes.shaped(_shared_part(d), own=_OWN) for d in decisions]
    await shapes.add(session, trails)
    compact = bool(decisions) and await compact_rows.are_on(session)
    # in the order of their ids: pages of the index become full
    rows = [_row(d, trail, compact=compact) for d, trail in zip(decisions, trails, strict=True)]
    try:
        await new_rows.add(session, "decisions", _COLUMNS, rows)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name:
            raise
        await partitions.make_for(session, "decisions", [d.id for d in decisions])
        raise Raced("no partition had these decisions") from None


def _row(d: StoredDecision, trail: shapes.Shaped, *, compact: bool) -> tuple[Any, ...]:
    return (
        d.id,
        d.source,
        d.event_id,
        d.digest[:_DIGEST_BYTES] if compact else d.digest,
        "",
        d.respondent_id,
        d.subject,
        d.event_time,
        d.decided_at,
        d.reason,
        None,
        None,
        d.invitation_id,
        None if compact else "[]",
        _JSON.encode(d.ignored).decode() if d.ignored else None,
        trail.digest,
        None if compact and trail.values == f"[{_in_json(d.decided_at)}]" else trail.values,
    )


def _in_json(moment: datetime) -> str:
    return _JSON.encode(moment).decode()


async def search(
    session: Session, *, respondents: Collection[str] | None, event_id: str | None, limit: int | None
) -> list[StoredDecision]:
    """Find the decisions about these respondents or an event, newest first; without a limit all of them."""
    wanted = {"respondent_id = ANY(${}::text[])": respondents and list(respondents), "event_id = ${}": event_id}
    given = {condition: value for condition, value in wanted.items() if value is not None}
    where = " AND ".join(condition.format(place) for place, condition in enumerate(given, 2)) or "true"
    sql = f"SELECT {SELECTED} FROM decisions AS d WHERE {where} ORDER BY d.id DESC LIMIT $1"  # noqa: S608 - see above
    return [decision_of(row) for row in await db.fetch(session, sql, limit, *given.values())]


def decision_of(row: db.Row) -> StoredDecision:
    """Return the decision of a row of SELECTED."""
    fields = dict(row)
    shape, values = fields.pop("shape"), fields.pop("own_values")
    if shape is None:
        return StoredDecision(**fields)
    # a compact row without values has one, the time of the decision, or none
    given = [_in_json(row["decided_at"]).strip('"')] if values is None else values
    return StoredDecision(**{**fields, **shaping.joined(shape, given)})


def _shared_part(decision: StoredDecision) -> dict[str, Any]:
    return {
        "type": decision.type,
        "program_id": decision.program_id,
        "program_version": decision.program_version,
        "trail": decision.trail,
    }
