"""Rules of alerts: which answers are reported as a detractor's, and which scores dropped significantly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.scoring.domain.changes import REASON, WHOLE, score_of
from services.scoring.domain.comparison import difference
from services.scoring.domain.dimensions import OWN_DIMENSIONS
from services.scoring.domain.invitations import Answer
from services.scoring.domain.score import FEW, ScoreInterval, Tally
from shared.contract.vocabulary import EMPLOYEE, Category, category_of

WINDOW = timedelta(days=7)
CONFIDENCE = 0.99  # many values are compared every day: 95 % would give too many false alarms
LAST_ZONE = timedelta(hours=12)  # a day is over in every time zone 12 hours after it is over in UTC
# only the whole program and segments are checked for drops, and no employee
NOT_CHECKED = (OWN_DIMENSIONS - {WHOLE[0]}) | {EMPLOYEE}
SHARE_OF_DROP = 0.25  # a reason that explains a smaller share of a drop is not named


@dataclass(frozen=True, slots=True)
class ComparedWeeks:
    """Two consecutive weeks: `first` to `middle`, and the day after `middle` to `last`, all inclusive.

    `last` is the latest day that is over in every time zone.
    """

    first: date
    middle: date
    last: date

    @property
    def period(self) -> date:
        """The Monday of the calendar week of `last`; each value is reported at most once in it."""
        return self.last - timedelta(days=self.last.weekday())


def compared_weeks(now: datetime) -> ComparedWeeks:
    last = (now - LAST_ZONE).date() - timedelta(days=1)
    return ComparedWeeks(last - 2 * WINDOW + timedelta(days=1), last - WINDOW, last)


@dataclass(frozen=True, slots=True)
class WeeklyChange:
    """Counts of one series in the earlier week (`before`) and in the latest one (`after`)."""

    program: str
    dimension: str
    value: str
    before: Tally
    after: Tally

    @property
    def points(self) -> float:
        """The change of the score, negative for a drop."""
        return score_of(self.after) - score_of(self.before)


@dataclass(frozen=True, slots=True)
class ScoreDrop:
    change: WeeklyChange
    interval: ScoreInterval


def significant_drop(change: WeeklyChange) -> ScoreDrop | None:
    """Return a drop of a score that is significant at CONFIDENCE; None if a week has under FEW answers."""
    if change.dimension in NOT_CHECKED or min(change.before.n, change.after.n) < FEW:
        return None
    fall = difference(change.before, change.after, confidence=CONFIDENCE)
    return ScoreDrop(change, fall.interval) if fall is not None and fall.interval.high < 0 else None


def driver(drop: WeeklyChange, *, among: Sequence[ScoreDrop], changes: Sequence[WeeklyChange]) -> str | None:
    """Return the main cause of the drop of a whole program: a segment (`store=Tverskaya`) or a reason (`reason=wait`).

    The segment is one of the drops in `among` that fell by more points than the program. Without one, the reason is
    the one whose rise in detractors explains most of the drop, at least SHARE_OF_DROP. Returns None when there is
    neither, and for the drop of a segment.
    """
    if drop.dimension != WHOLE[0]:
        return None
    fell = [each.change for each in among if each.change.program == drop.program and each.change.points < drop.points]
    if fell:
        worst = min(fell, key=lambda part: part.points * part.after.n)
        return f"{worst.dimension}={worst.value}"
    rises = {
        each.value: 100 * (each.after.detractors / drop.after.n - each.before.detractors / drop.before.n)
        for each in changes
        if (each.program, each.dimension) == (drop.program, REASON)
    }
    reason = max(rises, key=lambda name: rises[name], default=None)
    return f"{REASON}={reason}" if reason is not None and rises[reason] >= -drop.points * SHARE_OF_DROP else None


def is_reported(before: Answer | None, after: Answer) -> bool:
    """Return whether an alert is due: the answer became a detractor's, or a detractor newly asks to be called back."""
    if not _counts_as_detractor(after):
        return False
    if before is None or not _counts_as_detractor(before):
        return True
    return after.callback_wanted and not before.callback_wanted


def _counts_as_detractor(answer: Answer) -> bool:
    return not answer.suspect and category_of(answer.score) is Category.DETRACTOR
