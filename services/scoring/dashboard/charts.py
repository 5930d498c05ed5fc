"""Computes the coordinates of the dashboard's SVG pictures; the template inserts them unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from services.scoring.dashboard.cards import BenchmarkRow, FunnelRow, HourRow, ReasonRow, ValueRow
from services.scoring.dashboard.rows import DashboardRows, TrendRow
from services.scoring.domain.periods import label_year_before
from services.scoring.domain.score import Figure, ScoreInterval, Tally
from shared.contract.vocabulary import Category, category_of
from shared.languages.current import gettext

SCALE_WIDTH, FUNNEL_WIDTH, SHARES_WIDTH = 240.0, 150, 298
BARS_HEIGHT, BAR_STEP = 60, 27
HOURS_HEIGHT, HOUR_STEP = 48, 24
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 40.0, 24.0, 26.0, 48.0
GRID = 20  # score points between two lines
LETTER_WIDTH, LETTER_HEIGHT = 7, 12  # at most, of a label
MARK_WIDTH = 24  # between the middles of two labels with a number each


@dataclass(frozen=True, slots=True)
class ScoreBar:
    score: int
    count: int
    x: float
    y: float
    height: float
    category: Category


def distribution(tally: Tally) -> list[ScoreBar]:
    """Draw a bar for each score 0 to 10; the highest fills the height, an empty one is one unit high."""
    highest = max(*tally.by_score, 1)
    return [
        ScoreBar(
            score,
            count,
            score * BAR_STEP,
            BARS_HEIGHT - (height := BARS_HEIGHT * count / highest),
            max(height, 1),
            category_of(score),
        )
        for score, count in enumerate(tally.by_score)
    ]


@dataclass(frozen=True, slots=True)
class CategoryBar:
    category: Category
    percent: int
    x: float
    width: float


def shares(tally: Tally, *, width: float, of: int | None = None) -> list[CategoryBar]:
    """Draw promoters, passives and detractors side by side; `width` is that of `of` answers, by default of all."""
    categories = (Category.PROMOTER, Category.PASSIVE, Category.DETRACTOR)
    counts = (tally.promoters, tally.passives, tally.detractors)
    bars, x = [], 0.0
    for category, count, percent in zip(categories, counts, _percentages(counts), strict=True):
        wide = width * count / (of or max(tally.n, 1))
        bars.append(CategoryBar(category, percent, x, wide))
        x += wide
    return bars


def _percentages(counts: Sequence[int]) -> list[int]:
    """Round shares to whole percents that add up to 100, by the largest remainders; all are 0 without answers."""
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    percents = [100 * count // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda place: -(100 * counts[place] % total))
    for place in by_remainder[: 100 - sum(percents)]:
        percents[place] += 1
    return percents


class _Point(NamedTuple):
    figure: Figure
    score: float
    interval: ScoreInterval


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    figure: Figure
    unfinished: bool
    radius: float


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class TrendChart:
    """`grid` holds (y, score), `labels` (x, period, number of answers); `lines`, `bands` and `year_before` SVG points.

    A line and its band end where a period has no point. `marked` has the x of every annotated period, `marks` what is
    written there.
    """

    width: float
    height: float
    right: float
    bottom: float
    lines: list[str]
    bands: list[str]
    dots: list[Dot]
    grid: list[tuple[float, int]]
    labels: list[tuple[float, str, int]]
    year_before: str
    target: float | None
    target_label: float | None
    marked: list[float]
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Scores from `low` to `high` over the height of a picture."""

    low: int
    high: int
    height: float

    def y(self, score: float) -> float:
        room = self.height - MARGIN_TOP - MARGIN_BOTTOM
        return round(MARGIN_TOP + (self.high - score) / max(self.high - self.low, 1) * room, 1)


