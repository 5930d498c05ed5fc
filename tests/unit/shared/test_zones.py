"""Time zones by name, and the day a moment has in one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.zones import is_time_zone, local_day, time_zone


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc/passwd", "Europe", "x" * 300])
def test_invalid_zone_is_utc(zone: str) -> None:
    assert time_zone(zone) == ZoneInfo("UTC")
    assert not is_time_zone(zone)


def test_day_of_a_moment_is_that_of_the_zone() -> None:
    evening = datetime(2026, 3, 1, 22, tzinfo=UTC)
    assert is_time_zone("Europe/Moscow")
    assert local_day(evening, "Europe/Moscow") == date(2026, 3, 2)
    assert local_day(evening, "America/New_York") == date(2026, 3, 1)
