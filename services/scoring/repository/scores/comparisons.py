"""Scores held against each other: this period and another, before and after an annotated day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.domain.changes import REASON, WHOLE, ScoreChanges, significant_changes
from services.scoring.domain.comparison import ScoreDifference, difference
from services.scoring.domain.periods import Days
from services.scoring.domain.score import Figure
from services.scoring.domain.slices import Slice
from services.scoring.repository.annotations import Annotation
from services.scoring.repository.scores import figures

COMPARED_DIMENSIONS = (WHOLE[0], "store", "region", "channel", REASON)


async def changes(session: AsyncSession, which: Slice, *, now: Days, then: Days) -> ScoreChanges:
    """Say which stores, regions, channels and reasons changed from one period to the other."""
    before, after = [
        await figures.tallies(session, which.during(days), [WHOLE[0], *COMPARED_DIMENSIONS]) for days in (then, now)
    ]
    return significant_changes(before, after)


@dataclass(frozen=True, slots=True)
class AnnotationEffect:
    """What an annotation changed: as many days before as after, as far as the period reaches."""

    annotation: Annotation
    before: Figure
    after: Figure
    difference: ScoreDifference | None


async def effects(
    session: AsyncSession, which: Slice, annotations: Sequence[Annotation], *, days: Days
) -> list[AnnotationEffect]:
    """Hold the score after each annotated day against the one before it."""
    found = []
    for annotation in annotations:
        halves = days.around(annotation.day)
        before, after = (
            [await figures.whole(session, which.during(half)) for half in halves] if halves else [Figure()] * 2
        )
        found.append(AnnotationEffect(annotation, before, after, difference(before.tally, after.tally)))
    return found
