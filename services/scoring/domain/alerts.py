"""When somebody should look: an unhappy customer, or a score that fell further than chance explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.scoring.domain.changes import REASON, WHOLE, score_of
from services.scoring.domain.comparison import difference
from services.scoring.domain.dimensions import OWN_DIMENSIONS
from services.scoring.domain.invitations import Answer
from services.scoring.domain.score import FEW, ScoreInterval, Tally
from shared.contract.vocabulary import Category, category_of

WINDOW = timedelta(days=7)
CONFIDENCE = 0.99  # many values are compared every day: 95 % would cry wolf
ANYWHERE = timedelta(hours=12)  # a day is over in every zone half a day after it is over in UTC
PLACES_NOT = OWN_DIMENSIONS - {WHOLE[0]}  # how an answer came is no place where a score can drop
SHARE_OF_DROP = 0.25  # a reason that explains less of a drop is not its reason


@dataclass(frozen=True, slots=True)
class ComparedWeeks:
    """Seven days that are over everywhere, and the seven before them; days are inclusive."""

    first: date
    middle: date
    last: date

    @property
    def period(self) -> date:
        """The Monday of the calendar week it ends in: of each value one drop is told in it."""
        return self.last - timedelta(days=self.last.weekday())


def compared_weeks(now: datetime) -> ComparedWeeks:
    last = (now - ANYWHERE).date() - timedelta(days=1)
    return ComparedWeeks(last - 2 * WINDOW + timedelta(days=1), last - WINDOW, last)


@dataclass(frozen=True, slots=True)
class WeeklyChange:
    """One series in the week before and in this one."""

    program: str
    dimension: str
    value: str
    before: Tally
    after: Tally

    @property
    def points(self) -> float:
        """By how many points the score went up."""
        return score_of(self.after) - score_of(self.before)


@dataclass(frozen=True, slots=True)
class ScoreDrop:
    change: WeeklyChange
    interval: ScoreInterval


def drops(changes: Sequence[WeeklyChange]) -> list[ScoreDrop]:
    """Keep what fell: enough answers in both weeks, and an interval of the difference that lies under zero."""
    found = []
    for change in changes:
        if change.dimension not in PLACES_NOT and min(change.before.n, change.after.n) >= FEW:
            moved = difference(change.before, change.after, confidence=CONFIDENCE)
            if moved is not None and moved.interval.high < 0:
                found.append(ScoreDrop(change, moved.interval))
    return found


def driver(drop: WeeklyChange, *, among: Sequence[ScoreDrop], changes: Sequence[WeeklyChange]) -> str | None:
    """Name what made a whole program fall: what fell further, `store=Tverskaya`, or else `reason=wait`.

    A reason is one that so many more detractors tick that it explains a good part of the drop.
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
    """Whether this version makes a detractor of somebody who was none, or of one who is to be called back."""
    if not _counts_as_detractor(after):
        return False
    if before is None or not _counts_as_detractor(before):
        return True
    return after.callback_wanted and not before.callback_wanted


def _counts_as_detractor(answer: Answer) -> bool:
    return not answer.suspect and category_of(answer.score) is Category.DETRACTOR
