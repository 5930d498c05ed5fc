"""What moved between two periods: the values of a dimension whose score, or reasons whose share, really changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.scoring.domain.comparison import Proportion, ScoreDifference, difference, proportion_difference
from services.scoring.domain.score import FEW, Tally

SeriesKey = tuple[str, str]  # dimension, value
WHOLE: SeriesKey = ("all", "")
REASON = "reason"  # ticked by passives and detractors
PRAISE = "praise"  # ticked by promoters, who read another list


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """`before` and `after` are scores, or of a reason the percentage of all answers that ticked it."""

    dimension: str
    value: str
    before: float
    after: float
    difference: ScoreDifference


@dataclass(frozen=True, slots=True)
class ScoreChanges:
    """What changed significantly, surest first. Of `compared` series one in twenty would by chance alone."""

    compared: int = 0
    significant: list[ScoreChange] = field(default_factory=list)

    @property
    def by_chance(self) -> float:
        return self.compared / 20


def significant_changes(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int = FEW
) -> ScoreChanges:
    """Compare what has `enough` answers in both periods; a reason as a share of WHOLE, which is itself not compared."""
    compared = list(_compare(before, after, enough=enough))
    significant = [each for each in compared if each.difference.significant]
    return ScoreChanges(
        len(compared), sorted(significant, key=lambda each: (each.difference.p_value, each.dimension, each.value))
    )


def _compare(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int
) -> Iterator[ScoreChange]:
    answers = before.get(WHOLE, Tally()).n, after.get(WHOLE, Tally()).n
    for series in sorted({*before, *after} - {WHOLE}):
        old, new = before.get(series, Tally()), after.get(series, Tally())
        if series[0] == REASON and min(answers) >= enough:
            yield from _ticked(series[1], old, new, answers)
        elif series[0] != REASON and min(old.n, new.n) >= enough and (changed := difference(old, new)):
            yield ScoreChange(*series, score_of(old), score_of(new), changed)


def _ticked(reason: str, old: Tally, new: Tally, answers: tuple[int, int]) -> Iterator[ScoreChange]:
    praised = old.promoters, new.promoters
    for dimension, ticked in ((REASON, (old.n - praised[0], new.n - praised[1])), (PRAISE, praised)):
        then, now = (Proportion(count, of) for count, of in zip(ticked, answers, strict=True))
        if any(ticked) and (changed := proportion_difference(then, now)):
            yield ScoreChange(dimension, reason, then.percent, now.percent, changed)


def score_of(tally: Tally) -> float:
    return 100 * (tally.promoters - tally.detractors) / max(tally.n, 1)
