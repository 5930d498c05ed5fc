"""Alerts: what fell further than chance explains, and by what."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.scoring.domain.alerts import ScoreDrop, WeeklyChange, compared_weeks, driver, significant_drop
from services.scoring.domain.score import Tally


def answers(promoters: int, passives: int, detractors: int) -> Tally:
    return Tally((0, 0, 0, detractors, 0, 0, 0, passives, 0, promoters, 0))


def change(
    before: tuple[int, int, int], after: tuple[int, int, int], *, dimension: str = "all", value: str = ""
) -> WeeklyChange:
    return WeeklyChange("shop", dimension, value, answers(*before), answers(*after))


@pytest.mark.parametrize(
    ("before", "after", "fell"),
    [
        ((60, 20, 20), (30, 20, 50), True),
        ((60, 20, 20), (55, 20, 25), False),
        ((30, 20, 50), (60, 20, 20), False),
        ((20, 5, 4), (2, 5, 25), False),  # 29 answers are too few, whatever they say
        ((20, 5, 5), (2, 5, 25), True),
    ],
)
def test_drop_wants_enough_answers_and_more_than_chance(
    before: tuple[int, int, int],
    after: tuple[int, int, int],
    fell: bool,  # noqa: FBT001 - a table
) -> None:
    assert bool(significant_drop(change(before, after))) is fell


def test_week_is_over_in_every_zone() -> None:
    noon = datetime(2026, 11, 18, 12, tzinfo=UTC)  # midnight where the day is last to end
    assert compared_weeks(noon).last == date(2026, 11, 17)
    assert compared_weeks(noon.replace(hour=11)).last == date(2026, 11, 16)
    week = compared_weeks(noon)
    assert (week.first, week.middle, week.period) == (date(2026, 11, 4), date(2026, 11, 10), date(2026, 11, 16))


def drops_of(changes: list[WeeklyChange]) -> list[ScoreDrop]:
    return [drop for each in changes if (drop := significant_drop(each)) is not None]


def test_store_that_fell_further_than_the_whole_is_named() -> None:
    whole = change((120, 40, 40), (90, 40, 70))
    found = drops_of(
        [
            whole,
            change((60, 20, 20), (60, 20, 20), dimension="store", value="Arbat"),
            change((60, 20, 20), (30, 20, 50), dimension="store", value="Tverskaya"),
        ]
    )
    assert [each.change.value for each in found] == ["", "Tverskaya"]
    assert driver(whole, among=found, changes=[ticked("wait", 5, 40)]) == "store=Tverskaya"
    assert driver(found[1].change, among=found, changes=[ticked("wait", 5, 40)]) is None


def ticked(reason: str, before: int, after: int) -> WeeklyChange:
    return change((0, 0, before), (0, 0, after), dimension="reason", value=reason)


def test_where_everything_fell_alike_the_reason_is_named() -> None:
    whole = change((120, 40, 40), (90, 40, 70))
    found = drops_of([whole, change((120, 40, 40), (90, 40, 70), dimension="channel", value="shop")])
    assert driver(whole, among=found, changes=[ticked("wait", 5, 40), ticked("price", 5, 6)]) == "reason=wait"
    assert driver(whole, among=found, changes=[ticked("price", 5, 6)]) is None
    assert driver(whole, among=found, changes=[]) is None


def test_how_an_answer_came_is_no_place_that_drops() -> None:
    assert significant_drop(change((60, 20, 20), (30, 20, 50), dimension="mode", value="self")) is None
