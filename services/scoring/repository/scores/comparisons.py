"""Comparisons of scores: of two periods, and before and after an annotated day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.scoring.domain.changes import REASON, WHOLE, ScoreChanges, SeriesKey, significant_changes
from services.scoring.domain.comparison import ScoreDifference, difference
from services.scoring.domain.periods import Days
from services.scoring.domain.score import Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.repository.annotations import Annotation
from services.scoring.repository.scores import figures
from shared.database.session import Session

COMPARED_DIMENSIONS = (WHOLE[0], "store", "region", "channel", REASON)


async def changes(session: Session, selected: Slice, *, now: Days, then: Days) -> ScoreChanges:
    """Find the stores, regions, channels and reasons that changed significantly between two periods."""
    before, after = [await tallies(session, selected.during(days)) for days in (then, now)]
    return significant_changes(before, after)


async def tallies(session: Session, selected: Slice) -> dict[SeriesKey, Tally]:
    """Count the answers of everything that is compared."""
    return await figures.tallies(session, selected, COMPARED_DIMENSIONS)


@dataclass(frozen=True, slots=True)
class AnnotationEffect:
    """The scores of equally many days before an annotated day and from it on, within the period."""

    annotation: Annotation
    before: Figure
    after: Figure
    difference: ScoreDifference | None


async def effects(
    session: Session, selected: Slice, annotations: Sequence[Annotation], *, days: Days
) -> list[AnnotationEffect]:
    """Compare the score from each annotated day on with the score before it."""
    compared = []
    for annotation in annotations:
        halves = days.around(annotation.day)
        before, after = (
            [await figures.whole(session, selected.during(half)) for half in halves] if halves else [Figure()] * 2
        )
        compared.append(AnnotationEffect(annotation, before, after, difference(before.tally, after.tally)))
    return compared
