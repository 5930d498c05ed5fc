"""Numbers of journey parts: the row of an invitation names by number what it adds to the counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from services.scoring.domain.journeys import JourneyPart, JourneyParts
from shared.database import db
from shared.database.session import Session

_ALL = "SELECT id, stage, detail FROM part_numbers"
_ADD = """INSERT INTO part_numbers (stage, detail) SELECT * FROM unnest($1::text[], $2::text[])
RETURNING id, stage, detail"""
_decode = msgspec.msgpack.Decoder(dict[int, Decimal]).decode


async def reader(session: Session) -> Callable[[bytes], JourneyParts]:
    """Return a function that reads stored parts; it raises msgspec.DecodeError, and KeyError for an unknown number."""
    parts = {row["id"]: JourneyPart(row["stage"], row["detail"]) for row in await db.fetch(session, _ALL)}
    return lambda stored: {parts[number]: amount for number, amount in _decode(stored).items()}


async def write(session: Session, counted: Iterable[JourneyParts]) -> list[bytes]:
    """Encode parts, with numbers for new ones. Only one process at a time does this."""
    all_ = list(counted)
    numbers = {JourneyPart(row["stage"], row["detail"]): row["id"] for row in await db.fetch(session, _ALL)}
    if new := sorted({part for parts in all_ for part in parts} - numbers.keys()):
        rows = await db.fetch(session, _ADD, [part.stage for part in new], [part.detail for part in new])
        numbers |= {JourneyPart(row["stage"], row["detail"]): row["id"] for row in rows}
    return [msgspec.msgpack.encode({numbers[part]: amount for part, amount in parts.items()}) for parts in all_]
