"""Net Promoter Score of counted answers, and its confidence interval.

Adjusted Wald: B. Rocks, "Interval Estimation for the Net Promoter Score", The American Statistician 70 (2016): add
3/4 promoter, 3/2 passives and 3/4 detractor, then take the plain Wald interval of a difference of proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import sqrt
from statistics import NormalDist
from typing import Self

from shared.contract.vocabulary import AnswerMode

CONFIDENCE = 0.95
FEWEST_OF_A_POINT = 10  # answers; a period with fewer is no point of a trend
FEW = 30  # with fewer answers pages show the answers before their score


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """Bounds in points: -100 to 100 for a score, -200 to 200 for the difference of two."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of answers: `by_score` has one count per score, 0 to 10; suspect answers are only in `suspects`.

    Of the answers in `by_score`, `operators` were typed by operators and `imported` were imported. Promoters and
    detractors among those typed by operators are counted too, so that a score without operators can be computed.
    """

    by_score: tuple[int, ...] = (0,) * 11
    operators: int = 0
    suspects: int = 0
    imported: int = 0
    operator_promoters: int = 0
    operator_detractors: int = 0

    @classmethod
    @cache
    def of_one(cls, score: int, *, mode: AnswerMode = AnswerMode.SELF, suspect: bool = False) -> Self:
        if suspect:
            return cls(suspects=1)
        by_score = tuple(int(score == each) for each in range(11))
        typed = int(mode is AnswerMode.OPERATOR)
        imported = int(mode is AnswerMode.IMPORTED)
        return cls(by_score, typed, 0, imported, typed * sum(by_score[9:]), typed * sum(by_score[:7]))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            tuple(a + b for a, b in zip(self.by_score, other.by_score, strict=True)),
            self.operators + other.operators,
            self.suspects + other.suspects,
            self.imported + other.imported,
            self.operator_promoters + other.operator_promoters,
            self.operator_detractors + other.operator_detractors,
        )

    def __neg__(self) -> Tally:
        return self * -1

    def __sub__(self, other: Tally) -> Tally:
        return self + -other

    def __mul__(self, times: int) -> Tally:
        by_score = tuple(count * times for count in self.by_score)
        return Tally(
            by_score,
            self.operators * times,
            self.suspects * times,
            self.imported * times,
            self.operator_promoters * times,
            self.operator_detractors * times,
        )

    @property
    def n(self) -> int:
        return sum(self.by_score)

    @property
    def themselves(self) -> int:
        """Answers that respondents typed themselves."""
        return self.n - self.operators - self.imported

    @property
    def nps_without_operators(self) -> float | None:
        others = self.n - self.operators
        lead = self.promoters - self.operator_promoters - (self.detractors - self.operator_detractors)
        return 100 * lead / others if others else None

    @property
    def promoters(self) -> int:
        return sum(self.by_score[9:])

    @property
    def passives(self) -> int:
        return sum(self.by_score[7:9])

    @property
    def detractors(self) -> int:
        return sum(self.by_score[:7])


class Definition(StrEnum):
    """Which answers count: all, or only the latest of each customer in the period."""

    EVERY_ANSWER = "every_answer"
    LATEST_PER_CUSTOMER = "latest_per_customer"


@dataclass(frozen=True, slots=True)
class Figure:
    """Counts of one series in one period; `values` has one value per dimension, `period` is the period's label.

    `tally` is by the day of the answer; `invited`, `answered` and `silent` are by the day of the invitation. Silent are
    those whose invitation ended without an answer; who may still answer is `waiting`.
    """

    values: tuple[str, ...] = ("",)
    period: str | None = None
    tally: Tally = Tally()
    invited: int = 0
    answered: int = 0
    silent: int = 0

    @property
    def value(self) -> str:
        return " × ".join(self.values)  # noqa: RUF001 - a multiplication sign

    @property
    def nps(self) -> float | None:
        return nps(self.tally)

    @property
    def interval(self) -> ScoreInterval | None:
        return adjusted_wald(self.tally)

    @property
    def is_point(self) -> bool:
        """Say whether there are enough answers for a point of a trend."""
        return self.tally.n >= FEWEST_OF_A_POINT

    @property
    def response_rate(self) -> float | None:
        """The share of answers among the invitations that are over."""
        return response_rate(self.answered, self.silent)

    @property
    def waiting(self) -> int:
        """Those who may still answer; at least 0, as silent ones are counted a moment later than answers."""
        return max(self.invited - self.answered - self.silent, 0)


def response_rate(answered: int, silent: int) -> float | None:
    """Return the share of answers among the invitations that are over; None while none is."""
    return answered / (answered + silent) if answered + silent else None


def nps(tally: Tally) -> float | None:
    """Percentage of promoters minus percentage of detractors, -100 to 100; None without answers.

    F. Reichheld, "The One Number You Need to Grow", Harvard Business Review, December 2003.
    """
    return 100 * (tally.promoters - tally.detractors) / tally.n if tally.n else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score in points, the variance of one answer (promoter 1, passive 0, detractor -1) and how many answers."""

    score: float
    variance: float
    n: float

    @classmethod
    def plain(cls, tally: Tally) -> Self:
        return cls.of_counts(tally.promoters, tally.detractors, tally.n)

    @classmethod
    def adjusted(cls, tally: Tally) -> Self:
        return cls.of_counts(tally.promoters + 0.75, tally.detractors + 0.75, tally.n + 3)

    @classmethod
    def of_counts(cls, promoters: float, detractors: float, n: float) -> Self:
        p, d = promoters / n, detractors / n
        return cls(100 * (p - d), max(p + d - (p - d) ** 2, 0.0), n)

    @property
    def error(self) -> float:
        """Standard error in points."""
        return 100 * sqrt(self.variance / self.n)


def deviations(confidence: float) -> float:
    """Return z, so that the share `confidence` of a normal distribution is within z standard deviations of its mean."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wald(tally: Tally, *, confidence: float = CONFIDENCE) -> ScoreInterval | None:
    return _interval(Estimate.plain(tally), tally, confidence=confidence) if tally.n else None


def adjusted_wald(tally: Tally, *, confidence: float = CONFIDENCE) -> ScoreInterval | None:
    return _interval(Estimate.adjusted(tally), tally, confidence=confidence) if tally.n else None


def _interval(estimate: Estimate, tally: Tally, *, confidence: float) -> ScoreInterval:
    """Cut the interval at ±100; widen it to include the score itself, which few unanimous answers would leave out."""
    half = deviations(confidence) * estimate.error
    score = 100 * (tally.promoters - tally.detractors) / tally.n
    return ScoreInterval(max(min(estimate.score - half, score), -100.0), min(max(estimate.score + half, score), 100.0))


def bounds(tally: Tally, *, silent: int) -> ScoreInterval | None:
    """Return the score if all `silent` were detractors, and if all were promoters; None when nobody was asked."""
    asked = tally.n + silent
    if not asked:
        return None
    lead = tally.promoters - tally.detractors
    return ScoreInterval(100 * (lead - silent) / asked, 100 * (lead + silent) / asked)
