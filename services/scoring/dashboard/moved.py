"""The card of what moved: the largest change first, each cause once, with the reasons named more often in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.scoring.dashboard.reason_texts import reason_text
from services.scoring.domain.changes import PRAISE, ScoreChange
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.periods import Days
from services.scoring.domain.score import ScoreInterval
from services.scoring.domain.stores.names import STORE
from services.scoring.repository.scores.moves import Cause, Moved
from services.scoring.web import rendering
from services.scoring.web.dimension_names import dimension_name
from shared.contract.events import Reasons
from shared.contract.vocabulary import Category
from shared.languages.current import gettext
from shared.languages.marking import mark

MOST_CHANGES = 6
_PRAISED = mark("“%(reason)s” is the praise of %(after)s %% of answers, was %(before)s %% %(interval)s")
_MISSED = mark("“%(reason)s” is the complaint of %(after)s %% of answers, was %(before)s %% %(interval)s")
_ROSE, _FELL = mark("%(what)s rose by %(points)s."), mark("%(what)s fell by %(points)s.")


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A store, region or channel whose score changed; `group` are the respondents whose answers show why."""

    name: str
    segment: str
    before: float
    after: float
    change: ScoreDifference
    group: str
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class MovedRow:
    """What moved: a sentence about the most important, the causes, and sentences about reasons of the whole.

    Of the `compared` series `by_chance` are expected to have changed by chance alone. `chosen` says whether the days
    are those that were asked for.
    """

    headline: str
    days: Days
    then: Days
    chosen: bool
    interval: ScoreInterval | None
    causes: Sequence[CauseRow]
    more: int
    reasons: Sequence[str]
    compared: int
    by_chance: float


def row(moved: Moved, texts: Reasons) -> MovedRow:
    return MovedRow(
        headline=" ".join(_headline(moved)),
        days=moved.days.now,
        then=moved.days.then,
        chosen=moved.days.chosen,
        interval=moved.difference.interval if moved.difference else None,
        causes=[_cause_row(each, texts) for each in moved.causes],
        more=moved.more,
        reasons=[_reason_change(each, texts) for each in moved.reasons[:MOST_CHANGES]],
        compared=moved.compared,
        by_chance=moved.by_chance,
    )


def _headline(moved: Moved) -> list[str]:
    """Say in sentences how the whole changed, and the largest change of a part."""
    sentences = []
    if moved.difference is not None:
        points = rendering.signed(moved.difference.points)
        is_real = moved.difference.significant
        sentences.append(
            gettext("%(points)s, a real change.", points=points)
            if is_real
            else gettext("%(points)s, which may be chance.", points=points)
        )
    return sentences + [_change_sentence(each.change) for each in moved.causes[:1]]


def _cause_row(cause: Cause, texts: Reasons) -> CauseRow:
    change = cause.change
    rose = change.difference.points > 0
    return CauseRow(
        _name_of(change),
        ":".join(change.series),
        change.before,
        change.after,
        change.difference,
        Category.PROMOTER if rose else Category.DETRACTOR,
        [
            gettext(
                "“%(reason)s” in %(after)s %% of its answers, was %(before)s %%",
                reason=reason_text(each.value, texts, praise=rose),
                after=f"{each.after:.0f}",
                before=f"{each.before:.0f}",
            )
            for each in cause.reasons
        ],
    )


def _change_sentence(change: ScoreChange) -> str:
    points = change.difference.points
    return gettext(_ROSE if points > 0 else _FELL, what=_name_of(change), points=abs(round(points)))


def _name_of(change: ScoreChange) -> str:
    if change.dimension == STORE:
        return change.value
    return f"{dimension_name(change.dimension).capitalize()} {change.value}"


def _reason_change(change: ScoreChange, texts: Reasons) -> str:
    """Say in one sentence how the share of a reason changed, with the interval of the difference."""
    return gettext(
        _PRAISED if change.dimension == PRAISE else _MISSED,
        reason=reason_text(change.value, texts, praise=change.dimension == PRAISE),
        after=f"{change.after:.0f}",
        before=f"{change.before:.0f}",
        interval=f"({rendering.interval(change.difference.interval)})",
    )
