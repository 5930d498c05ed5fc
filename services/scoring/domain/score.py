"""Net Promoter Score of counted answers, and how far it can be trusted.

Adjusted Wald: J. Sauro and J. Lewis, "A Comparison of Confidence Intervals for the Net Promoter Score" (2021): add
3/4 promoter, 3/2 passives and 3/4 detractor, then take the plain Wald interval of a difference of proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Self

CONFIDENCE = 0.95
FEW = 30  # under so many answers the answers themselves say more than their score


@dataclass(frozen=True, slots=True)
class Interval:
    """Score points, -100 to 100."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Counted answers: `by_score` 0 to 10, `operators` of them typed by an operator; `suspects` are not in it."""

    by_score: tuple[int, ...] = (0,) * 11
    operators: int = 0
    suspects: int = 0

    @classmethod
    def of_one(cls, score: int, *, operator: bool = False, suspect: bool = False) -> Self:
        if suspect:
            return cls(suspects=1)
        return cls(tuple(int(score == each) for each in range(11)), operators=int(operator))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            tuple(a + b for a, b in zip(self.by_score, other.by_score, strict=True)),
            self.operators + other.operators,
            self.suspects + other.suspects,
        )

    def __neg__(self) -> Tally:
        return self * -1

    def __sub__(self, other: Tally) -> Tally:
        return self + -other

    def __mul__(self, times: int) -> Tally:
        return Tally(tuple(count * times for count in self.by_score), self.operators * times, self.suspects * times)

    @property
    def n(self) -> int:
        return sum(self.by_score)

    @property
    def promoters(self) -> int:
        return sum(self.by_score[9:])

    @property
    def passives(self) -> int:
        return sum(self.by_score[7:9])

    @property
    def detractors(self) -> int:
        return sum(self.by_score[:7])


@dataclass(frozen=True, slots=True)
class Figure:
    """One series over one period; `invited` and `answered` are of those who were asked in it."""

    value: str = ""
    period: str | None = None
    tally: Tally = Tally()
    invited: int = 0
    answered: int = 0

    @property
    def nps(self) -> float | None:
        return nps(self.tally)

    @property
    def interval(self) -> Interval | None:
        return adjusted_wald(self.tally)

    @property
    def response_rate(self) -> float | None:
        return self.answered / self.invited if self.invited else None

    @property
    def silent(self) -> int:
        return self.invited - self.answered


def nps(tally: Tally) -> float | None:
    """Share of promoters less share of detractors in points; None without answers."""
    return 100 * (tally.promoters - tally.detractors) / tally.n if tally.n else None


def wald(tally: Tally, *, confidence: float = CONFIDENCE) -> Interval | None:
    if not tally.n:
        return None
    return _interval(tally.promoters, tally.detractors, tally.n, confidence=confidence)


def adjusted_wald(tally: Tally, *, confidence: float = CONFIDENCE) -> Interval | None:
    if not tally.n:
        return None
    return _interval(tally.promoters + 0.75, tally.detractors + 0.75, tally.n + 3, confidence=confidence)


def _interval(promoters: float, detractors: float, n: float, *, confidence: float) -> Interval:
    p, d = promoters / n, detractors / n
    deviations = NormalDist().inv_cdf((1 + confidence) / 2)
    half = deviations * sqrt(max(p + d - (p - d) ** 2, 0.0) / n)
    return Interval(max(100 * (p - d - half), -100.0), min(100 * (p - d + half), 100.0))


def bounds(tally: Tally, *, silent: int) -> Interval | None:
    """Where the score would be had all the silent been detractors, or all promoters."""
    everybody = tally.n + silent
    if not everybody:
        return None
    lead = tally.promoters - tally.detractors
    return Interval(100 * (lead - silent) / everybody, 100 * (lead + silent) / everybody)
