"""Ranges of days, and the days, weeks, months and quarters they are divided into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Against = Literal["previous", "last_year"]
Period = Literal["day", "week", "month", "quarter"]
PERIODS: Sequence[Period] = ("day", "week", "month", "quarter")  # the shortest first

_WEEKS_OF_A_YEAR = timedelta(weeks=52)


@dataclass(frozen=True, slots=True)
class Days:
    """From `first` to `last`, both included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Days:
        """The same number of days immediately before."""
        return Days(self.first - timedelta(days=self.count), self.first - timedelta(days=1))

    @property
    def year_before(self) -> Days:
        """A year earlier: whole months stay whole months, whole weeks keep their weekdays, other days their dates."""
        if self.first.day == 1 and _ends_month(self.last):
            return self.year_before_by("month")
        return self.year_before_by("day" if self.count % 7 else "week")

    def year_before_by(self, period: Period) -> Days:
        """A year earlier, so that each period has its counterpart, see `label_year_before`."""
        if period == "week":
            return Days(self.first - _WEEKS_OF_A_YEAR, self.last - _WEEKS_OF_A_YEAR)
        last = _year_before(self.last)
        if period != "day" and _ends_month(self.last) and not _ends_month(last):  # 28 February, after a leap year
            last = last.replace(day=29)
        return Days(_year_before(self.first), last)

    def against(self, other: Against) -> Days:
        return self.before if other == "previous" else self.year_before

    def around(self, day: date) -> tuple[Days, Days] | None:
        """Return equally many days before `day` and from `day` on, as many as fit; None when none fit on one side."""
        length = min((day - self.first).days, (self.last - day).days + 1)
        if length < 1:
            return None
        span = timedelta(days=length)
        return Days(day - span, day - timedelta(days=1)), Days(day, day + span - timedelta(days=1))


def full_months_before(day: date, count: int) -> Days:
    """Return as many whole months before the month of a day."""
    months = day.year * 12 + day.month - 1 - count
    return Days(date(months // 12, months % 12 + 1, 1), day.replace(day=1) - timedelta(days=1))


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


def _ends_month(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def label_of(day: date, period: Period) -> str:
    """Return the label of the period that contains a day: 2026-11-18, 2026-W47, 2026-11 or 2026-Q4."""
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    if period == "quarter":
        return f"{day.year}-Q{(day.month + 2) // 3}"
    return day.isoformat() if period == "day" else f"{day.year}-{day.month:02}"


def labels_of(days: Days, period: Period) -> list[str]:
    """Return the labels of all periods that these days are in, in order."""
    return list(dict.fromkeys(label_of(days.first + timedelta(days=number), period) for number in range(days.count)))


def label_year_before(label: str) -> str:
    """Return the label of the same day, month or quarter of the year before, of a week the one 52 weeks earlier.

    29 February is held against 28 February.
    """
    if "W" in label:
        return label_of(date.fromisoformat(f"{label}-1") - _WEEKS_OF_A_YEAR, "week")
    if len(label) == len("2026-11-18"):
        return _year_before(date.fromisoformat(label)).isoformat()
    return f"{int(label[:4]) - 1:04}{label[4:]}"
