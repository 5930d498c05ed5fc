"""Which two periods are compared: the chosen one and another, or the longest two that have enough answers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

from services.scoring.domain.periods import Against, Days
from services.scoring.domain.score import FEW


@dataclass(frozen=True, slots=True)
class ComparedDays:
    """Two periods of equal length; `chosen` unless the period that was asked for cannot be compared."""

    now: Days
    then: Days
    chosen: bool = True


def compared_days(asked: Days, against: Against, answers: Mapping[date, int]) -> ComparedDays | None:
    """Return the periods that were asked for, or the longest ones with the same last day that can be compared.

    Two can be compared when each has FEW answers, and the earlier one has them on at least half as many days as the
    later one. `answers` has the number of answers of each day. Returns None where no two periods can be compared.
    """
    counts = _Counts(answers)
    other = asked.against(against)
    if counts.can_be_compared(asked, other):
        return ComparedDays(asked, other)
    longest = min(asked.count, ((asked.last - counts.first_since(asked.before.first)).days + 1) // 2)
    for length in range(longest, 0, -1):
        now = Days(asked.last - timedelta(days=length - 1), asked.last)
        if counts.can_be_compared(now, now.before):
            return ComparedDays(now, now.before, chosen=False)
    return None


class _Counts:
    """Running sums of answers by day."""

    def __init__(self, answers: Mapping[date, int]) -> None:
        self._days = sorted(day for day, count in answers.items() if count)
        self._sums = list(accumulate((answers[day] for day in self._days), initial=0))

    def first_since(self, day: date) -> date:
        """Return the first day with answers from this one on, or the last date there is."""
        return next(iter(self._days[bisect_left(self._days, day) :]), date.max)

    def can_be_compared(self, now: Days, then: Days) -> bool:
        (later, later_days), (earlier, earlier_days) = self._within(now), self._within(then)
        return min(later, earlier) >= FEW and 2 * earlier_days >= later_days

    def _within(self, days: Days) -> tuple[int, int]:
        """Return how many answers there are, and on how many days."""
        first, end = bisect_left(self._days, days.first), bisect_right(self._days, days.last)
        return self._sums[end] - self._sums[first], end - first
