"""Significant changes between two periods: of the score of a value of a dimension, or of the share of a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.scoring.domain.comparison import Proportion, ScoreDifference, difference, proportion_difference
from services.scoring.domain.score import FEW, Tally

SeriesKey = tuple[str, str]  # dimension, value
WHOLE: SeriesKey = ("all", "")
REASON = "reason"  # the dimension of reasons; in a ScoreChange, only those ticked by passives and detractors
PRAISE = "praise"  # in a ScoreChange, reasons ticked by promoters, who are shown a list of their own


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """`before` and `after` are scores; for a reason, percentages of all answers that ticked it."""

    dimension: str
    value: str
    before: float
    after: float
    difference: ScoreDifference


@dataclass(frozen=True, slots=True)
class ScoreChanges:
    """Significant changes, the smallest p-value first; `compared` is how many series were tested."""

    compared: int = 0
    significant: list[ScoreChange] = field(default_factory=list)

    @property
    def by_chance(self) -> float:
        """How many of the compared series are expected to be significant by chance alone, at 95 %."""
        return self.compared / 20


def significant_changes(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int = FEW
) -> ScoreChanges:
    """Compare the score of every series that has at least `enough` answers in both periods, except WHOLE.

    Of reasons the share of all answers is compared, when the whole has `enough` answers in both periods.
    """
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
