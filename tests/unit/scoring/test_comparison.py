"""Differences, shares and samples against figures that can be found elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain.comparison import Proportion, difference, proportion_difference, smallest_sample
from services.scoring.domain.score import Tally, adjusted_wald, bounds, deviations, nps, wald

COUNTS = st.lists(st.integers(0, 500), min_size=11, max_size=11).map(tuple)
TALLIES = st.builds(Tally, COUNTS).filter(lambda tally: tally.n > 0)


def groups(promoters: int, passives: int, detractors: int) -> Tally:
    return Tally((detractors, 0, 0, 0, 0, 0, 0, 0, passives, 0, promoters))


def test_difference_of_two_scores_has_the_errors_of_both() -> None:
    before, after = groups(200, 100, 100), groups(240, 100, 60)
    found = difference(before, after)
    assert found is not None
    assert found.points == pytest.approx(20)
    # by hand: (240.75 - 60.75 - 200.75 + 100.75) / 403 = 19.85 points, standard error 5.536
    assert (found.interval.low, found.interval.high) == pytest.approx((9.00, 30.70), abs=0.01)
    assert found.p_value == pytest.approx(0.00032, abs=0.00002)
    assert found.significant


def test_few_answers_prove_no_difference() -> None:
    found = difference(groups(2, 0, 1), groups(0, 1, 2))
    assert found is not None
    assert not found.significant
    assert difference(Tally(), groups(1, 0, 0)) is None


def test_shares_are_compared_as_agresti_and_caffo_do() -> None:
    found = proportion_difference(Proportion(10, 100), Proportion(30, 100))
    assert found is not None
    assert found.points == pytest.approx(20)
    # p = 11/102 and 31/102: 19.61 points, standard error 5.49
    assert (found.interval.low, found.interval.high) == pytest.approx((8.85, 30.37), abs=0.01)
    assert proportion_difference(Proportion(0, 0), Proportion(1, 2)) is None


@pytest.mark.parametrize(("margin", "answers"), [(10, 382), (5, 1534), (1, 38412), (200, 1)])
def test_worst_case_sample_is_that_of_a_coin(margin: float, answers: int) -> None:
    """One answer varies by 1 at worst: (100 x 1.96 / margin)^2, less the three the adjustment adds."""
    assert smallest_sample(margin) == answers


@given(TALLIES)
def test_interval_holds_the_score_and_stays_on_the_scale(tally: Tally) -> None:
    score = nps(tally)
    for interval in (adjusted_wald(tally), wald(tally)):
        assert interval is not None
        assert score is not None
        assert -100 <= interval.low <= score + 1e-9
        assert score - 1e-9 <= interval.high <= 100


@given(TALLIES)
def test_more_of_the_same_answers_make_the_interval_narrower(tally: Tally) -> None:
    few, many = adjusted_wald(tally), adjusted_wald(tally * 10)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low


@given(TALLIES, TALLIES)
def test_difference_turns_around_with_its_periods(before: Tally, after: Tally) -> None:
    one, other = difference(before, after), difference(after, before)
    assert one is not None
    assert other is not None
    assert one.points == pytest.approx(-other.points)
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.p_value == pytest.approx(other.p_value)
    if one.significant:
        assert one.p_value < 0.0501


@given(TALLIES, st.floats(1, 60))
def test_smallest_sample_is_enough_and_one_less_is_not(like: Tally, margin: float) -> None:
    """Enough for the interval of so many answers distributed as now; the formula of the plain variance is the least."""
    n = smallest_sample(margin, like=like)
    z, p, d = deviations(0.95), like.promoters / like.n, like.detractors / like.n

    def reached(answers: int) -> float:
        more, less = (answers * p + 0.75) / (answers + 3), (answers * d + 0.75) / (answers + 3)
        return float(100 * z * ((more + less - (more - less) ** 2) / (answers + 3)) ** 0.5)

    by_formula = (p + d - (p - d) ** 2) * (100 * z / margin) ** 2 - 3
    assert reached(n) <= margin + 1e-6
    assert n >= by_formula
    assert n == 1 or n - 1 < by_formula or reached(n - 1) > margin - 1e-6


@given(TALLIES, st.integers(0, 5000))
def test_bounds_hold_whatever_the_silent_would_say(tally: Tally, silent: int) -> None:
    found = bounds(tally, silent=silent)
    heard = nps(tally + Tally.of_one(8) * silent)
    assert found is not None
    assert heard is not None
    assert found.low <= heard <= found.high


def test_one_answer_has_an_interval_around_it() -> None:
    interval = adjusted_wald(Tally.of_one(10))
    assert interval is not None
    assert interval.low == pytest.approx(-48.5, abs=0.1)
    assert interval.high == 100
