"""Time zones are found by the names of cities."""

from __future__ import annotations

import pytest

from shared.languages.current import SHARED, language, speaking
from shared.languages.zone_names import near_zones


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        (" Москва ", "Europe/Moscow"),
        ("масква", "Europe/Moscow"),
        ("Екатеринбург", "Asia/Yekaterinburg"),
        ("New York", "America/New_York"),
        ("Europe/Moskow", None),
        ("Питер", None),
    ],
)
def test_zone_is_near_the_city_in_the_language_of_the_reader_or_in_english(typed: str, first: str | None) -> None:
    with speaking(language("ru", SHARED)):
        assert next(iter(near_zones(typed)), None) == first


def test_in_english_only_english_names_are_known() -> None:
    assert near_zones("Moskow") == ["Europe/Moscow"]
    assert near_zones("Москва") == []