def trend(row: TrendRow, *, width: float, height: float, most_labels: int = 8) -> TrendChart | None:
    """Draw the periods that have enough answers, on a scale that holds all their intervals; None for fewer than two."""
    known = {figure.period: figure for figure in row.figures if figure.is_point}
    labels = [label for label in row.labels if label in known]
    if len(labels) < 2:
        return None
    shown = row.labels[row.labels.index(labels[0]) : row.labels.index(labels[-1]) + 1]
    step = (width - MARGIN_LEFT - MARGIN_RIGHT) / (len(shown) - 1)
    x_of = {label: round(MARGIN_LEFT + index * step, 1) for index, label in enumerate(shown)}
    runs = _runs(shown, known, x_of)
    placed = [each for run in runs for each in run]
    points = [point for _, point in placed]
    before = _year_before(row, x_of)
    scale = _scale(points, [*(score for _, score in before), *([] if row.target is None else [row.target])], height)
    target = None if row.target is None else scale.y(row.target)
    marked = sorted({x_of[label] for label, _ in row.annotations if label in x_of})
    return TrendChart(
        width=width,
        height=height,
        right=width - MARGIN_RIGHT,
        bottom=height - MARGIN_BOTTOM,
        lines=[" ".join(f"{x},{scale.y(point.score)}" for x, point in run) for run in runs],
        bands=[_band(run, scale) for run in runs],
        dots=_dots(placed, scale, unfinished=row.unfinished),
        grid=[(scale.y(score), score) for score in range(scale.low, scale.high + 1, GRID)],
        labels=_labels(placed, room=(width - MARGIN_LEFT - MARGIN_RIGHT) / most_labels),
        year_before=" ".join(f"{x},{scale.y(score)}" for x, score in before),
        target=target,
        target_label=None if target is None else target - 5 if target > MARGIN_TOP + LETTER_HEIGHT else target + 14,
        marked=marked,
        marks=_marks(row.annotations, x_of, width),
    )


def _runs(
    labels: Sequence[str], known: Mapping[str | None, Figure], x_of: Mapping[str, float]
) -> list[list[tuple[float, _Point]]]:
    """Place the points; a new list begins after a period without one."""
    runs: list[list[tuple[float, _Point]]] = [[]]
    for label in labels:
        figure = known.get(label)
        if figure and figure.nps is not None and figure.interval:
            runs[-1].append((x_of[label], _Point(figure, figure.nps, figure.interval)))
        elif runs[-1]:
            runs.append([])
    return runs


def _year_before(row: TrendRow, x_of: Mapping[str, float]) -> list[tuple[float, float]]:
    """Return the x and the score of a year earlier, of the periods that have one."""
    earlier = {figure.period: figure.nps for figure in row.year_before if figure.is_point}
    scores = ((x, earlier.get(label_year_before(label))) for label, x in x_of.items())
    return [(x, score) for x, score in scores if score is not None]


def _scale(points: Sequence[_Point], others: Sequence[float], height: float) -> _Scale:
    low = floor(min([*others, *(point.interval.low for point in points)]) / GRID) * GRID
    high = ceil(max([*others, *(point.interval.high for point in points)]) / GRID) * GRID
    return _Scale(low, high, height)


def _band(placed: Sequence[tuple[float, _Point]], scale: _Scale) -> str:
    upper = [f"{x},{scale.y(point.interval.high)}" for x, point in placed]
    lower = [f"{x},{scale.y(point.interval.low)}" for x, point in placed]
    return " ".join(upper + lower[::-1])


def _dots(placed: Sequence[tuple[float, _Point]], scale: _Scale, *, unfinished: str) -> list[Dot]:
    last = len(placed) - 1
    return [
        Dot(x, scale.y(score), figure, figure.period == unfinished, 5 if index == last else 2.5)
        for index, (x, (figure, score, _)) in enumerate(placed)
    ]


def _labels(placed: Sequence[tuple[float, _Point]], *, room: float) -> list[tuple[float, str, int]]:
    """Label the last point, and going back every next one that is far enough from the one labelled before."""
    labels: list[tuple[float, str, int]] = []
    for x, point in reversed(placed):
        if not labels or labels[-1][0] - x >= room:
            labels.append((x, _short(point.figure.period or ""), point.figure.tally.n))
    return labels


def _short(label: str) -> str:
    """Leave out the year of days and weeks."""
    if "W" in label:
        return gettext("W%(week)s", week=label[6:])
    return label[5:] if len(label) > 7 else label


