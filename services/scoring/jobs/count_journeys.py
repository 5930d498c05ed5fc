"""Counts how far invitations came: whatever became known since the last tick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.repository import live_sequence
from services.scoring.repository.scores import journeys
from services.scoring.repository.scores.journeys import JourneyCounter, JourneyCounts

LIMIT = 2000


async def count_journeys(session: AsyncSession, *, now: datetime) -> int:  # noqa: ARG001 - a tick is told the time
    """Count changed invitations again; returns how many. One process at a time does it."""
    ids = await journeys.take_pending(session, limit=LIMIT)
    if not ids:
        return 0
    before, after = await journeys.stored(session, ids), await journeys.current(session, ids)
    await journeys.store(session, after, gone=before.keys() - after.keys())
    differences = total(after.values())
    for counter, amount in total(before.values()).items():
        differences[counter] -= amount
    await journeys.add(session, differences)
    await live_sequence.note(session, {counter.program for counter, amount in differences.items() if amount})
    return len(ids)


def total(counted: Iterable[JourneyCounts]) -> defaultdict[JourneyCounter, Decimal]:
    """Add up what invitations add."""
    sums: defaultdict[JourneyCounter, Decimal] = defaultdict(Decimal)
    for each in counted:
        for counter, amount in each.counters.items():
            sums[counter] += amount
    return sums
