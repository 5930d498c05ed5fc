"""Chance that is no chance: holdouts, samples and places in a cadence outlive every process and every release."""

from __future__ import annotations

import pytest

from services.trigger.domain.sampling import sample, spread_of


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("holdout", "shop", "c1"), 0.5910814269815106),
        (("sample", "shop", "c1", "48213"), 0.8778714411910435),
        (("holdout", "магазин", "ö"), 0.06350573258984582),
    ],
)
def test_words_draw_the_number_they_have_always_drawn(words: tuple[str, ...], number: float) -> None:
    """Another number would ask who was held out, and nobody could compare the groups any more."""
    assert sample(*words) == pytest.approx(number, abs=1e-12)


@pytest.mark.parametrize(("respondent", "place"), [("c1", 892957796), ("ö", 938148397), ("", 531343196)])
def test_respondent_keeps_the_place_they_have_in_every_cadence(respondent: str, place: int) -> None:
    """It is stored with each respondent: with another one somebody would be asked twice in a period, or never."""
    assert spread_of(respondent) == place


def test_words_are_apart() -> None:
    assert len({sample("a", "bc"), sample("ab", "c"), sample("abc"), sample("bc", "a")}) == 4
