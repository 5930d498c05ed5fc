"""Significant changes between two periods: of the score of a value of a dimension, or of the share of a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.scoring.domain.comparison import Proportion, ScoreDifference, difference, proportion_difference
from services.scoring.domain.score import FEW, Tally
from services.scoring.domain.stores.names import STORE

SeriesKey = tuple[str, str]  # dimension, value
WHOLE: SeriesKey = ("all", "")
REASON = "reason"  # the dimension of reasons; in a ScoreChange, only those ticked by passives and detractors
PRAISE = "praise"  # in a ScoreChange, reasons ticked by promoters, who are shown a list of their own
MOST_REASONS = 2  # of one change
_CAUSES_FIRST = (STORE, "region", "channel")  # a store is in a region, and its answers come through channels


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """`before` and `after` are scores; for a reason, percentages of all answers that ticked it."""

    dimension: str
    value: str
    before: float
    after: float
    difference: ScoreDifference

    @property
    def series(self) -> SeriesKey:
        return self.dimension, self.value


@dataclass(frozen=True, slots=True)
class ScoreChanges:
    """Significant changes, the smallest p-value first; `compared` is how many series were tested."""

    compared: int = 0
    significant: list[ScoreChange] = field(default_factory=list)

    @property
    def by_chance(self) -> float:
        """How many of the compared series are expected to be significant by chance alone, at 95 %."""
        return self.compared / 20


def significant_changes(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int = FEW
) -> ScoreChanges:
    """Compare the score of every series that has at least `enough` answers in both periods, except WHOLE.

    Of reasons the share of all answers is compared, when the whole has `enough` answers in both periods.
    """
    compared = list(_compare(before, after, enough=enough))
    significant = [each for each in compared if each.difference.significant]
    return ScoreChanges(
        len(compared), sorted(significant, key=lambda each: (each.difference.p_value, each.dimension, each.value))
    )


def _compare(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int
) -> Iterator[ScoreChange]:
    answers = before.get(WHOLE, Tally()).n, after.get(WHOLE, Tally()).n
    for series in sorted({*before, *after} - {WHOLE}):
        old, new = before.get(series, Tally()), after.get(series, Tally())
        if series[0] == REASON and min(answers) >= enough:
            yield from _ticked(series[1], old, new, answers)
        elif series[0] != REASON and min(old.n, new.n) >= enough and (changed := difference(old, new)):
            yield ScoreChange(*series, score_of(old), score_of(new), changed)


def _ticked(reason: str, old: Tally, new: Tally, answers: tuple[int, int]) -> Iterator[ScoreChange]:
    praised = old.promoters, new.promoters
    for dimension, ticked in ((REASON, (old.n - praised[0], new.n - praised[1])), (PRAISE, praised)):
        then, now = (Proportion(count, of) for count, of in zip(ticked, answers, strict=True))
        if any(ticked) and (changed := proportion_difference(then, now)):
            yield ScoreChange(dimension, reason, then.percent, now.percent, changed)


def each_cause_once(
    changes: ScoreChanges, before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, enough: int = FEW
) -> list[ScoreChange]:
    """Return the significant changes of scores, largest first, without those that another one explains.

    A region or channel is left out when it has not changed significantly without the answers of the stores and regions
    that have changed. These are taken to be in it when their answers of both periods can be.
    """
    kept: list[ScoreChange] = []
    for dimension in _CAUSES_FIRST:
        found = [each for each in changes.significant if each.dimension == dimension]
        kept += [each for each in found if _remains(each, kept, before, after, enough=enough)]
    return sorted(kept, key=lambda each: (-abs(each.difference.points), each.dimension, each.value))


def _remains(
    change: ScoreChange,
    causes: Sequence[ScoreChange],
    before: Mapping[SeriesKey, Tally],
    after: Mapping[SeriesKey, Tally],
    *,
    enough: int,
) -> bool:
    old, new = before[change.series], after[change.series]
    for cause in causes:
        rest = old - before[cause.series], new - after[cause.series]
        if cause.dimension != change.dimension and min(*rest[0].by_score, *rest[1].by_score) >= 0:
            old, new = rest
    left = difference(old, new) if min(old.n, new.n) >= enough else None
    return left is not None and left.significant and (left.points > 0) == (change.difference.points > 0)


def reasons_named_more(
    before: Mapping[SeriesKey, Tally], after: Mapping[SeriesKey, Tally], *, praise: bool
) -> list[ScoreChange]:
    """Return up to MOST_REASONS reasons whose share of answers grew most, as praise or as complaint."""
    wanted = PRAISE if praise else REASON
    grown = [each for each in _compare(before, after, enough=1) if each.dimension == wanted]
    return sorted(
        (each for each in grown if each.difference.points > 0), key=lambda each: (-each.difference.points, each.value)
    )[:MOST_REASONS]


def without_parts(
    whole: tuple[Mapping[SeriesKey, Tally], Mapping[SeriesKey, Tally]],
    parts: Iterable[tuple[Mapping[SeriesKey, Tally], Mapping[SeriesKey, Tally]]],
) -> ScoreChanges:
    """Find what has changed significantly without the answers of some parts; each is the series before and after."""
    before, after = (dict(series) for series in whole)
    for part in parts:
        for rest, taken in zip((before, after), part, strict=True):
            for key, tally in taken.items():
                rest[key] = rest.get(key, Tally()) - tally
    return significant_changes(before, after)


def score_of(tally: Tally) -> float:
    return 100 * (tally.promoters - tally.detractors) / max(tally.n, 1)