def _marks(annotations: Sequence[tuple[str, str]], x_of: Mapping[str, float], width: float) -> list[Mark]:
    """Write the text of one annotation, as much as there is room for; of several their numbers, close ones together."""
    placed = sorted((x_of[label], number) for number, (label, _) in enumerate(annotations, 1) if label in x_of)
    if len(annotations) == 1:
        return [_mark(x, annotations[0][1], width) for x, _ in placed]
    groups: list[list[tuple[float, int]]] = []
    for each in placed:
        if groups and each[0] - groups[-1][-1][0] < MARK_WIDTH:
            groups[-1].append(each)
        else:
            groups.append([each])
    return [
        Mark((group[0][0] + group[-1][0]) / 2, ", ".join(str(number) for _, number in group), "middle")
        for group in groups
    ]


def _mark(x: float, text: str, width: float) -> Mark:
    most = int(max(x, width - x) / LETTER_WIDTH)
    return Mark(x, text if len(text) <= most else f"{text[: most - 1]}…", "end" if x > width / 2 else "start")


@dataclass(frozen=True, slots=True)
class Whisker:
    """A score and its interval on the scale from -100 to 100."""

    low: float
    dot: float
    high: float
    zero: float


def whisker(score: float, interval: ScoreInterval | None) -> Whisker:
    """Draw on the whole scale, so that rows can be compared; a score without an interval is a dot."""
    known = interval or ScoreInterval(score, score)
    return Whisker(_scale_x(known.low), _scale_x(score), _scale_x(known.high), _scale_x(0))


def _scale_x(points: float) -> float:
    return round(6 + (points + 100) / 200 * (SCALE_WIDTH - 12), 1)


@dataclass(frozen=True, slots=True)
class HourBar:
    x: float
    y: float
    label_y: float
    height: float
    row: HourRow


def hours(rows: Sequence[HourRow]) -> list[HourBar]:
    """Draw the share answered by hour; the highest fills the height."""
    highest = max((row.share for row in rows), default=0) or 1
    heights = [HOURS_HEIGHT * row.share / highest for row in rows]
    return [
        HourBar(index * HOUR_STEP, 64 - height, 60 - height, max(height, 1), row)
        for index, (height, row) in enumerate(zip(heights, rows, strict=True))
    ]


def reasons(rows: Sequence[ReasonRow]) -> list[tuple[ReasonRow, list[CategoryBar]]]:
    """Draw all bars on the scale of the longest."""
    most = max((row.tally.n for row in rows), default=1)
    return [(row, shares(row.tally, width=SCALE_WIDTH, of=most)) for row in rows]


@dataclass(frozen=True, slots=True)
class Charts:
    """All pictures of the page; the rows of a table are paired with the picture in them."""

    distribution: Sequence[ScoreBar] = ()
    shares: Sequence[CategoryBar] = ()
    trend: TrendChart | None = None
    narrow_trend: TrendChart | None = None
    funnel: Sequence[tuple[FunnelRow, float]] = ()
    hours: Sequence[HourBar] = ()
    values: Sequence[tuple[ValueRow, Whisker]] = ()
    praised: Sequence[tuple[ReasonRow, Sequence[CategoryBar]]] = ()
    missed: Sequence[tuple[ReasonRow, Sequence[CategoryBar]]] = ()
    benchmarks: Sequence[tuple[BenchmarkRow, Whisker]] = ()


def svg(page: DashboardRows) -> Charts:
    """Draw every picture of the page; none without a score."""
    score = page.score
    if score is None:
        return Charts()
    return Charts(
        distribution=distribution(score.figure.tally),
        shares=shares(score.figure.tally, width=SHARES_WIDTH),
        trend=trend(score.trend, width=760, height=330),
        narrow_trend=trend(score.trend, width=320, height=260, most_labels=4),
        funnel=[(row, FUNNEL_WIDTH * row.count / score.funnel[0].count) for row in score.funnel],
        hours=hours(score.hours),
        values=[(row, whisker(row.nps, row.interval)) for row in score.values],
        praised=reasons(score.praised),
        missed=reasons(score.missed),
        benchmarks=[(row, whisker(row.nps, row.interval)) for row in score.benchmarks],
    )
