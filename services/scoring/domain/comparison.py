"""The difference of two scores, and the sample size for a margin of error.

J. Lewis and J. Sauro, "How to Statistically Compare Two Net Promoter Scores" (2021): adjust both as for the adjusted
Wald interval, then test their difference against a normal distribution. Proportions: A. Agresti and B. Caffo, "Simple
and Effective Confidence Intervals for Proportions and Differences of Proportions", The American Statistician 54 (2000).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, hypot, sqrt
from statistics import NormalDist

from services.scoring.domain.score import CONFIDENCE, Estimate, ScoreInterval, Tally, deviations, nps


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """After minus before, in points; `p_value` is two-sided."""

    points: float
    interval: ScoreInterval
    p_value: float

    @property
    def significant(self) -> bool:
        return not self.interval.low <= 0 <= self.interval.high


def difference(before: Tally, after: Tally, *, confidence: float = CONFIDENCE) -> ScoreDifference | None:
    """Compare two scores of independent answers (Lewis and Sauro); None when either has no answers."""
    old, new = nps(before), nps(after)
    if old is None or new is None:
        return None
    was, is_ = Estimate.adjusted(before), Estimate.adjusted(after)
    return _difference(new - old, is_.score - was.score, hypot(was.error, is_.error), confidence=confidence, limit=200)


@dataclass(frozen=True, slots=True)
class Proportion:
    """`part` of `whole` answers."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        return 100 * self.part / self.whole if self.whole else 0.0


def proportion_difference(
    before: Proportion, after: Proportion, *, confidence: float = CONFIDENCE
) -> ScoreDifference | None:
    """Compare two proportions in percentage points (Agresti and Caffo); None when either has no answers."""
    if not (before.whole and after.whole):
        return None
    was, is_ = [(share.part + 1) / (share.whole + 2) for share in (before, after)]
    error = 100 * sqrt(was * (1 - was) / (before.whole + 2) + is_ * (1 - is_) / (after.whole + 2))
    points = after.percent - before.percent
    return _difference(points, 100 * (is_ - was), error, confidence=confidence, limit=100)


def _difference(points: float, adjusted: float, error: float, *, confidence: float, limit: float) -> ScoreDifference:
    half = deviations(confidence) * error
    interval = ScoreInterval(max(min(adjusted - half, points), -limit), min(max(adjusted + half, points), limit))
    return ScoreDifference(points, interval, 2 * (1 - NormalDist().cdf(abs(adjusted) / error)))


def smallest_sample(margin: float, *, like: Tally | None = None, confidence: float = CONFIDENCE) -> int:
    """Return how many answers an interval of ± `margin` points needs.

    Answers are assumed to be distributed as in `like`; without it, or without answers in it, in the worst case: half
    promoters, half detractors. Where `like` is nearly unanimous the formula gives too few: then it is the smallest
    number of such answers whose adjusted Wald interval is that narrow.
    """
    most = (100 * deviations(confidence) / margin) ** 2
    if like is None or not like.n:
        return max(ceil(most - 3), 1)
    by_formula = max(ceil(Estimate.plain(like).variance * most - 3), 1)
    candidates = range(by_formula, ceil(most) + 1)
    return candidates[
        bisect_left(candidates, True, key=lambda n: deviations(confidence) * _grown(like, n).error <= margin)
    ]


def _grown(like: Tally, answers: int) -> Estimate:
    """Return the adjusted estimate from so many answers that are distributed as in `like`."""
    times = answers / like.n
    return Estimate.of_counts(like.promoters * times + 0.75, like.detractors * times + 0.75, answers + 3)
