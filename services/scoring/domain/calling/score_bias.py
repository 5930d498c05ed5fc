"""Whether the scores that an operator typed differ from those that customers gave themselves.

Compared are answers of the same program and store, by van Elteren's test: Wilcoxon's rank sums within each stratum,
weighted by 1 / (N + 1). P. van Elteren, "On the combination of independent two-sample tests of Wilcoxon", Bulletin of
the International Statistical Institute 37 (1960). Of all operators together at most 5 % of such pages flag somebody
without a difference: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
Statistics 6 (1979), which holds although all are compared with the same customers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist

from services.scoring.domain.score import CONFIDENCE, FEW, Tally

ByScore = tuple[int, ...]
"""Counts of answers, one for each score from 0 to 10."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Answers of one program and store: those that the operator typed and those that customers gave themselves."""

    typed: ByScore
    themselves: ByScore


@dataclass(frozen=True, slots=True)
class ScoreBias:
    """Scores of an operator beside those of customers, in the strata that have both.

    `themselves` are shares by score as they would be if customers answered in the operator's programs and stores as
    often as the operator typed answers there. `higher` is the probability that a typed score is higher than one of a
    customer in the same stratum, minus that it is lower. `p_value` is adjusted for the number of operators; None: there
    are too few answers to compare.
    """

    operator: str
    answers: int
    typed: Tally
    themselves: tuple[float, ...]
    higher: float
    p_value: float | None = None

    @property
    def differs(self) -> bool:
        return self.p_value is not None and self.p_value <= 1 - CONFIDENCE

    @property
    def nps_of_themselves(self) -> float | None:
        shares = self.themselves
        return 100 * (sum(shares[9:]) - sum(shares[:7])) if self.typed.n else None


def compare(typed: Mapping[str, Mapping[Hashable, ByScore]], themselves: Mapping[Hashable, ByScore]) -> list[ScoreBias]:
    """Compare each operator, whose counts are by stratum, with the customers, unless either has fewer than FEW answers.

    A stratum of somebody has at least one answer.
    """
    found, p_values = [], {}
    for operator, counts in sorted(typed.items()):
        strata = [Stratum(counts[key], themselves[key]) for key in counts if key in themselves]
        bias = _beside(operator, sum(map(sum, counts.values())), strata)
        found.append(bias)
        if min(bias.typed.n, sum(sum(each.themselves) for each in strata)) >= FEW:
            p_values[operator] = van_elteren(strata)
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [replace(each, p_value=adjusted.get(each.operator)) for each in found]


def _beside(operator: str, answers: int, strata: Sequence[Stratum]) -> ScoreBias:
    typed, shares, higher = [0] * 11, [0.0] * 11, 0.0
    n = sum(sum(each.typed) for each in strata)
    for each in strata:
        own, others = sum(each.typed), sum(each.themselves)
        higher += _lead(each) / (n * others)
        for score in range(11):
            typed[score] += each.typed[score]
            shares[score] += own / n * each.themselves[score] / others
    return ScoreBias(operator, answers, Tally(tuple(typed)), tuple(shares), higher)


def _lead(stratum: Stratum) -> float:
    """Return in how many pairs the typed score is higher than the customer's, less those in which it is lower."""
    below, lead, all_ = 0, 0, sum(stratum.themselves)
    for own, others in zip(stratum.typed, stratum.themselves, strict=True):
        lead += own * (below - (all_ - below - others))
        below += others
    return lead


def van_elteren(strata: Iterable[Stratum]) -> float:
    """Return the two-sided p-value, by the normal distribution with ties in the variance; 1 if all scores are equal."""
    total, variance = 0.0, 0.0
    for each in strata:
        own, others = sum(each.typed), sum(each.themselves)
        n, weight = own + others, 1 / (own + others + 1)
        both = [a + b for a, b in zip(each.typed, each.themselves, strict=True)]
        ties = sum(t**3 - t for t in both)
        total += weight * _lead(each) / 2  # the rank sum less its expectation
        variance += weight**2 * own * others / 12 * (n + 1 - ties / (n * (n - 1)))
    return 2 * NormalDist().cdf(-abs(total) / sqrt(variance)) if variance > 0 else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the same order."""
    adjusted, least = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted
