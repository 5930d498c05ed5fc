"""Scores held against each other: this period and another, before and after an annotated day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.changes import REASON, WHOLE, Moves, what_moved
from services.scoring.domain.comparison import Difference, difference
from services.scoring.domain.periods import Days
from services.scoring.domain.score import Figure
from services.scoring.domain.slices import Slice
from services.scoring.repository.annotations import Annotation
from services.scoring.repository.scores import figures

MOVING = ("store", "region", "channel", REASON)


def of_days(which: Slice, days: Days) -> Slice:
    return replace(which, first=days.first, last=days.last)


async def moves(session: AsyncSession, which: Slice, *, now: Days, then: Days) -> Moves:
    """Say which stores, regions, channels and reasons changed from one period to the other."""
    before, after = [await figures.tallies(session, of_days(which, days), [WHOLE[0], *MOVING]) for days in (then, now)]
    return what_moved(before, after)


@dataclass(frozen=True, slots=True)
class Effect:
    """What an annotation changed: as many days before as after, as far as the period reaches."""

    annotation: Annotation
    before: Figure
    after: Figure
    difference: Difference | None


async def effects(
    session: AsyncSession, which: Slice, annotations: Sequence[Annotation], *, days: Days
) -> list[Effect]:
    """Hold the score after each annotated day against the one before it."""
    found = []
    for annotation in annotations:
        halves = days.around(annotation.day)
        before, after = (
            [await figures.whole(session, of_days(which, half)) for half in halves] if halves else [Figure()] * 2
        )
        found.append(Effect(annotation, before, after, difference(before.tally, after.tally)))
    return found
