"""JSON of funnel and returns."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Self

from pydantic import BaseModel

from services.scoring.domain.funnel import Funnel, ReturnGroup, StepCounts


class StepCountsOut(BaseModel):
    """In a segment only `answered` is counted by contact; the others are null."""

    reached: int | None
    opened: int | None
    answered: int

    @classmethod
    def of(cls, counts: StepCounts, *, of_segment: bool) -> Self:
        reached, opened = (None, None) if of_segment else (counts.reached, counts.opened)
        return cls(reached=reached, opened=opened, answered=counts.answered)


class StepOut(StepCountsOut):
    step: int
    channel: str


class HourOut(StepCountsOut):
    """`hour` in the respondent's time zone; null when the contact that led to the answer is unknown."""

    hour: int | None


class FunnelOut(BaseModel):
    """`silent` did not answer before the invitation ended, `waiting` may still; `by_hour` is null in a segment.

    `silent_share` is of the invitations that are over: those of the silent and the answered ones.
    """

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
        counts_of = partial(StepCountsOut.of, of_segment=of_segment)
        return cls(
            asked=funnel.asked,
            reached=funnel.reached,
            opened=funnel.opened,
            answered=funnel.answered,
            silent=funnel.silent,
            silent_share=None if funnel.silent_share is None else round(funnel.silent_share, 4),
            waiting=funnel.waiting,
            by_channel={channel: counts_of(counts) for channel, counts in funnel.by_channel.items()},
            by_step=[
                StepOut(step=step, channel=channel, **counts_of(counts).model_dump())
                for (step, channel), counts in funnel.by_step.items()
            ],
            by_hour=None if of_segment else _hours(funnel),
        )


def _hours(funnel: Funnel) -> list[HourOut]:
    """Sort by hour, the unknown one last."""
    hours = sorted(funnel.by_hour.items(), key=lambda item: (item[0] is None, item[0] or 0))
    return [
        HourOut(hour=hour, reached=counts.reached, opened=counts.opened, answered=counts.answered)
        for hour, counts in hours
    ]


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
