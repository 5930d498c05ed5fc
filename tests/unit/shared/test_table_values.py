# ruff: noqa: RUF001 - Russian texts and typographic signs
"""Numbers, times, and yes or no, as people and spreadsheets of several countries write them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from shared.tables.values import (
    DateOrder,
    DecimalPoint,
    Unreadable,
    decimal_of,
    is_rounded,
    moment_of,
    yes_or_no,
)

MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("1234,5", "1234.5"),
        ("1 234,50", "1234.50"),
        ("1\u00a0234\u00a0567,89", "1234567.89"),
        ("1\u202f234,5", "1234.5"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1.234.567", "1234567"),
        ("12,345,678.9", "12345678.9"),
        ("1'234.50", "1234.50"),
        ("1’234,50", "1234.50"),
        ("−5,5", "-5.5"),
        ("-1.234,5", "-1234.5"),
        ("+7", "7"),
        ("0,5", "0.5"),
        (",5", "0.5"),
    ],
)
@pytest.mark.parametrize("point", [".", ","])
def test_number_is_read_as_it_is_meant(text: str, number: str, point: DecimalPoint) -> None:
    assert decimal_of(text, point=point) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "point", "number"),
    [("1.234", ".", "1.234"), ("1.234", ",", "1234"), ("1,234", ".", "1234"), ("1,234", ",", "1.234")],
)
def test_decimal_point_of_the_file_decides_between_two_readings(text: str, point: DecimalPoint, number: str) -> None:
    assert decimal_of(text, point=point) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "1,2,3", "1.23,4", "12 34", "1.2.3,4", "1e5", "NaN", "９", "5 €", "--1", "1-2", ".", "1,", "0x1"],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    for point in (".", ","):
        with pytest.raises(Unreadable, match="not a number"):
            decimal_of(text, point=point)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("31.12.2025 23:59:59", "2025-12-31T23:59:59+03:00"),
        ("31.12.2025, 23:59", "2025-12-31T23:59:00+03:00"),
        ("1.2.25 9:05", "2025-02-01T09:05:00+03:00"),
        ("2025-12-31 23:59:59", "2025-12-31T23:59:59+03:00"),
        ("2025-12-31 23:59:59 UTC", "2025-12-31T23:59:59+00:00"),
        ("2025-12-31 23:59:59 +0530", "2025-12-31T23:59:59+05:30"),
        ("2025-12-31T23:59:59.123456Z", "2025-12-31T23:59:59.123456+00:00"),
        ("2025/12/31 9:05:00 PM GMT+2", "2025-12-31T21:05:00+02:00"),
        ("2025/12/31 12:05:00 am", "2025-12-31T00:05:00+03:00"),
        ("12/31/2025 23:59", "2025-12-31T23:59:00+03:00"),
        ("31/12/2025 23:59", "2025-12-31T23:59:00+03:00"),
        ("11/11/2025 10:00", "2025-11-11T10:00:00+03:00"),
        ("Dec 31, 2025 11:59 PM", "2025-12-31T23:59:00+03:00"),
        ("December 31st, 2025 11:59 PM", "2025-12-31T23:59:00+03:00"),
        ("31-Dec-2025 08:00", "2025-12-31T08:00:00+03:00"),
        ("1767225599", "2025-12-31T23:59:59+00:00"),
        ("1767225599000", "2025-12-31T23:59:59+00:00"),
    ],
)
def test_time_is_read_as_it_is_meant(text: str, wanted: str) -> None:
    assert moment_of(text, zone=MOSCOW) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize("text", ["31.12.2025", "2025-12-31", "20251231", "31/12/2025", "Dec 31, 2025", "31 Dec 2025"])
def test_day_is_no_time(text: str) -> None:
    found = moment_of(text)
    assert (found, isinstance(found, datetime)) == (date(2025, 12, 31), False)


@pytest.mark.parametrize(("order", "wanted"), [("dmy", date(2025, 4, 3)), ("mdy", date(2025, 3, 4))])
def test_order_of_day_and_month_is_asked_for_where_it_can_be_both(order: DateOrder, wanted: date) -> None:
    assert moment_of("03/04/2025", order=order) == wanted
    with pytest.raises(Unreadable, match="day or month first"):
        moment_of("03/04/2025")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "not a time or day"),
        ("", "not a time or day"),
        ("32.12.2025", "no such day"),
        ("29.02.2025", "no such day"),
        ("31.12.2025 25:00", "no such day or time"),
        ("31.12.2025 13:00 PM", "not a time of day"),
        ("2025-12-31 10:00", "has no zone"),
        ("31.12.2025 10:00 +99", "no such day or time"),
        ("0001-01-01", "between 1900 and 2199"),
        ("31.12.9999", "between 1900 and 2199"),
        ("３1.12.2025", "not a time or day"),
    ],
)
def test_what_is_no_time_says_why(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        moment_of(text)


def test_yes_and_no_are_read_in_several_languages() -> None:
    assert all(map(yes_or_no, ["Да", "yes", "JA", "oui", "1", "true", " sí "]))
    assert not any(map(yes_or_no, ["Нет", "no", "nein", "0", "FALSE"]))
    with pytest.raises(Unreadable):
        yes_or_no("perhaps")


@pytest.mark.parametrize("text", ["7.91612E+10", "7,9E+10", " 1E+12 ", "1.2e+05"])
def test_number_that_a_spreadsheet_rounded_is_known(text: str) -> None:
    assert is_rounded(text)


@pytest.mark.parametrize(
    "text", ["", "79161234567", "E+10", "1E10", "12E+10", "1E+100", "A1E+10", "7.91612E-10", "+7916"]
)
def test_other_ids_were_not_rounded(text: str) -> None:
    assert not is_rounded(text)
