"""Publishes significant drops of a score: checks once a day, and reports each series at most once a calendar week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.scoring.answers import publishing
from services.scoring.domain.alerts import CONFIDENCE, ScoreDrop, WeeklyChange, compared_weeks, driver, significant_drop
from services.scoring.domain.changes import score_of
from services.scoring.repository import alerts
from shared.contract import cloudevents
from shared.contract.events import Interval, NpsDropped
from shared.contract.vocabulary import Service
from shared.database.isolated import isolated
from shared.database.session import Session


async def publish_drops(session: Session, *, now: datetime) -> int:
    """Compare the last seven whole days with the seven before; returns how many drops were published."""
    week = compared_weeks(now)
    if not await alerts.begin_day(session, week.last):
        return 0
    changes = await alerts.weekly_changes(session, week)
    found = _drops(changes)
    new = await alerts.mark_told(session, found, period=week.period)
    payloads = [_dropped(each, driver(each.change, among=found, changes=changes), now=now) for each in new]
    await publishing.publish(
        session, [cloudevents.new(each, service=Service.SCORING, at=now, subject=each.program) for each in payloads]
    )
    return len(new)


def _drops(changes: Sequence[WeeklyChange]) -> list[ScoreDrop]:
    found: list[ScoreDrop] = []
    for change in changes:
        with isolated("stored_series", service=Service.SCORING, program=change.program, dimension=change.dimension):
            if (drop := significant_drop(change)) is not None:
                found.append(drop)
    return found


def _dropped(drop: ScoreDrop, cause: str | None, *, now: datetime) -> NpsDropped:
    change, interval = drop.change, drop.interval
    return NpsDropped(
        program=change.program,
        dimension=change.dimension,
        value=change.value,
        before=round(score_of(change.before), 2),
        after=round(score_of(change.after), 2),
        difference=Interval(low=round(interval.low, 2), high=round(interval.high, 2), confidence=CONFIDENCE),
        moved_by=cause,
        at=now,
    )
