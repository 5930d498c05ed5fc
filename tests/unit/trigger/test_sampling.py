"""Sampling: holdouts, samples and positions in a cadence are the same in every process and release."""

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
def test_keys_give_the_same_number_in_every_release(words: tuple[str, ...], number: float) -> None:
    """Other numbers would ask customers of the holdout, and the groups could not be compared any more."""
    assert sample(*words) == pytest.approx(number, abs=1e-12)


@pytest.mark.parametrize(("respondent", "place"), [("c1", 892957796), ("ö", 938148397), ("", 531343196)])
def test_respondent_has_the_same_position_in_every_release(respondent: str, place: int) -> None:
    """The position is stored with each respondent; if it changed, some would be asked twice in a period or never."""
    assert spread_of(respondent) == place


def test_keys_are_separated() -> None:
    assert len({sample("a", "bc"), sample("ab", "c"), sample("abc"), sample("bc", "a")}) == 4
