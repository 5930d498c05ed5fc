"""The dashboard's contents: texts, numbers and choices, without coordinates of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.scoring.dashboard import cards, moved
from services.scoring.dashboard.authors import Authors
from services.scoring.dashboard.query import MOST_COUNTED, DashboardData, DashboardQuery, ScoreData
from services.scoring.domain.comparison import smallest_sample
from services.scoring.domain.periods import Days, Period, label_of, labels_of
from services.scoring.domain.score import FEW, Definition, Figure, ScoreInterval, bounds, nps
from services.scoring.repository.programs import ProgramInUse
from services.scoring.repository.scores.comparisons import AnnotationEffect
from services.scoring.web.dimension_names import dimension_name
from shared.languages.current import gettext, ngettext
from shared.languages.marking import mark

DAY_CHOICES = (7, 30, 90, 365)
MARGINS = (5, 3)  # points on either side
_COMPARED = {"previous": mark("vs the period before"), "last_year": mark("vs last year")}
_PERIODS: Mapping[Period, str] = {
    "day": mark("By day"),
    "week": mark("By week"),
    "month": mark("By month"),
    "quarter": mark("By quarter"),
}


@dataclass(frozen=True, slots=True)
class TrendRow:
    """Figures by period and what they are compared with.

    `labels` are those of all periods, in order; `annotations` have the label of their period and their text;
    `unfinished` is the label of the current period.
    """

    period: Period
    labels: Sequence[str]
    figures: Sequence[Figure]
    year_before: Sequence[Figure] = ()
    target: float | None = None
    annotations: Sequence[tuple[str, str]] = ()
    effects: Sequence[AnnotationEffect] = ()
    unfinished: str = ""

    @property
    def left_out(self) -> int:
        """How many periods have too few answers for a point."""
        return sum(figure.tally.n > 0 and not figure.is_point for figure in self.figures)


@dataclass(frozen=True, slots=True)
class ScoreRows:
    """All cards; `samples` holds (margin, answers it needs); `too_many` the limit that was exceeded."""

    few: bool
    figure: Figure
    stores: Sequence[str]
    chain: Figure | None
    moved: moved.MovedRow | None
    segment: str | None
    latest_only: bool
    too_many: int | None
    suspects: int
    nps_with_suspects: float | None
    bounds: ScoreInterval | None
    samples: Sequence[tuple[int, int]]
    trend: TrendRow
    funnel: Sequence[cards.FunnelRow]
    hours: Sequence[cards.HourRow]
    splits: Sequence[cards.Option]
    by: str
    values: Sequence[cards.ValueRow]
    all_values: int
    praised: Sequence[cards.ReasonRow]
    missed: Sequence[cards.ReasonRow]
    returns: Sequence[cards.ReturnRow]
    benchmarks: Sequence[cards.BenchmarkRow]
    authors: Authors
    comments: cards.CommentsRow


@dataclass(frozen=True, slots=True)
class DashboardRows:
    """The whole page; `score` is None where nobody was asked or answered."""

    query: DashboardQuery
    program: str | None
    title: str
    stopped: bool  # whether nothing of the program leaves
    unknown: str  # the program that was asked for and is not there
    programs: Sequence[cards.Option]
    days: Days
    day_choices: Sequence[cards.Option]
    against: Sequence[cards.Option]
    periods: Sequence[cards.Option]
    today: date
    zone: str  # of the program: its days begin there
    segment: str
    score: ScoreRows | None


def of(data: DashboardData) -> DashboardRows:
    """Build the rows of all cards from the data that was read."""
    query = data.query
    titles = {id_: _title(each) for id_, each in data.programs.items()}
    counts = DAY_CHOICES if query.days in DAY_CHOICES else (*DAY_CHOICES, query.days)
    return DashboardRows(
        query=query,
        program=data.program,
        title=titles[data.program] if data.program else "",
        stopped=data.program is not None and data.programs[data.program].stopped,
        unknown=query.program if query.program and query.program != data.program else "",
        programs=[cards.Option(id_, title, id_ == data.program) for id_, title in titles.items()],
        days=data.days,
        day_choices=[cards.Option(count, _last_days(count), count == query.days) for count in counts],
        against=[cards.Option(value, gettext(label), value == query.against) for value, label in _COMPARED.items()],
        periods=[cards.Option(period, gettext(label), period == query.period) for period, label in _PERIODS.items()],
        today=data.today,
        zone=data.programs[data.program].zone if data.program else "",
        segment=(query.segment or "").replace(":", " "),
        score=_score(data, data.score) if data.score and _is_known(data.score.whole) else None,
    )


def _title(program: ProgramInUse) -> str:
    if program.stopped:
        return gettext("%(title)s (stopped)", title=program.title)
    return program.title if program.active else gettext("%(title)s (off)", title=program.title)


def _last_days(count: int) -> str:
    return ngettext("Last %(num)s day", "Last %(num)s days", count)


def _is_known(whole: Figure) -> bool:
    return bool(whole.tally.n or whole.invited)


def _score(data: DashboardData, score: ScoreData) -> ScoreRows:
    query, tally = data.query, score.whole.tally
    return ScoreRows(
        few=tally.n < FEW,
        figure=score.whole,
        stores=score.stores,
        chain=score.chain,
        moved=moved.row(score.moved, score.reason_texts) if score.moved else None,
        segment=_segment_text(score),
        latest_only=score.selected.definition is Definition.LATEST_PER_CUSTOMER,
        too_many=None if score.selected.definition is query.definition else MOST_COUNTED,
        suspects=score.suspects.n,
        nps_with_suspects=nps(tally + score.suspects),
        bounds=bounds(tally, silent=score.whole.silent),
        samples=[(margin, smallest_sample(margin, like=tally)) for margin in MARGINS],
        trend=_trend(score, days=data.days, today=data.today),
        funnel=cards.funnel_rows(score.funnel, score.plan),
        hours=cards.hour_rows(score.funnel),
        splits=[cards.Option(name, dimension_name(name), name == score.by) for name in score.splits],
        by=dimension_name(score.by),
        values=cards.value_rows(score, query.sort),
        all_values=len(score.values),
        praised=cards.reason_rows(score, praise=True),
        missed=cards.reason_rows(score, praise=False),
        returns=_returns(score),
        benchmarks=cards.benchmark_rows(score.benchmarks, own=score.whole),
        authors=score.authors,
        comments=cards.comments_row(score, data.query, now=data.now),
    )


def _returns(score: ScoreData) -> list[cards.ReturnRow]:
    """Return who bought again; nothing for who sees only some stores, as purchases are counted in all of them."""
    if not score.funnel.asked or score.selected.within is not None:
        return []
    return [cards.return_row(group) for group in score.groups]


def _segment_text(score: ScoreData) -> str | None:
    if (segment := score.selected.shown_segment) is None:
        return None
    dimension, value = segment
    return f"{dimension_name(dimension).capitalize()}: {value}"


def _trend(score: ScoreData, *, days: Days, today: date) -> TrendRow:
    trend = score.trend
    return TrendRow(
        trend.period,
        labels_of(days, trend.period),
        trend.figures,
        trend.year_before,
        trend.target,
        [(label_of(effect.annotation.day, trend.period), effect.annotation.text) for effect in trend.effects],
        trend.effects,
        label_of(today, trend.period),
    )
