"""Scores that operators typed beside those of customers: the test, its adjustment, and how often it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations, product
from random import Random
from statistics import NormalDist, mean, pvariance

import pytest

from services.scoring.domain.calling.score_bias import ByScore, Stratum, compare, holm, van_elteren

STORES = {"Arbat": (1, 0, 1, 0, 1, 2, 2, 4, 8, 9, 12), "Nevsky": (6, 2, 3, 3, 3, 5, 5, 6, 6, 4, 3)}  # weights by score


def counted(scores: Sequence[int]) -> ByScore:
    count = Counter(scores)
    return tuple(count[score] for score in range(11))


def ranks(scores: Sequence[int]) -> list[float]:
    """Return the mean rank of each score."""
    ordered = sorted(scores)
    return [mean(place + 1 for place, other in enumerate(ordered) if other == score) for score in scores]


def rank_sums(strata: Sequence[tuple[Sequence[int], int]]) -> Iterator[float]:
    """Yield the weighted sum of ranks for every way to choose who typed; given are scores and how many are typed."""
    ways = [[sum(each) / (len(scores) + 1) for each in combinations(ranks(scores), own)] for scores, own in strata]
    return map(sum, product(*ways))


def test_p_value_is_that_of_all_ways_to_choose_who_typed() -> None:
    strata = [([10, 9, 3, 3, 8, 9], 2), ([0, 5, 5, 10, 7], 3)]  # the first ones are typed
    sums = list(rank_sums(strata))
    seen, expected = sums[0], mean(sums)
    z = abs(seen - expected) / pvariance(sums) ** 0.5
    given = [Stratum(counted(scores[:own]), counted(scores[own:])) for scores, own in strata]
    assert van_elteren(given) == pytest.approx(2 * (1 - NormalDist().cdf(z)))


def test_scores_that_are_all_equal_do_not_differ() -> None:
    assert van_elteren([Stratum(counted([9] * 40), counted([9] * 50))]) == 1.0


def test_p_values_are_adjusted_for_their_number() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_store_with_lower_scores_is_no_bias() -> None:
    """The operator calls mostly for the store whose customers are less content, and types what they say."""
    random = Random(1)
    themselves: dict[Hashable, ByScore] = {store: drawn(random, store, 300) for store in STORES}
    [bias] = compare(
        {"Anna": {"Nevsky": drawn(random, "Nevsky", 100), "Arbat": drawn(random, "Arbat", 10)}}, themselves
    )
    assert not bias.differs
    assert bias.nps_of_themselves == pytest.approx(
        100 / 110 * nps(themselves["Nevsky"]) + 10 / 110 * nps(themselves["Arbat"])
    )


def nps(counts: ByScore) -> float:
    return 100 * (sum(counts[9:]) - sum(counts[:7])) / sum(counts)


def test_fewer_than_30_answers_that_can_be_compared_are_too_few() -> None:
    themselves: dict[Hashable, ByScore] = {"Arbat": counted([0] * 40)}
    typed: dict[Hashable, ByScore] = {"Arbat": counted([10] * 29), "Nevsky": counted([10] * 500)}
    [bias] = compare({"Anna": typed}, themselves)
    assert (bias.answers, bias.typed.n, bias.p_value, bias.differs) == (529, 29, None, False)
    [bias] = compare({"Anna": {"Arbat": counted([10] * 30)}}, themselves)
    assert bias.differs
    assert bias.higher == 1.0
    [bias] = compare({"Anna": {"Arbat": counted([10] * 30)}}, {"Arbat": counted([0] * 29)})
    assert bias.p_value is None


def test_operator_of_stores_without_other_answers_is_not_compared() -> None:
    [bias] = compare({"Anna": {"Arbat": counted([9] * 50)}}, {})
    assert (bias.answers, bias.typed.n, bias.p_value, bias.nps_of_themselves) == (50, 0, None, None)


def drawn(random: Random, store: str, n: int) -> ByScore:
    return counted(random.choices(range(11), STORES[store], k=n))


def kinder(counts: ByScore, share: float) -> ByScore:
    """Return the counts after a share of each score below 9 became a 9."""
    moved = [round(count * share) for count in counts[:9]]
    return (*(count - gone for count, gone in zip(counts, moved, strict=False)), counts[9] + sum(moved), counts[10])


def month(random: Random, *, biased: float = 0.0) -> set[str]:
    """Return who is flagged of six operators, the first of whom is `biased`."""
    themselves: dict[Hashable, ByScore] = {store: drawn(random, store, 150) for store in STORES}
    typed: dict[str, Mapping[Hashable, ByScore]] = {
        f"Operator {number}": {store: drawn(random, store, 20 + 15 * number) for store in STORES}
        for number in range(1, 7)
    }
    first = typed["Operator 6"]
    typed["Operator 6"] = {store: kinder(counts, biased) for store, counts in first.items()}
    return {each.operator for each in compare(typed, themselves) if each.differs}


def test_without_a_bias_at_most_one_month_of_twenty_flags_somebody() -> None:
    random, months = Random(20), 1000
    assert sum(bool(month(random)) for _ in range(months)) / months <= 0.05


def test_operator_who_lifts_two_scores_of_five_is_found() -> None:
    random, months = Random(21), 200
    assert sum("Operator 6" in month(random, biased=0.4) for _ in range(months)) / months >= 0.9
