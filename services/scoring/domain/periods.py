"""Stretches of days that are compared with each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Against = Literal["previous", "last_year"]
Period = Literal["day", "week", "month", "quarter"]


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
        """As many days, right before."""
        return Days(self.first - timedelta(days=self.count), self.first - timedelta(days=1))

    @property
    def year_before(self) -> Days:
        return Days(_year_before(self.first), _year_before(self.last))

    def against(self, other: Against) -> Days:
        return self.before if other == "previous" else self.year_before

    def around(self, day: date) -> tuple[Days, Days] | None:
        """Cut in two, as many days on either side as there are on the shorter; `day` begins the second."""
        length = min((day - self.first).days, (self.last - day).days + 1)
        if length < 1:
            return None
        span = timedelta(days=length)
        return Days(day - span, day - timedelta(days=1)), Days(day, day + span - timedelta(days=1))


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)


def label_of(day: date, period: Period) -> str:
    """Name the day, week, month or quarter a day is in, as the figures do."""
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    if period == "quarter":
        return f"{day.year}-Q{(day.month + 2) // 3}"
    return day.isoformat() if period == "day" else f"{day.year}-{day.month:02}"


def label_year_before(label: str) -> str:
    """Name the same day, week, month or quarter of the year before."""
    return f"{int(label[:4]) - 1:04}{label[4:]}"
