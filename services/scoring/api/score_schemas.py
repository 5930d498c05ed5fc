"""JSON of the score: figures, differences, funnel, returns, yardsticks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import partial
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from services.scoring.domain.changes import ScoreChange
from services.scoring.domain.comparison import ScoreDifference
from services.scoring.domain.funnel import Funnel, ReturnGroup, StepCounts
from services.scoring.domain.score import Definition, Figure, ScoreInterval, wald
from services.scoring.repository.scores.comparisons import AnnotationEffect
from services.scoring.web.strict_input import ScorePoints, ShortText, StrictInput


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
    """One value of the dimension, or of two crossed, in one period of it when a period was asked for."""

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
    next: str | None = Field(default=None, exclude_if=lambda none: none is None)  # only where the list goes on


class DifferenceOut(BaseModel):
    """After less before in points; significant when the interval leaves 0 out."""

    points: float
    interval: IntervalOut
    p_value: float
    significant: bool

    @classmethod
    def of(cls, found: ScoreDifference | None) -> Self | None:
        if found is None:
            return None
        low, high = round(found.interval.low, 2), round(found.interval.high, 2)
        return cls(
            points=round(found.points, 2),
            interval=IntervalOut(low=low, high=high),
            p_value=round(found.p_value, 6),
            significant=found.significant,
        )


class ChangeOut(BaseModel):
    """`before` and `after` are scores; of `reason` and `praise`, the percentage of answers that name it."""

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
    """Of `compared` series about `by_chance` would show here although nothing changed."""

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


class StepCountsOut(BaseModel):
    """Of a segment only `answered` is counted by contact; the rest is null."""

    reached: int | None
    opened: int | None
    answered: int

    @classmethod
    def of(cls, came: StepCounts, *, of_segment: bool) -> Self:
        reached, opened = (None, None) if of_segment else (came.reached, came.opened)
        return cls(reached=reached, opened=opened, answered=came.answered)


class StepOut(StepCountsOut):
    step: int
    channel: str


class HourOut(StepCountsOut):
    """`hour` of the respondent's day; null when no contact is known to which the answer is owed."""

    hour: int | None


class FunnelOut(BaseModel):
    """`by_hour` is null of a segment."""

    asked: int
    reached: int
    opened: int
    answered: int
    silent: int
    silent_share: float | None
    waiting: int
    by_channel: dict[str, StepCountsOut]
    by_step: list[StepOut]
    by_hour: list[HourOut] | None

    @classmethod
    def of(cls, funnel: Funnel, *, of_segment: bool) -> Self:
        came_of = partial(StepCountsOut.of, of_segment=of_segment)
        hours = sorted(funnel.by_hour.items(), key=lambda item: (item[0] is None, item[0] or 0))
        return cls(
            asked=funnel.asked,
            reached=funnel.reached,
            opened=funnel.opened,
            answered=funnel.answered,
            silent=funnel.silent,
            silent_share=round(funnel.silent / funnel.asked, 4) if funnel.asked else None,
            waiting=funnel.waiting,
            by_channel={channel: came_of(came) for channel, came in funnel.by_channel.items()},
            by_step=[
                StepOut(step=step, channel=channel, **came_of(came).model_dump())
                for (step, channel), came in funnel.by_step.items()
            ],
            by_hour=None if of_segment else [HourOut(hour=hour, **came_of(came).model_dump()) for hour, came in hours],
        )


class ReturnGroupOut(BaseModel):
    group: str
    people: int
    returned: int
    share: float | None
    spent: dict[str, Decimal]
    revenue: dict[str, Decimal]

    @classmethod
    def of(cls, group: ReturnGroup) -> Self:
        return cls(
            group=group.name,
            people=group.people,
            returned=group.returned,
            share=None if group.share is None else round(group.share, 4),
            spent=dict(group.spent),
            revenue=dict(group.revenue),
        )


class ReturnsOut(BaseModel):
    """Who bought again within `days` of the purchase they were asked about."""

    days: int
    groups: list[ReturnGroupOut]


class AnnotationIn(StrictInput):
    """`program` null means all programs."""

    program: ShortText | None = None
    day: date
    text: ShortText


class AnnotationOut(BaseModel):
    """With as many days before as after, as far as the period reaches."""

    id: UUID
    program: str | None
    day: date
    text: str
    before: SeriesOut
    after: SeriesOut
    difference: DifferenceOut | None

    @classmethod
    def of(cls, effect: AnnotationEffect, definition: Definition) -> Self:
        note = effect.annotation
        return cls(
            id=note.id,
            program=note.program,
            day=note.day,
            text=note.text,
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
    """How many answers an interval of ± `margin` points needs: at worst, and were they spread as they are now."""

    margin: float
    confidence: float
    at_worst: int
    as_now: int | None


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)
