"""What moved between two periods: the whole score, and stores, regions, channels and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.scoring.domain.changes import (
    PRAISE,
    REASON,
    ScoreChange,
    ScoreChanges,
    SeriesKey,
    each_cause_once,
    reasons_named_more,
    significant_changes,
    without_parts,
)
from services.scoring.domain.compared_days import ComparedDays, compared_days
from services.scoring.domain.comparison import ScoreDifference, difference
from services.scoring.domain.funnel import reason_changes, reason_series
from services.scoring.domain.periods import Against, Days
from services.scoring.domain.score import FEW, Definition, Figure, Tally
from services.scoring.domain.slices import Slice
from services.scoring.repository.scores import comparisons, figures, journeys
from shared.database.session import Session

MOST_CAUSES = 4


@dataclass(frozen=True, slots=True)
class Cause:
    """A change of one store, region or channel, and the reasons that are named more often in it than before."""

    change: ScoreChange
    reasons: Sequence[ScoreChange]


@dataclass(frozen=True, slots=True)
class Moved:
    """What changed significantly between the compared days, largest first; `more` is how many causes are left out.

    `reasons` are of the whole: those that changed significantly without the causes, too. Of `compared` series
    `by_chance` are expected to have changed by chance alone.
    """

    days: ComparedDays
    before: Figure
    after: Figure
    difference: ScoreDifference | None
    causes: Sequence[Cause]
    more: int
    reasons: Sequence[ScoreChange]
    compared: int
    by_chance: float


async def find_compared_days(session: Session, selected: Slice, *, days: Days, against: Against) -> ComparedDays | None:
    """Find the periods of the slice that are compared; None where too few answers were given."""
    every_answer = replace(selected, definition=Definition.EVERY_ANSWER)
    answers: dict[date, int] = {}
    for part in {Days(days.before.first, days.last), days.against(against)}:
        by_day = await figures.series(session, every_answer.during(part), period="day")
        answers |= {date.fromisoformat(each.period): each.tally.n for each in by_day if each.period}
    return compared_days(days, against, answers)


async def read(session: Session, selected: Slice, compared: ComparedDays) -> Moved:
    """Compare the whole slice; its stores, regions and channels unless it is a segment; its reasons."""
    before, after = [await figures.whole(session, selected.during(days)) for days in (compared.then, compared.now)]
    changes, once = await _changes_of_values(session, selected, compared)
    series = [(each, await _reason_series(session, selected, each, compared)) for each in once[:MOST_CAUSES]]
    causes = [Cause(each, reasons_named_more(*of_it, praise=each.difference.points > 0)) for each, of_it in series]
    of_reasons = [each for each in changes.significant if each.dimension in (REASON, PRAISE)]
    if series:
        whole = await _reason_series(session, selected, None, compared)
        disjoint = [of_it for each, of_it in series if each.dimension == series[0][0].dimension]
        left = {each.series for each in without_parts(whole, disjoint).significant}
        of_reasons = [each for each in of_reasons if each.series in left]
    return Moved(
        compared,
        before,
        after,
        difference(before.tally, after.tally),
        causes,
        len(once) - len(causes),
        of_reasons,
        changes.compared,
        changes.by_chance,
    )


async def _changes_of_values(
    session: Session, selected: Slice, compared: ComparedDays
) -> tuple[ScoreChanges, list[ScoreChange]]:
    """Return all changes, and those of stores, regions and channels with each cause once."""
    before, after = [
        {} if selected.segment else await comparisons.tallies(session, selected.during(days))
        for days in (compared.then, compared.now)
    ]
    changes = significant_changes(before, after)
    once = each_cause_once(changes, before, after)
    if not selected.is_whole:  # buckets hold reasons of the whole only
        then, now = [await journeys.sums(session, selected.during(days)) for days in (compared.then, compared.now)]
        reasons = reason_changes(then, now)
        changes = ScoreChanges(changes.compared + reasons.compared, [*changes.significant, *reasons.significant])
    return changes, once


async def _reason_series(
    session: Session, selected: Slice, part: ScoreChange | None, compared: ComparedDays
) -> tuple[Mapping[SeriesKey, Tally], Mapping[SeriesKey, Tally]]:
    """Read the answers that name each reason in both periods: of the store, region or channel, or of the slice."""
    of_part = replace(selected, segment=part.series) if part else selected
    then, now = [await journeys.sums(session, of_part.during(days)) for days in (compared.then, compared.now)]
    return reason_series(then), reason_series(now)


async def of_values(
    session: Session, selected: Slice, dimension: str, compared: ComparedDays
) -> Mapping[str, ScoreDifference]:
    """Compare each value of a dimension that has FEW answers in both periods."""
    then, now = [
        {
            each.value: each.tally
            for each in await figures.series(session, selected.during(days), dimensions=[dimension])
        }
        for days in (compared.then, compared.now)
    ]
    return {
        value: changed
        for value, tally in now.items()
        if value in then and min(tally.n, then[value].n) >= FEW and (changed := difference(then[value], tally))
    }
