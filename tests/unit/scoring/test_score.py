"""Known figures of the score and its intervals."""

from __future__ import annotations

import pytest

from services.scoring.domain.score import Figure, ScoreInterval, Tally, adjusted_wald, bounds, nps, wald
from shared.contract.vocabulary import AnswerMode

PUBLISHED = Tally((100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 300))  # the textbook case: 300 promoters, 100 detractors of 400


def rounded(interval: ScoreInterval | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval.low, 1), round(interval.high, 1))


@pytest.mark.parametrize(
    ("by_score", "score"),
    [
        ((0, 0, 0, 0, 0, 0, 1, 0, 7, 0, 2), 10.0),  # 20 % promoters less 10 % detractors
        ((100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 300), 50.0),
        ((0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0), 0.0),
        ((1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), -100.0),
        ((0,) * 11, None),
    ],
)
def test_score_is_promoters_less_detractors(by_score: tuple[int, ...], score: float | None) -> None:
    assert nps(Tally(by_score)) == score


def test_intervals_agree_with_published_figures() -> None:
    assert rounded(adjusted_wald(PUBLISHED)) == (41.2, 58.1)
    assert rounded(wald(PUBLISHED)) == (41.5, 58.5)


def test_no_answers_have_no_interval() -> None:
    assert wald(Tally()) is None
    assert adjusted_wald(Tally()) is None
    assert bounds(Tally(), silent=0) is None


def test_interval_never_leaves_the_scale() -> None:
    assert rounded(adjusted_wald(Tally.of_one(10) * 10)) == (47.5, 100)
    assert wald(Tally.of_one(10)) == ScoreInterval(100, 100)


def test_silent_bound_the_score() -> None:
    assert bounds(PUBLISHED, silent=400) == ScoreInterval(-25, 75)
    assert bounds(PUBLISHED, silent=0) == ScoreInterval(50, 50)


def test_tallies_add_and_subtract() -> None:
    one, other = Tally.of_one(9, mode=AnswerMode.OPERATOR), Tally.of_one(9)
    assert (one + other).by_score[9] == 2
    assert (one + other).operators == 1
    assert one + other - other == one
    assert (one + one).n == (one * 2).n == 2


def test_suspect_answer_is_kept_apart() -> None:
    assert Tally.of_one(0, suspect=True) == Tally(suspects=1)


def test_response_rate_is_of_those_whose_invitation_is_over() -> None:
    figure = Figure(invited=9, answered=1, silent=3)
    assert (figure.response_rate, figure.waiting) == (0.25, 5)
    assert Figure(invited=9).response_rate is None
    assert Figure(invited=9, answered=7, silent=3).waiting == 0
