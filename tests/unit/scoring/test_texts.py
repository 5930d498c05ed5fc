"""Zones nobody knows, signs of figures, languages, and pictures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.scoring.dashboard import charts
from services.scoring.domain.score import Tally
from services.scoring.web import rendering, texts
from shared.zones import local_day, time_zone


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "Europe"])
def test_unknown_zone_is_utc(name: str) -> None:
    assert time_zone(name).key == "UTC"


def test_day_is_that_of_the_zone() -> None:
    assert local_day(datetime(2026, 11, 18, 22, tzinfo=UTC), "Europe/Moscow").day == 19


@pytest.mark.parametrize(
    ("points", "text"),
    [(38.4, "+38"), (0.2, "0"), (-0.4, "0"), (-17.0, "−17"), (None, "–")],  # noqa: RUF001 - real minus and dash
)
def test_score_always_has_its_sign(points: float | None, text: str) -> None:
    assert rendering.signed(points) == text


def test_every_language_has_every_word() -> None:
    plurals = ("more_few", "more_many")  # which English has not
    assert {frozenset(words) - set(plurals) for words in texts.LANGUAGES.values()} == {frozenset(texts.LANGUAGES["en"])}
    assert (texts.language_of("ru_RU"), texts.language_of("de")) == ("ru", "en")


def test_shares_fill_the_bar() -> None:
    tally = Tally.of_one(9) + Tally.of_one(8) + Tally.of_one(0) * 2
    assert [share.width for share in charts.shares(tally, width=100)] == [25, 25, 50]
    assert [share.width for share in charts.shares(Tally(), width=100)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("promoters", "passives", "detractors", "percents"),
    [(1, 1, 1, [34, 33, 33]), (455, 325, 220, [46, 32, 22]), (1, 0, 0, [100, 0, 0]), (0, 0, 0, [0, 0, 0])],
)
def test_shares_of_the_categories_add_up(promoters: int, passives: int, detractors: int, percents: list[int]) -> None:
    tally = Tally.of_one(9) * promoters + Tally.of_one(8) * passives + Tally.of_one(0) * detractors
    assert [share.percent for share in charts.shares(tally, width=100)] == percents
