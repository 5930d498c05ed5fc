"""Publishes one `nps.updated` for each series that changed since the last run, but for those of employees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.scoring.answers import publishing
from services.scoring.domain.dimensions import BucketKey
from services.scoring.domain.score import CONFIDENCE, adjusted_wald, nps
from services.scoring.repository import live_sequence
from services.scoring.repository.scores import buckets
from services.scoring.repository.scores.buckets import ChangedBucket
from shared.contract import cloudevents, events
from shared.contract.vocabulary import EMPLOYEE, Service
from shared.database.isolated import isolated
from shared.database.session import Session
from shared.messaging import codec
from shared.messaging.transport import Message

LIMIT = 1000


async def publish_changes(session: Session, *, now: datetime) -> int:
    """Publish changed series; returns how many. Only one process at a time does this."""
    changed = await buckets.claim_changed(session, limit=LIMIT)
    updates: list[events.NpsUpdated] = []
    for each in changed:
        if each.key.dimension == EMPLOYEE:
            continue
        with isolated("stored_bucket", service=Service.SCORING, program=each.key.program, day=str(each.key.day)):
            updates.append(_updated(each))
    await publishing.publish(
        session,
        [cloudevents.new(each, service=Service.SCORING, at=now, subject=each.program) for each in updates],
    )
    await live_sequence.note(session, {each.key.program for each in changed})
    return len(changed)


async def republish(session: Session, messages: Sequence[Message]) -> None:
    """Mark the series of these messages as changed, so that the next run publishes their current figures."""
    payloads = [codec.parse(message).payload for message in messages if message.topic == events.NpsUpdated.topic]
    keys = {
        BucketKey(each.program, each.dimension, each.value, each.day)
        for each in payloads
        if type(each) is events.NpsUpdated
    }
    await buckets.mark_changed(session, sorted(keys))


def _updated(changed: ChangedBucket) -> events.NpsUpdated:
    tally = changed.tally
    score, interval = nps(tally), adjusted_wald(tally)
    return events.NpsUpdated(
        program=changed.key.program,
        dimension=changed.key.dimension,
        value=changed.key.value,
        day=changed.key.day,
        n=tally.n,
        by_score=list(tally.by_score),
        promoters=tally.promoters,
        passives=tally.passives,
        detractors=tally.detractors,
        nps=None if score is None else round(score, 2),
        interval=interval
        and events.Interval(low=round(interval.low, 2), high=round(interval.high, 2), confidence=CONFIDENCE),
        by_mode=events.ByMode(self=tally.themselves, operator=tally.operators, imported=tally.imported),
        suspects=tally.suspects,
        invited=changed.invited,
        sequence=changed.sequence,
    )
