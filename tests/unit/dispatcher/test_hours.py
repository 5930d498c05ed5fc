"""Contact hours and holidays, where the respondent is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from services.dispatcher.domain import hours
from shared.contract.events import Window

DAYTIME = Window(start=time(9), end=time(21))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ((2026, 3, 1, 8, 59), (2026, 3, 1, 9)),
        ((2026, 3, 1, 9), (2026, 3, 1, 9)),
        ((2026, 3, 1, 20, 59), (2026, 3, 1, 20, 59)),
        ((2026, 3, 1, 21), (2026, 3, 2, 9)),
        ((2026, 3, 29, 0, 30), (2026, 3, 29, 9)),  # the night the clock goes forward
        ((2026, 3, 28, 22), (2026, 3, 29, 9)),
        ((2026, 10, 24, 22), (2026, 10, 25, 9)),  # the night it goes back
    ],
)
def test_message_waits_for_the_respondents_contact_hours(moment: tuple[int, ...], opening: tuple[int, ...]) -> None:
    found = hours.next_opening(local("Europe/Berlin", *moment), zone="Europe/Berlin", window=DAYTIME)
    assert found == local("Europe/Berlin", *opening)


def test_window_inside_the_missing_hour_opens_the_next_day() -> None:
    night = Window(start=time(2, 10), end=time(2, 50))
    found = hours.next_opening(local("Europe/Berlin", 2026, 3, 29, 0), zone="Europe/Berlin", window=night)
    assert found == local("Europe/Berlin", 2026, 3, 30, 2, 10)


def test_window_inside_the_repeated_hour_opens_in_both() -> None:
    night = Window(start=time(2, 30), end=time(2, 45))
    between = local("Europe/Berlin", 2026, 10, 25, 2, 50)
    found = hours.next_opening(between, zone="Europe/Berlin", window=night)
    assert found == local("Europe/Berlin", 2026, 10, 25, 2, 30, fold=1)


ZONES = [
    "Europe/London",
    "Europe/Berlin",
    "Europe/Moscow",
    "Europe/Dublin",
    "Europe/Athens",
    "Europe/Kyiv",
    "Atlantic/Azores",
    "America/St_Johns",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Havana",
    "America/Santiago",
    "America/Asuncion",
    "America/Sao_Paulo",
    "America/Nuuk",
    "America/Mexico_City",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Jerusalem",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Antarctica/Troll",
]
MINUTE = timedelta(minutes=1)


def changes(zone: ZoneInfo) -> list[datetime]:
    """Return the days on which the zone's offset changes, or one day if there are none."""
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
    found = [
        day for day, after in pairwise(days) if day.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
    ]
    return found or [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]


@pytest.mark.parametrize("zone", ZONES)
def test_around_every_clock_change_no_opening_is_early_or_outside_the_window(zone: str) -> None:
    """Against an oracle that walks back over every minute."""
    for change in changes(ZoneInfo(zone)):
        opens = None
        for minute in range(4 * 1440, -1, -1):
            moment = change - timedelta(days=1) + minute * MINUTE
            if DAYTIME.start <= moment.astimezone(ZoneInfo(zone)).time() < DAYTIME.end:
                opens = moment
            if minute % 17 == 0 and opens is not None:
                assert hours.next_opening(moment, zone=zone, window=DAYTIME) == opens


def test_no_window_means_any_hour() -> None:
    night = datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert hours.next_opening(night, zone="UTC", window=None) == night


def test_next_day_begins_at_midnight_utc() -> None:
    assert hours.next_day(NOW) == datetime(2026, 3, 2, tzinfo=UTC)


# --- holidays


@pytest.mark.parametrize(
    ("calendar", "moment", "opening"),
    [
        ("RU", (2026, 1, 1, 12), (2026, 1, 10, 9)),  # New Year's holidays, and the 9th is a bridge
        ("RU", (2025, 12, 30, 22), (2026, 1, 10, 9)),  # the 31st is a transferred day off
        ("RU", (2026, 5, 9, 12), (2026, 5, 10, 9)),
        ("ru", (2026, 6, 11, 12), (2026, 6, 11, 12)),
        ("US-CA", (2026, 3, 31, 12), (2026, 4, 1, 9)),  # Cesar Chavez Day, kept in California only
        ("US", (2026, 3, 31, 12), (2026, 3, 31, 12)),
        ("Nowhere", (2026, 1, 1, 12), (2026, 1, 1, 12)),
        ("US-XX", (2026, 1, 1, 12), (2026, 1, 1, 12)),
    ],
)
def test_nothing_is_sent_on_a_holiday(calendar: str, moment: tuple[int, ...], opening: tuple[int, ...]) -> None:
    zone = "Europe/Moscow"
    found = hours.next_opening(local(zone, *moment), zone=zone, window=DAYTIME, calendar=calendar)
    assert found == local(zone, *opening)


def test_holiday_is_that_of_the_respondents_local_day() -> None:
    """In Kamchatka Victory Day begins while Moscow still has the 8th."""
    moment = local("Europe/Moscow", 2026, 5, 8, 16)
    found = hours.next_opening(moment, zone="Asia/Kamchatka", window=None, calendar="RU")
    assert found == local("Asia/Kamchatka", 2026, 5, 10)


def test_window_that_never_opens_has_no_opening() -> None:
    never = Window.model_construct(start=time(12), end=time(12))
    assert hours.next_opening(NOW, zone="UTC", window=never) is None
