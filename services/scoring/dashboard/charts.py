"""Where the lines, bars and dots of the dashboard's pictures lie; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor

from services.scoring.domain.periods import label_year_before
from services.scoring.domain.score import Figure, ScoreInterval, Tally
from shared.contract.vocabulary import Category, category_of


@dataclass(frozen=True, slots=True)
class Bar:
    score: int
    count: int
    x: float
    y: float
    height: float
    category: Category


def distribution(tally: Tally, *, height: float, step: float) -> list[Bar]:
    """Eleven bars, the highest as high as there is room."""
    highest = max(*tally.by_score, 1)
    return [
        Bar(score, count, score * step, height - (tall := height * count / highest), tall, category_of(score))
        for score, count in enumerate(tally.by_score)
    ]


@dataclass(frozen=True, slots=True)
class Share:
    category: Category
    share: float
    x: float
    width: float


def shares(tally: Tally, *, width: float, of: int | None = None) -> list[Share]:
    """Promoters, passives and detractors side by side; as wide as their part `of` so many answers."""
    parts = [
        (Category.PROMOTER, tally.promoters),
        (Category.PASSIVE, tally.passives),
        (Category.DETRACTOR, tally.detractors),
    ]
    found, x = [], 0.0
    for category, count in parts:
        share = count / tally.n if tally.n else 0.0
        wide = width * count / (of or max(tally.n, 1))
        found.append(Share(category, share, x, wide))
        x += wide
    return found


@dataclass(frozen=True, slots=True)
class Trend:
    """Points in a picture's units; `grid` holds (y, score), `labels` (x, period, its n), `marks` (x, name)."""

    width: float
    height: float
    right: float
    bottom: float
    line: str
    band: str
    dots: list[tuple[float, float, Figure]]
    grid: list[tuple[float, int]]
    labels: list[tuple[float, str, int]]
    year_before: str = ""
    target: float | None = None
    marks: list[tuple[float, str]] = field(default_factory=list)


MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM, GRID = 40.0, 24.0, 26.0, 48.0, 20


@dataclass(frozen=True, slots=True)
class Beside:
    """What a trend is drawn beside: a target, last year's periods, marks by their period."""

    target: float | None = None
    year_before: Sequence[Figure] = ()
    marks: Mapping[str, str] = field(default_factory=dict)


def trend(
    series: Sequence[Figure], *, width: float, height: float, most_labels: int = 8, beside: Beside | None = None
) -> Trend | None:
    """Draw the periods that have answers, on a scale of twenties that holds all their intervals."""
    beside = beside or Beside()
    known = [(figure, figure.nps, figure.interval) for figure in series]
    points = [(figure, score, interval) for figure, score, interval in known if score is not None and interval]
    if len(points) < 2:
        return None
    earlier = {figure.period: score for figure in beside.year_before if (score := figure.nps) is not None}
    drawn = [beside.target] if beside.target is not None else []
    low = floor(min([*drawn, *earlier.values(), *(interval.low for _, _, interval in points)]) / GRID) * GRID
    high = ceil(max([*drawn, *earlier.values(), *(interval.high for _, _, interval in points)]) / GRID) * GRID
    step = (width - MARGIN_LEFT - MARGIN_RIGHT) / (len(points) - 1)

    def y(score: float) -> float:
        return round(MARGIN_TOP + (high - score) / max(high - low, 1) * (height - MARGIN_TOP - MARGIN_BOTTOM), 1)

    xs = [round(MARGIN_LEFT + index * step, 1) for index in range(len(points))]
    upper = [f"{x},{y(interval.high)}" for x, (_, _, interval) in zip(xs, points, strict=True)]
    lower = [f"{x},{y(interval.low)}" for x, (_, _, interval) in zip(xs, points, strict=True)]
    last_first = list(zip(xs, points, strict=True))[:: -ceil(len(points) / most_labels)]
    places = {figure.period or "": x for x, (figure, _, _) in zip(xs, points, strict=True)}
    before = {label: earlier.get(label_year_before(label)) for label in places}
    return Trend(
        width=width,
        height=height,
        right=width - MARGIN_RIGHT,
        bottom=height - MARGIN_BOTTOM,
        line=" ".join(f"{x},{y(score)}" for x, (_, score, _) in zip(xs, points, strict=True)),
        band=" ".join(upper + lower[::-1]),
        dots=[(x, y(score), figure) for x, (figure, score, _) in zip(xs, points, strict=True)],
        grid=[(y(score), score) for score in range(low, high + 1, GRID)],
        labels=[(x, _short(figure.period or ""), figure.tally.n) for x, (figure, _, _) in last_first],
        year_before=" ".join(f"{places[at]},{y(score)}" for at, score in before.items() if score is not None),
        target=None if beside.target is None else y(beside.target),
        marks=[(places[label], name) for label, name in beside.marks.items() if label in places],
    )


def _short(label: str) -> str:
    return label[5:] if "W" in label or len(label) > 7 else label


@dataclass(frozen=True, slots=True)
class Whisker:
    low: float
    dot: float
    high: float
    zero: float


def whisker(score: float, interval: ScoreInterval, *, width: float) -> Whisker:
    """Place a score and its interval on the whole scale, so that rows can be compared."""

    def x(points: float) -> float:
        return round(6 + (points + 100) / 200 * (width - 12), 1)

    return Whisker(x(interval.low), x(score), x(interval.high), x(0))


def point(score: float, *, width: float) -> Whisker:
    """Place a score nobody gave an interval for."""
    return whisker(score, ScoreInterval(score, score), width=width)
