"""JSON of scores: figures, changes, annotations, benchmarks."""

from __future__ import annotations

from datetime import date
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.scoring.domain.changes import ScoreChange
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.score import Definition, Figure, ScoreInterval, wald
from services.scoring.repository.scores.comparisons import AnnotationEffect
from shared.web.strict_input import ScorePoints, ShortText, StrictInput


class IntervalOut(BaseModel):
    low: float
    high: float

    @classmethod
    def of(cls, interval: ScoreInterval | None) -> Self | None:
        return None if interval is None else cls(low=round(interval.low, 2), high=round(interval.high, 2))


class ModeCounts(BaseModel):
    self: int
    operator: int
    imported: int


class SeriesOut(BaseModel):
    """Figures of one value of a dimension, or of a pair of values of two, in one period when periods were requested.

    Of the `invited`, the `silent` did not answer before the invitation ended, and the `waiting` may still answer;
    `response_rate` is the share of answers among the invitations that are over.
    """

    value: str
    values: list[str]
    period: str | None
    n: int
    by_score: list[int]
    promoters: int
    passives: int
    detractors: int
    nps: float | None
    interval: IntervalOut | None
    wald: IntervalOut | None
    invited: int
    silent: int
    waiting: int
    response_rate: float | None
    by_mode: ModeCounts
    suspects: int
    definition: Definition

    @classmethod
    def of(cls, figure: Figure, definition: Definition) -> Self:
        tally, rate = figure.tally, figure.response_rate
        return cls(
            value=figure.value,
            values=list(figure.values),
            period=figure.period,
            n=tally.n,
            by_score=list(tally.by_score),
            promoters=tally.promoters,
            passives=tally.passives,
            detractors=tally.detractors,
            nps=_rounded(figure.nps),
            interval=IntervalOut.of(figure.interval),
            wald=IntervalOut.of(wald(tally)),
            invited=figure.invited,
            silent=figure.silent,
            waiting=figure.waiting,
            response_rate=None if rate is None else round(rate, 4),
            by_mode=ModeCounts(self=tally.themselves, operator=tally.operators, imported=tally.imported),
            suspects=tally.suspects,
            definition=definition,
        )


class Nps(BaseModel):
    program: str | None
    from_: date | None = Field(serialization_alias="from")
    to: date | None
    by: str | None
    segment: str | None
    definition: Definition
    confidence: float
    series: list[SeriesOut]
    next: str | None = Field(default=None, exclude_if=lambda value: value is None)  # absent on the last page


class DifferenceOut(BaseModel):
    """After minus before in points; significant when the interval excludes 0."""

    points: float
    interval: IntervalOut
    p_value: float
    significant: bool

    @classmethod
    def of(cls, difference: ScoreDifference | None) -> Self | None:
        if difference is None:
            return None
        low, high = round(difference.interval.low, 2), round(difference.interval.high, 2)
        return cls(
            points=round(difference.points, 2),
            interval=IntervalOut(low=low, high=high),
            p_value=round(difference.p_value, 6),
            significant=difference.significant,
        )


class ChangeOut(BaseModel):
    """`before` and `after` are scores; for `reason` and `praise`, percentages of answers that name it."""

    dimension: str
    value: str
    before: float
    after: float
    difference: DifferenceOut | None

    @classmethod
    def of(cls, moved: ScoreChange) -> Self:
        return cls(
            dimension=moved.dimension,
            value=moved.value,
            before=round(moved.before, 2),
            after=round(moved.after, 2),
            difference=DifferenceOut.of(moved.difference),
        )


class ChangesOut(BaseModel):
    """Of `compared` series about `by_chance` are expected in `moved` by chance alone."""

    program: str
    from_: date = Field(serialization_alias="from")
    to: date
    before_from: date
    before_to: date
    before: SeriesOut
    after: SeriesOut
    difference: DifferenceOut | None
    compared: int
    by_chance: float
    moved: list[ChangeOut]


class AnnotationIn(StrictInput):
    """`program` null means all programs."""

    program: ShortText | None = None
    day: date
    text: ShortText


class AnnotationOut(BaseModel):
    """An annotation with the scores of equally many days before it and from it on, within the period."""

    id: UUID
    program: str | None
    day: date
    text: str
    before: SeriesOut
    after: SeriesOut
    difference: DifferenceOut | None

    @classmethod
    def of(cls, effect: AnnotationEffect, definition: Definition) -> Self:
        annotation = effect.annotation
        return cls(
            id=annotation.id,
            program=annotation.program,
            day=annotation.day,
            text=annotation.text,
            before=SeriesOut.of(effect.before, definition),
            after=SeriesOut.of(effect.after, definition),
            difference=DifferenceOut.of(effect.difference),
        )


class BenchmarkIn(StrictInput):
    nps: ScorePoints
    source: ShortText


class BenchmarkOut(BaseModel):
    name: str
    nps: int
    source: str


class SampleOut(BaseModel):
    """How many answers an interval of ± `margin` points needs: in the worst case, and distributed as now."""

    margin: float
    confidence: float
    at_worst: int
    as_now: int | None


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)
