"""Updates the funnel's counters for invitations that changed since the last run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.scoring.repository import live_sequence
from services.scoring.repository.scores import journeys
from services.scoring.repository.scores.journeys import JourneyCounts
from shared.database.session import Session

LIMIT = 2000


async def count_journeys(session: Session, *, now: datetime) -> int:  # noqa: ARG001 - every job gets the time
    """Count changed invitations again; returns how many. Only one process at a time does this."""
    ids = await journeys.take_pending(session, limit=LIMIT)
    if not ids:
        return 0
    before, unreadable = await journeys.stored(session, ids)
    after = await journeys.current(session, set(ids) - unreadable)
    await journeys.store(session, {each: after.get(each) for each in ids - unreadable if _changed(each, before, after)})
    differences = journeys.total(after.values())
    for counter, amount in journeys.total(before.values()).items():
        differences[counter] -= amount
    await journeys.add(session, differences)
    await live_sequence.note(session, {counter.program for counter, amount in differences.items() if amount})
    return len(ids)


def _changed(id_: UUID, before: Mapping[UUID, JourneyCounts], after: Mapping[UUID, JourneyCounts]) -> bool:
    return before.get(id_) != after.get(id_)
