"""Opening hours as people write them."""

from __future__ import annotations

import pytest

from services.scoring.domain.stores.hours import InvalidHours, Opening, hours_text, parse_day, parse_hours


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ""),
        ("mon-fri 9:00-21:00; sat 10:00-18:00", "mon-fri 09:00-21:00; sat 10:00-18:00"),
        ("пн–пт 9.00 – 21.00; сб, вс: 10.00–18.00", "mon-fri 09:00-21:00; sat-sun 10:00-18:00"),
        ("09:00-21:00", "mon-sun 09:00-21:00"),
        ("ежедневно 10:00-22:00", "mon-sun 10:00-22:00"),
        ("24/7", "mon-sun 00:00-24:00"),
        ("Monday 09:00-13:00, 14:00-18:00\nвторник 9:00-13:00", "mon 09:00-13:00, 14:00-18:00; tue 09:00-13:00"),
        ("fri 18:00-26:00; sat closed; sun выходной", "fri 18:00-26:00"),
    ],
)
def test_hours_are_read_and_written_again(written: str, read: str) -> None:
    assert hours_text(parse_hours(written)) == read
    assert parse_hours(read) == parse_hours(written)


def test_opening_over_midnight_ends_after_24() -> None:
    assert parse_hours("fri 18:00-26:00") == {"fri": (Opening(18 * 60, 26 * 60),)}


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("mon 18:00-02:00", "end before they begin; an end in the night is written after 24:00, as in 18:00-26:00"),
        ("mon 09:00-09:00", "end before they begin"),
        ("mon 09:00-34:00", "longer than 24 hours"),
        ("mon 9:70-10:00", "expected times"),
        ("mon 24:00-25:00", "expected times"),
        ("mon 9:00", "expected times"),
        ("mon 09:00-13:00, 12:00-18:00", "overlap"),
        ("mon 09:00-13:00; mon-fri 14:00-18:00", "mon is there twice"),
        ("fry 09:00-13:00", "no such days as 'fry'"),
        ("sun-mon 09:00-13:00", "no such days"),
        ("mon-tue-wed 09:00-13:00", "no such days"),
        ("whenever we like", "expected days and times"),
    ],
)
def test_what_says_no_hours_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(InvalidHours, match=why):
        parse_hours(written)


def test_day_without_times_is_closed() -> None:
    assert parse_day("Closed") == parse_day("") == ()
