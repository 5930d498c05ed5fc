"""What one invitation adds to the counters of its day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.scoring.domain.funnel import StepCounts, funnel, returns
from services.scoring.domain.invitations import TriggerEvent
from services.scoring.domain.journeys import (
    Journey,
    JourneyAnswer,
    JourneyPart,
    Purchase,
    ReachedContact,
    journey_parts,
)
from services.scoring.domain.periods import Days, Period, label_of, label_year_before

BOUGHT = datetime(2026, 11, 18, 12, tzinfo=UTC)
EVENT = TriggerEvent(
    source="shop", id="e1", type="crm.purchase.completed", time=BOUGHT, amount=Decimal(900), currency="RUB"
)
EMAIL = ReachedContact(1, "email", BOUGHT + timedelta(hours=2))


def again(days: float, **changes: Any) -> Purchase:
    return replace(Purchase("shop", f"e{days}", BOUGHT + timedelta(days=days), Decimal(100), "RUB"), **changes)


def test_answer_is_owed_to_its_step_at_the_respondents_hour() -> None:
    journey = Journey(EVENT, "Europe/Moscow", [EMAIL], opened=1, answer=JourneyAnswer(9, 1, "email"))
    assert journey_parts(journey) == {
        JourneyPart("asked"): 1,
        JourneyPart("people", "promoter"): 1,
        JourneyPart("reached"): 1,
        JourneyPart("reached", "1 email 17"): 1,
        JourneyPart("opened"): 1,
        JourneyPart("opened", "1 email 17"): 1,
        JourneyPart("answered"): 1,
        JourneyPart("answered", "1 email 17"): 1,
        JourneyPart("spent", "promoter RUB"): 900,
    }


def test_answer_without_a_known_contact_is_counted_all_the_same() -> None:
    added = journey_parts(Journey(EVENT, "UTC", answer=JourneyAnswer(3, 4, "call")))
    assert added[JourneyPart("answered", "4 call ?")] == 1
    assert added[JourneyPart("reached")] == 1


def test_silent_are_a_group_and_end_one_day() -> None:
    waiting, over = (
        journey_parts(Journey(EVENT, "UTC", [EMAIL])),
        journey_parts(Journey(EVENT, "UTC", [EMAIL], ended=True)),
    )
    assert waiting[JourneyPart("people", "silent")] == 1
    assert over.keys() - waiting.keys() == {JourneyPart("ended")}


def test_only_what_was_bought_within_ninety_days_is_a_return() -> None:
    bought = [again(-1), again(0, event_id="e1"), again(10), again(90), again(90.01), again(20, amount=None)]
    added = journey_parts(Journey(EVENT, "UTC", answer=JourneyAnswer(2, 1, "email"), purchases=bought))
    assert added[JourneyPart("returned", "detractor")] == 1
    assert added[JourneyPart("revenue", "detractor RUB")] == 200
    assert JourneyPart("returned", "silent") not in added


def test_funnel_sums_steps_channels_and_hours() -> None:
    sums = {
        JourneyPart("asked"): Decimal(10),
        JourneyPart("answered"): Decimal(3),
        JourneyPart("ended"): Decimal(2),
        JourneyPart("reached", "1 email 10"): Decimal(6),
        JourneyPart("reached", "2 email 11"): Decimal(4),
        JourneyPart("answered", "2 email 11"): Decimal(2),
        JourneyPart("answered", "4 call ?"): Decimal(1),
    }
    found = funnel(sums)
    assert (found.silent, found.waiting, found.silent_share) == (2, 5, 0.4)
    assert found.by_channel == {"email": StepCounts(10, 0, 2), "call": StepCounts(0, 0, 1)}
    assert found.by_step[2, "email"] == StepCounts(4, 0, 2)
    assert found.by_hour[None] == StepCounts(0, 0, 1)


def test_returns_name_every_group_with_its_money() -> None:
    sums = {JourneyPart("people", "silent"): Decimal(4), JourneyPart("returned", "silent"): Decimal(1)}
    groups = {group.name: group for group in returns(sums | {JourneyPart("revenue", "silent EUR"): Decimal("9.5")})}
    assert list(groups) == ["promoter", "passive", "detractor", "silent"]
    assert (groups["silent"].share, groups["silent"].revenue) == (0.25, {"EUR": Decimal("9.5")})
    assert groups["promoter"].share is None


def test_periods_are_compared_with_as_many_days() -> None:
    days = Days(date(2026, 11, 1), date(2026, 11, 30))
    assert days.before == Days(date(2026, 10, 2), date(2026, 10, 31))
    assert days.year_before == Days(date(2025, 11, 1), date(2025, 11, 30))
    assert Days(date(2024, 2, 29), date(2024, 2, 29)).year_before.first == date(2023, 2, 28)
    halves = days.around(date(2026, 11, 6))
    assert halves == (Days(date(2026, 11, 1), date(2026, 11, 5)), Days(date(2026, 11, 6), date(2026, 11, 10)))
    assert days.around(date(2026, 11, 1)) is None


@pytest.mark.parametrize(
    ("period", "label", "before"),
    [
        ("day", "2026-11-18", "2025-11-18"),
        ("week", "2026-W47", "2025-W47"),
        ("month", "2026-11", "2025-11"),
        ("quarter", "2026-Q4", "2025-Q4"),
    ],
)
def test_labels_are_those_of_the_figures(period: Period, label: str, before: str) -> None:
    assert label_of(date(2026, 11, 18), period) == label
    assert label_year_before(label) == before


@pytest.mark.parametrize(
    ("label", "before"),
    [
        ("2026-W53", "2026-W01"),  # from 28 December: the week from 29 December of the year before
        ("2027-W01", "2026-W02"),
        ("2026-W52", "2025-W52"),
        ("2026-W01", "2025-W01"),
        ("2021-W01", "2020-W02"),  # 2020 had 53 weeks
        ("2020-W53", "2020-W01"),
        ("2024-W09", "2023-W09"),  # holds 29 February
        ("2024-02-29", "2023-02-28"),
        ("2025-02-28", "2024-02-28"),
        ("2024-01-01", "2023-01-01"),
        ("2024-02", "2023-02"),
        ("2024-Q1", "2023-Q1"),
    ],
)
def test_every_period_has_a_counterpart_a_year_before(label: str, before: str) -> None:
    assert label_year_before(label) == before


def test_every_week_of_thirty_years_is_held_against_the_same_seven_days_52_weeks_earlier() -> None:
    monday = date(2020, 1, 6)
    for _ in range(30 * 53):
        week = Days(monday, monday + timedelta(days=6))
        assert week.year_before == Days(monday - timedelta(days=364), monday - timedelta(days=358))
        assert label_year_before(label_of(monday, "week")) == label_of(week.year_before.first, "week")
        assert label_of(week.year_before.first, "week") == label_of(week.year_before.last, "week")
        monday += timedelta(days=7)


@pytest.mark.parametrize(
    ("first", "last", "before"),
    [
        ("2025-02-01", "2025-02-28", ("2024-02-01", "2024-02-29")),  # whole months stay whole
        ("2024-02-01", "2024-02-29", ("2023-02-01", "2023-02-28")),
        ("2024-01-01", "2024-12-31", ("2023-01-01", "2023-12-31")),
        ("2026-12-28", "2027-01-03", ("2025-12-29", "2026-01-04")),  # 2026-W53
        ("2027-01-04", "2027-01-10", ("2026-01-05", "2026-01-11")),  # 2027-W01
        ("2026-11-02", "2026-11-11", ("2025-11-02", "2025-11-11")),  # neither months nor weeks: the same dates
        ("2024-02-20", "2024-02-29", ("2023-02-20", "2023-02-28")),
    ],
)
def test_range_is_compared_with_its_counterpart_of_last_year(first: str, last: str, before: tuple[str, str]) -> None:
    days = Days(date.fromisoformat(first), date.fromisoformat(last))
    assert days.against("last_year") == Days(*map(date.fromisoformat, before))


def test_ranges_of_a_trend_cover_the_counterparts_of_their_periods() -> None:
    days = Days(date(2025, 1, 15), date(2025, 2, 28))
    assert days.year_before_by("month") == Days(date(2024, 1, 15), date(2024, 2, 29))
    assert days.year_before_by("day") == Days(date(2024, 1, 15), date(2024, 2, 28))
    assert days.year_before_by("week") == Days(date(2024, 1, 17), date(2024, 3, 1))
